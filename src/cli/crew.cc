#include "cli/crew.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>

#include "base/clock.h"
#include "base/limits/agents.h"
#include "cli/output.h"
#include "cli/run.h"
#include "config/crew.h"
#include "runtime/process.h"
#include "runtime/unique_fd.h"

namespace hexr::cli {
namespace {

using runtime::UniqueFd;

constexpr std::chrono::seconds kStopGrace{10};  // between SIGTERM and SIGKILL when the crew is ended
constexpr int kPassedOn[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};

// One pipe of a role: cut into lines, each with the role's name before it.
class Lines {
 public:
  Lines(UniqueFd fd, FILE* to, std::string prefix) : fd_(std::move(fd)), to_(to), prefix_(std::move(prefix)) {}
  int fd() const { return fd_.get(); }
  // Takes what has come; true once a line held `wanted`.
  bool Take(const std::string& wanted) {
    bool found = false;
    char buffer[16384];
    for (;;) {
      const ssize_t n = read(fd_.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return found;
      if (n <= 0) break;
      text_.append(buffer, static_cast<size_t>(n));
      for (size_t end = text_.find('\n'); end != std::string::npos; end = text_.find('\n'))
        found |= Print(end, end + 1, wanted);
      while (text_.size() > limits::kMaxCrewLineBytes)
        found |= Print(limits::kMaxCrewLineBytes, limits::kMaxCrewLineBytes, wanted);
    }
    if (!text_.empty()) found |= Print(text_.size(), text_.size(), wanted);
    fd_.reset();
    return found;
  }

 private:
  bool Print(size_t length, size_t taken, const std::string& wanted) {
    const std::string_view line(text_.data(), length);
    std::fprintf(to_, "%s%.*s\n", prefix_.c_str(), static_cast<int>(line.size()), line.data());
    const bool found = !wanted.empty() && line.find(wanted) != std::string_view::npos;
    std::fflush(to_);
    text_.erase(0, taken);
    return found;
  }

  UniqueFd fd_;
  FILE* to_;
  std::string prefix_, text_;
};

struct Member {
  enum class State : uint8_t { kWaiting, kRunning, kEnded, kNeverStarted };
  explicit Member(const config::CrewRole& r) : role(r) {}
  const config::CrewRole& role;
  State state = State::kWaiting;
  pid_t pid = -1;
  std::optional<Lines> out, err;
  UniqueFd started;  // "INSTANCE SPIFFE-ID", from its `hexr run`
  std::string instance, spiffe_id, why;
  bool ready = false;
  bool ended_by_us = false;
  int status = 0;  // wait(2) form
  MonoTime begin{}, end{};

  bool Gone() const { return state == State::kEnded || state == State::kNeverStarted; }
  int Code() const {
    if (state == State::kNeverStarted) return kRunRefused;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
};

class CrewRun {
 public:
  CrewRun(const Invocation& in, const config::Crew& crew, std::string folder)
      : in_(in), crew_(crew), folder_(std::move(folder)) {
    for (const config::CrewRole& r : crew_.roles) {
      members_.emplace_back(r);
      width_ = std::max(width_, r.role.value().size());
    }
  }

  int Run() {
    if (const Status s = WatchSignals(); !s.ok()) return Fail(s.error());
    StartWhatMay();
    while (std::any_of(members_.begin(), members_.end(), [](const Member& m) { return !m.Gone(); })) Wait();
    Report();
    return code_;
  }

 private:
  Status WatchSignals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int s : kPassedOn) sigaddset(&set, s);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &old_signals_);
    signals_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    return signals_ ? Ok() : Status(ErrnoError("signalfd", errno));
  }

  Member* Find(const std::string& role) {
    const auto it =
        std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.role.role.value() == role; });
    return it == members_.end() ? nullptr : &*it;
  }

  // ---- starting

  void StartWhatMay() {
    for (Member& m : members_) {
      if (m.state != Member::State::kWaiting) continue;
      bool all_ready = true;
      for (const std::string& name : m.role.after) {
        const Member& earlier = *Find(name);
        all_ready &= earlier.ready;
        if (!earlier.ready && earlier.Gone()) m.why = name + " ended before it was ready";
      }
      if (m.why.empty() && stopping_) m.why = "the crew was ended before";
      if (!m.why.empty()) {
        m.state = Member::State::kNeverStarted;
        Note(m);
      } else if (all_ready) {
        const Status s = Start(m);
        if (!s.ok()) {
          m.why = s.error().message();
          m.state = Member::State::kNeverStarted;
          Note(m);
        }
      }
    }
  }

  Status Start(Member& m) {
    int out[2], err[2], started[2];
    if (pipe2(out, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
    UniqueFd out_read(out[0]), out_write(out[1]);
    if (pipe2(err, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
    UniqueFd err_read(err[0]), err_write(err[1]);
    if (pipe2(started, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
    UniqueFd started_read(started[0]), started_write(started[1]);
    std::fflush(stdout);
    std::fflush(stderr);
    m.begin = m.end = clock_.Mono();
    const pid_t crew = getpid();
    m.pid = fork();
    if (m.pid < 0) return ErrnoError("fork", errno);
    if (m.pid == 0) Become(m, crew, out_write.get(), err_write.get(), started_write.get());
    for (const UniqueFd* fd : {&out_read, &err_read, &started_read}) (void)fcntl(fd->get(), F_SETFL, O_NONBLOCK);
    const std::string& name = m.role.role.value();
    const std::string prefix = Paint(Colour::kBold, name + std::string(width_ - name.size(), ' ') + " |") + " ";
    // JSON goes to stdout alone.
    m.out.emplace(std::move(out_read), in_.output == Output::kJson ? stderr : stdout, prefix);
    m.err.emplace(std::move(err_read), stderr, prefix);
    m.started = std::move(started_read);
    m.state = Member::State::kRunning;
    return Ok();
  }

  // In the child: `hexr run` as if it had been typed in the role's folder.
  [[noreturn]] void Become(const Member& m, pid_t crew, int out, int err, int started) {
    // Out of the terminal's reach: the crew passes signals on, once.
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != crew) _exit(kRunRefused);
    sigprocmask(SIG_SETMASK, &old_signals_, nullptr);
    const UniqueFd nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (dup2(nothing.get(), 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(kRunRefused);
    const std::string dir = m.role.dir.empty()     ? folder_
                            : m.role.dir[0] == '/' ? m.role.dir
                                                   : folder_ + "/" + m.role.dir;
    if (chdir(dir.c_str()) != 0) {
      PrintError(dir + ": " + std::strerror(errno));
      _exit(kRunRefused);
    }
    for (const auto& [name, value] : m.role.env) setenv(name.c_str(), value.c_str(), 1);
    const int code = RunAgent({.launch_socket = in_.paths.LaunchSocket(),
                               .tenant = crew_.tenant ? crew_.tenant->value() : "",
                               .agent = m.role.agent.value(),
                               .role = m.role.role.value(),
                               .command = m.role.command,
                               .read_only = m.role.read_only,
                               .read_write = m.role.read_write,
                               .hidden = m.role.hidden,
                               .keep_env = m.role.keep_env,
                               .started_fd = started});
    std::fflush(nullptr);
    _exit(code);
  }

  // ---- while they run

  void Wait() {
    std::vector<pollfd> fds = {{signals_.get(), POLLIN, 0}};
    for (const Member& m : members_) {
      for (const int fd : {m.out ? m.out->fd() : -1, m.err ? m.err->fd() : -1, m.started.get()})
        fds.push_back({fd, POLLIN, 0});
    }
    int timeout = -1;
    if (stopping_ && !killed_) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(stop_at_ - clock_.Mono()).count();
      timeout = static_cast<int>(std::clamp<int64_t>(left + 1, 0, INT_MAX));
    }
    if (poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) return;
    for (size_t i = 0; i < members_.size(); ++i) {
      Member& m = members_[i];
      if (fds[1 + 3 * i].revents != 0) m.ready |= m.out->Take(m.role.ready);
      if (fds[2 + 3 * i].revents != 0) m.ready |= m.err->Take(m.role.ready);
      if (fds[3 + 3 * i].revents != 0) TakeStarted(m);
    }
    TakeSignals();
    if (stopping_ && !killed_ && clock_.Mono() >= stop_at_) Kill();
    StartWhatMay();
  }

  void TakeStarted(Member& m) {
    char buffer[512];
    const ssize_t n = read(m.started.get(), buffer, sizeof buffer);
    m.started.reset();
    if (n <= 0) return;
    const std::string text(buffer, static_cast<size_t>(n));
    const size_t blank = std::min(text.find(' '), text.size());
    m.instance = text.substr(0, blank);
    m.spiffe_id = text.substr(std::min(blank + 1, text.size()));
    m.ready |= m.role.ready.empty();
  }

  void TakeSignals() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int s = static_cast<int>(info.ssi_signo);
      if (s == SIGCHLD) {
        Reap();
        continue;
      }
      const bool ends = s == SIGINT || s == SIGTERM || s == SIGQUIT || s == SIGHUP;
      if (ends && asked_ && !killed_)
        Kill();  // whoever asks twice does not want to wait
      else
        Signal(s);
      asked_ |= ends;
      if (ends) Stop();
      if (s == SIGTSTP) raise(SIGSTOP);
    }
  }

  void Reap() {
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid <= 0) return;
      const auto it = std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.pid == pid; });
      if (it == members_.end() || it->state != Member::State::kRunning) continue;
      it->ready |= it->out->Take(it->role.ready);
      it->ready |= it->err->Take(it->role.ready);
      if (it->started) TakeStarted(*it);
      it->state = Member::State::kEnded;
      it->status = status;
      it->end = clock_.Mono();
      Note(*it);
    }
  }

  // One that is gone: does it decide the exit code, and does it end the others?
  void Note(const Member& m) {
    const bool failed = m.Code() != 0 && !m.ended_by_us && !(m.state == Member::State::kNeverStarted && stopping_);
    if (failed && code_ == 0) code_ = m.Code();
    if (crew_.stop == config::CrewStop::kAny || (crew_.stop == config::CrewStop::kFailure && failed)) {
      if (!stopping_) EndOthers();
      Stop();
    }
  }

  void EndOthers() {
    for (Member& m : members_) {
      if (m.state != Member::State::kRunning) continue;
      m.ended_by_us = true;
      (void)kill(m.pid, SIGTERM);
    }
  }

  void Stop() {
    if (stopping_) return;
    stopping_ = true;
    stop_at_ = clock_.Mono() + kStopGrace;
  }

  void Signal(int s) {
    for (const Member& m : members_) {
      if (m.state == Member::State::kRunning) (void)kill(m.pid, s);
    }
  }

  // The end of its `hexr run` is the end of an agent: the spawner hangs it up.
  void Kill() {
    killed_ = true;
    Signal(SIGKILL);
  }

  // ---- at the end

  std::string Ending(const Member& m) const {
    if (m.state == Member::State::kNeverStarted) return "not started: " + m.why;
    return runtime::DescribeWaitStatus(m.status) + (m.ended_by_us ? ", ended with the crew" : "");
  }

  void Report() {
    wire::JsonArray json;
    std::vector<std::vector<std::string>> rows;
    for (const Member& m : members_) {
      const double seconds = std::chrono::duration<double>(m.end - m.begin).count();
      char time[32];
      std::snprintf(time, sizeof time, "%.1f s", seconds);
      wire::JsonObject o{{"agent", m.role.agent.value()},
                         {"role", m.role.role.value()},
                         {"code", m.Code()},
                         {"ended", Ending(m)},
                         {"seconds", seconds},
                         {"instance", m.instance},
                         {"spiffe_id", m.spiffe_id}};
      json.push_back(std::move(o));
      const Colour colour = m.Code() == 0 ? Colour::kGreen : m.ended_by_us ? Colour::kYellow : Colour::kRed;
      rows.push_back({m.role.agent.value() + "/" + m.role.role.value(), Paint(colour, std::to_string(m.Code())),
                      Ending(m), m.state == Member::State::kNeverStarted ? "" : time, m.instance});
    }
    std::fflush(stderr);
    if (in_.output == Output::kJson) {
      PrintJson(wire::JsonObject{{"code", code_}, {"roles", std::move(json)}});
    } else {
      PrintTable({"ROLE", "CODE", "ENDED", "TIME", "INSTANCE"}, rows);
    }
  }

  const Invocation& in_;
  const config::Crew& crew_;
  const std::string folder_;
  SystemClock clock_;
  std::vector<Member> members_;
  size_t width_ = 0;
  UniqueFd signals_;
  sigset_t old_signals_{};
  int code_ = 0;
  bool stopping_ = false, killed_ = false, asked_ = false;
  MonoTime stop_at_{};
};

int RunCrew(const Invocation& in) {
  const std::string file = in.Get("FILE");
  char path[PATH_MAX];
  std::ifstream stream(file, std::ios::binary);
  if (!stream || realpath(file.c_str(), path) == nullptr) {
    PrintError(file + ": " + std::strerror(errno));
    return kUsage;
  }
  // One byte over the bound is enough to be refused.
  std::string text(limits::kMaxCrewFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  const config::CrewOutcome outcome = config::ParseCrew(text, file);
  for (const config::Problem& p : outcome.problems) PrintError(p.ToString());
  if (!outcome.crew) return kUsage;
  const std::string_view whole(path);
  return CrewRun(in, *outcome.crew, std::string(whole.substr(0, std::max<size_t>(whole.rfind('/'), 1)))).Run();
}

}  // namespace

std::vector<Command> CrewCommands() {
  return {
      {"crew",
       "Run the roles of a crew file together, each as an agent of its own",
       "hexr crew crew.yaml",
       {},
       {{"FILE", "the roles: command, folders, order"}},
       RunCrew},
  };
}

}  // namespace hexr::cli
