#include "cli/run.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "base/limits/keys.h"
#include "base/result.h"
#include "cli/command.h"
#include "cli/run_prefix.h"
#include "cli/run_terminal.h"
#include "runtime/unix_socket.h"
#include "spawner/folders.h"
#include "spawner/launch_message.h"

namespace hexr::cli {
namespace {

namespace pb = ::hexr::launch::v1;
using runtime::UniqueFd;

constexpr char kInsideSocket[] = "/run/hexr/launch.sock";
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT, SIGWINCH};
constexpr int kAttachAttempts = 100;  // a spawner that is starting again
constexpr int kAttachPauseMs = 100;

void Say(const std::string& message) { std::fprintf(stderr, "hexr: %s\n", message.c_str()); }

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

Result<UniqueFd> Connect(const std::string& path) {
  Result<UniqueFd> fd = runtime::ConnectUnix(path, SOCK_SEQPACKET);
  if (!fd.ok() && fd.error().code() == ErrorCode::kInvalidArgument) return fd;
  if (!fd.ok()) return Unavailable("no node can be reached (" + fd.error().message() + "); start one with `hexr up`");
  (void)fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  return fd;
}

// The file is read with the caller's rights, and the agent never sees it.
Result<std::string> ReadTokenFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return ErrnoError("--on-behalf-of " + path, errno);
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd.get(), buffer, sizeof buffer)) != 0;) {
    if (n < 0) return ErrnoError("--on-behalf-of " + path, errno);
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > limits::kMaxJwtBytes) return InvalidArgument("--on-behalf-of " + path + ": too long for a token");
  }
  constexpr char kSpace[] = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return InvalidArgument("--on-behalf-of " + path + ": the file is empty");
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

class Runner {
 public:
  explicit Runner(const RunRequest& request) : request_(request) {}

  int Run() {
    const Status s = Ask();
    if (!s.ok()) {
      Say(s.error().message());
      return kRunRefused;
    }
    const int code = Relay();
    if (relay_) relay_->Restore();
    return code;
  }

 private:
  // ---- the request

  Status Ask() {
    socket_path_ = request_.launch_socket;
    // An agent's own request: the node's places mean nothing in there.
    if (!Environment("HEXR_INSTANCE").empty() && access(kInsideSocket, F_OK) == 0) socket_path_ = kInsideSocket;
    ASSIGN_OR_RETURN(socket_, Connect(socket_path_));
    pb::ClientMessage m;
    pb::Launch& l = *m.mutable_launch();
    l.set_tenant(request_.tenant);
    l.set_agent(request_.agent);
    l.set_role(request_.role);
    for (const std::string& a : request_.command) l.add_argv(a);
    for (char** e = environ; *e != nullptr; ++e) l.add_env(*e);
    for (const std::string& k : request_.keep_env) l.add_keep_env(k);
    const mode_t mask = umask(0);
    umask(mask);
    l.set_umask(mask);
    if (!request_.token_file.empty()) {
      ASSIGN_OR_RETURN(std::string token, ReadTokenFile(request_.token_file));
      l.set_on_behalf_of(std::move(token));
    }
    PlanTerminal(l);
    RETURN_IF_ERROR(PlanFolders(l));
    RETURN_IF_ERROR(WatchSignals());
    std::vector<int> fds = {0, 1, 2};
    for (const UniqueFd& f : folders_) fds.push_back(f.get());
    RETURN_IF_ERROR(spawner::SendLaunchMessage(socket_.get(), m, fds));
    folders_.clear();
    return Ok();
  }

  void PlanTerminal(pb::Launch& l) {
    int terminal = -1;
    for (const int fd : {0, 1, 2}) {
      const bool tty = isatty(fd) != 0;
      l.add_terminal(tty);
      // Where the agent's output goes, stdout before stderr; typing is read from there too when stdin is the terminal.
      if (tty && (terminal < 0 || terminal == 0)) terminal = fd;
    }
    if (terminal < 0) return;
    winsize size{};
    if (ioctl(terminal, TIOCGWINSZ, &size) == 0) {
      l.set_rows(size.ws_row);
      l.set_columns(size.ws_col);
    }
    relay_ = std::make_unique<TerminalRelay>(terminal, isatty(0) != 0);
  }

  Status PlanFolders(pb::Launch& l) {
    char cwd[PATH_MAX];
    if (getcwd(cwd, sizeof cwd) == nullptr) return ErrnoError("working folder", errno);
    l.set_working_folder(cwd);
    struct stat st {};
    if (stat(".", &st) != 0) return ErrnoError("working folder", errno);
    const std::vector<std::string> homes = Homes();
    if (!IsInside() && std::string_view(cwd) != "/" && HoldsHome(cwd, homes)) {
      // Keys, mail, other programs' secrets: never in passing.
      if (!Named(cwd))
        return PermissionDenied(std::string(cwd) +
                                " holds a whole home folder: change into a project's folder, or name it with --rw . or "
                                "--ro .");
    } else {
      // Writable when it is the caller's own; somebody else's folder has to be named with --rw.
      RETURN_IF_ERROR(Give(l, cwd, st.st_uid == geteuid() || geteuid() == 0));
    }
    for (const std::string& p : request_.read_write) RETURN_IF_ERROR(Give(l, p, true));
    for (const std::string& p : request_.read_only) RETURN_IF_ERROR(Give(l, p, false));
    places_ = FindProgramPlaces(request_.command[0], Environment("PATH"), homes);
    for (const std::string& p : places_.prefixes) {
      if (!Given(l, p)) RETURN_IF_ERROR(Give(l, p, false));
    }
    for (const std::string& p : request_.hidden) {
      char path[PATH_MAX];
      if (realpath(p.c_str(), path) == nullptr) return ErrnoError("--hide " + p, errno);
      l.add_hide(path);
    }
    return Ok();
  }

  bool IsInside() const { return socket_path_ == kInsideSocket; }

  // Whether --ro or --rw names this folder.
  bool Named(const std::string& folder) const {
    const auto is = [&](const std::string& p) {
      char path[PATH_MAX];
      return realpath(p.c_str(), path) != nullptr && folder == path;
    };
    return std::any_of(request_.read_write.begin(), request_.read_write.end(), is) ||
           std::any_of(request_.read_only.begin(), request_.read_only.end(), is);
  }

  static bool Given(const pb::Launch& l, const std::string& path) {
    return std::any_of(l.folders().begin(), l.folders().end(),
                       [&](const pb::Folder& f) { return path == f.path() || path.starts_with(f.path() + "/"); });
  }

  Status Give(pb::Launch& l, const std::string& given, bool writable) {
    char path[PATH_MAX];
    if (realpath(given.c_str(), path) == nullptr) return ErrnoError(given, errno);
    for (pb::Folder& f : *l.mutable_folders()) {
      if (f.path() != path) continue;
      f.set_writable(writable);  // said again: the last word counts
      return Ok();
    }
    UniqueFd fd(open(path, O_PATH | O_CLOEXEC));
    if (!fd) return ErrnoError(path, errno);
    pb::Folder& f = *l.add_folders();
    f.set_path(path);
    f.set_writable(writable);
    folders_.push_back(std::move(fd));
    return Ok();
  }

  Status WatchSignals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int s : kSignals) sigaddset(&set, s);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signals_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    return signals_ ? Ok() : Status(ErrnoError("signalfd", errno));
  }

  // ---- while it runs

  int Relay() {
    while (!code_) {
      const bool relaying = relay_ && relay_->running();
      pollfd fds[4] = {{socket_.get(), POLLIN, 0},
                       {signals_.get(), POLLIN, 0},
                       {relaying ? relay_->master() : -1,
                        static_cast<short>(POLLIN | (relaying && relay_->blocked() ? POLLOUT : 0)), 0},
                       {relaying ? relay_->typing() : -1, POLLIN, 0}};
      if (poll(fds, 4, -1) < 0) {
        if (errno == EINTR) continue;
        Say(std::string("poll: ") + std::strerror(errno));
        return kRunRefused;
      }
      if (fds[1].revents != 0) TakeSignals();
      if (fds[3].revents != 0) relay_->FromTerminal();
      if ((fds[2].revents & POLLOUT) != 0) relay_->ToAgent();
      if ((fds[2].revents & ~POLLOUT) != 0) (void)relay_->FromAgent();
      if (fds[0].revents != 0) TakeMessages();
    }
    return *code_;
  }

  void TakeSignals() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int s = static_cast<int>(info.ssi_signo);
      if (s == SIGCONT && relay_) relay_->Enter();
      if (s == SIGWINCH && relay_ && relay_->running())
        relay_->CopySize();  // its kernel tells the agent
      else
        SendSignal(s);
    }
  }

  void SendSignal(int s) {
    if (instance_.empty()) {
      // The command may run already, its start not yet told: it gets the signal then. Said twice, it ends the launch.
      const bool ends = s == SIGINT || s == SIGTERM || s == SIGHUP || s == SIGQUIT;
      if (ends && std::find(early_.begin(), early_.end(), s) != early_.end()) Die(s);
      early_.push_back(s);
      return;
    }
    pb::ClientMessage m;
    m.mutable_signal()->set_signal(static_cast<uint32_t>(s));
    (void)!spawner::SendLaunchMessage(socket_.get(), m, {}).ok();
  }

  void TakeMessages() {
    while (!code_) {
      Result<spawner::LaunchPacket> packet = spawner::ReceiveLaunchMessage(socket_.get());
      if (!packet.ok() && packet.error().code() == ErrorCode::kNotFound) return;
      pb::ServerMessage m;
      if (!packet.ok() || !m.ParseFromArray(packet->body.data(), static_cast<int>(packet->body.size()))) return Lost();
      Handle(m, std::move(packet->fds));
    }
  }

  void Handle(const pb::ServerMessage& m, std::vector<UniqueFd> fds) {
    switch (m.body_case()) {
      case pb::ServerMessage::kWarning: return Say(m.warning().text());
      case pb::ServerMessage::kStarted:
        instance_ = m.started().instance();
        for (const std::string& w : m.started().weaker()) Say("weaker on this machine: " + w);
        // Of the working folder, which nobody had to name, `hexr show` says it.
        if (!request_.read_write.empty() && !m.started().sockets().empty()) Say("weaker: " + m.started().sockets());
        TellStarted(m.started());
        if (relay_ && fds.size() == 1) relay_->Begin(std::move(fds[0]));
        for (const int s : std::exchange(early_, {})) SendSignal(s);
        return;
      case pb::ServerMessage::kRefused: return Refused(m.refused());
      case pb::ServerMessage::kStopped: return StopWithAgent();
      case pb::ServerMessage::kEnded: return Ended(m.ended());
      default: return;
    }
  }

  void TellStarted(const pb::Started& started) const {
    const std::string text = started.instance() + " " + started.spiffe_id();
    if (request_.started_fd >= 0) (void)!write(request_.started_fd, text.data(), text.size());
  }

  void Refused(const pb::Refused& r) {
    code_ = static_cast<int>(r.exit_code());
    const bool there = !places_.program.empty() && !request_.command.empty();
    Say(r.message());
    if (*code_ == kRunNotFound && there) {
      const std::string folder = places_.program.substr(0, places_.program.rfind('/'));
      std::string remedy = "try --ro " + folder;
      if (spawner::IsNeverGiven(folder)) remedy = "move it out of " + folder + " into a folder of its own";
      if (HoldsHome(folder, Homes()))
        remedy = "move it out of your home into a folder of its own, or start what it links to";
      Say(places_.program +
          " is there for you, but it or the interpreter it names is not among what the agent is given; " + remedy);
    }
  }

  // Ctrl-Z: the agent stands still, so this process does, for the shell to see; what continues it continues the agent.
  void StopWithAgent() {
    if (relay_) relay_->Restore();
    raise(SIGSTOP);
    if (relay_) {
      relay_->Enter();
      relay_->CopySize();
    }
    SendSignal(SIGCONT);
  }

  void Ended(const pb::Ended& e) {
    while (relay_ && relay_->running() && relay_->FromAgent()) {
      pollfd p{relay_->master(), POLLIN, 0};
      if (poll(&p, 1, 0) != 1) break;  // everybody has gone: what is not there now will not come
    }
    if (!e.why().empty()) {
      if (relay_) relay_->Restore();
      Say("ended: " + e.why());
    }
    if (WIFSIGNALED(e.wait_status())) Die(WTERMSIG(e.wait_status()));
    code_ = WEXITSTATUS(e.wait_status());
  }

  // By the agent's signal, so that whoever waits for this process sees what it would have seen.
  void Die(int s) {
    if (relay_) relay_->Restore();
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(s, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, s);
    raise(s);
    sigprocmask(SIG_UNBLOCK, &one, nullptr);
    code_ = 128 + s;  // a signal that does not end a process
  }

  // The connection is gone. An agent outlives a restart of its spawner: ask the next one about it.
  void Lost() {
    if (!instance_.empty()) {
      for (int i = 0; i < kAttachAttempts; ++i) {
        pollfd nothing{signals_.get(), POLLIN, 0};
        (void)poll(&nothing, 1, i == 0 ? 0 : kAttachPauseMs);
        Result<UniqueFd> again = Connect(socket_path_);
        if (!again.ok()) {
          if (nothing.revents != 0) break;  // whoever sends a signal now does not want to wait
          continue;
        }
        pb::ClientMessage m;
        m.mutable_attach()->set_instance(instance_);
        if (!spawner::SendLaunchMessage(again->get(), m, {}).ok()) continue;
        socket_ = std::move(*again);
        return;
      }
    }
    if (relay_) relay_->Restore();
    Say("the node has gone; `hexr doctor` says more");
    code_ = kRunRefused;
  }

  const RunRequest& request_;
  std::string socket_path_, instance_;
  UniqueFd socket_, signals_;
  std::vector<UniqueFd> folders_;
  ProgramPlaces places_;
  std::unique_ptr<TerminalRelay> relay_;
  std::vector<int> early_;  // signals that came before the command was known to run
  std::optional<int> code_;
};

}  // namespace

int RunAgent(const RunRequest& request) {
  if (request.command.empty()) {
    Say("no command: hexr run --agent NAME -- CMD");
    return kUsage;
  }
  return Runner(request).Run();
}

}  // namespace hexr::cli
