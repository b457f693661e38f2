// Launches real agents from tests, as root and as a plain user, with a thread that answers their exec notifications.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/process.h"
#include "spawner/filter.h"
#include "spawner/folders.h"
#include "spawner/ground.h"
#include "spawner/init.h"
#include "spawner/landlock.h"
#include "spawner/launch.h"
#include "spawner/sys.h"

namespace hexr::spawner::testing {

inline constexpr uid_t kPlainUid = 12345;
inline constexpr uid_t kTenantUid = 200000;

enum class Who { kRoot, kPlain };
inline std::string CallerName(const ::testing::TestParamInfo<Who>& info) {
  return info.param == Who::kRoot ? "Root" : "Plain";
}

// Runs `body` in a process of its own, as that caller: its expectations count for the test.
inline void As(Who caller, const std::function<void()>& body) {
  ASSERT_EQ(geteuid(), 0u) << "these tests launch as root and as a plain user: run them as root";
  fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    if (caller == Who::kPlain) {
      if (setgroups(0, nullptr) != 0 || setresgid(kPlainUid, kPlainUid, kPlainUid) != 0 ||
          setresuid(kPlainUid, kPlainUid, kPlainUid) != 0) {
        _exit(99);
      }
    }
    body();
    fflush(nullptr);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
      << "as " << (caller == Who::kRoot ? "root" : "plain user") << ": " << runtime::DescribeWaitStatus(status);
}

// In a child: goes on as a program in another PID namespace, as in a container; the child itself waits for it and ends.
inline void GoIntoAnotherPidNamespace() {
  prctl(PR_SET_DUMPABLE, 1);  // an ordinary program, and not a copy of a node's process
  if (unshare(geteuid() == 0 ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID) != 0) _exit(1);
  if (const pid_t inner = fork(); inner != 0) {
    waitpid(inner, nullptr, 0);
    _exit(0);
  }
}

// A folder under /var/tmp that goes away again, owned by `owner`.
class TempFolder {
 public:
  explicit TempFolder(uid_t owner = geteuid(), mode_t mode = 0755) {
    char name[] = "/var/lib/hexr-spawner-test.XXXXXX";
    char fallback[] = "/tmp/hexr-spawner-test.XXXXXX";
    const char* made = mkdtemp(name);
    if (made == nullptr) made = mkdtemp(fallback);
    if (made != nullptr) path_ = made;
    (void)!chown(path_.c_str(), owner, owner);
    chmod(path_.c_str(), mode);
  }
  ~TempFolder() {
    const pid_t pid = fork();
    if (pid == 0) {
      execl("/bin/rm", "rm", "-rf", path_.c_str(), nullptr);
      _exit(1);
    }
    waitpid(pid, nullptr, 0);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct AgentOptions {
  std::vector<std::string> argv;
  std::vector<std::string> env = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/u", "LANG=C.UTF-8"};
  std::string working_folder = "/";
  std::vector<std::pair<std::string, bool>> given;  // path, writable
  std::vector<std::string> hidden;
  uid_t caller_uid = geteuid();
  std::vector<gid_t> caller_gids = {getegid()};
  NodePlaces own;
  std::function<void(FolderRequest&)> ask;  // last word on what is asked for
  bool terminal = false;
  std::string stdin_text;
  std::string api_socket;
  std::vector<ListenerSpec> listeners;
  // Tests that remove one control, to see that another holds.
  bool landlock = true;
  ExecCalls exec = ExecCalls::kNotify;
  std::function<void(ChildPlan&)> change;
  std::function<void(Groundwork&)> change_ground;
};

inline ListenerSpec Tcp(uint16_t port, bool v6 = false) {
  ListenerSpec l;
  l.kind = "capture";
  l.port = port;
  l.v6 = v6;
  return l;
}

inline Given Open(const std::string& path, bool writable) {
  Given g;
  g.path = path;
  g.fd = UniqueFd(open(path.c_str(), O_PATH | O_CLOEXEC));
  g.writable = writable;
  return g;
}

class Agent {
 public:
  // Without `answer_execs` the caller answers the notifications, the first exec's among them.
  explicit Agent(AgentOptions options, bool answer_execs = true) { Begin(std::move(options), answer_execs); }
  ~Agent() {
    handles_.control.reset();  // PID 1 ends with the last holder of its control end
    if (handles_.init_pidfd) (void)Wait();
    if (notifier_.joinable()) notifier_.join();
  }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  const Status& started() const { return started_; }
  int exit_code() const { return exit_code_; }
  AgentHandles& handles() { return handles_; }
  const FolderNotes& notes() const { return notes_; }
  const std::vector<std::string>& plainly_bound() const { return plainly_bound_; }
  int exec_notifications() const { return notifications_; }

  // Everything the agent wrote to stdout and stderr until it ended.
  std::string Output() {
    std::string text;
    char buffer[4096];
    for (;;) {
      const ssize_t n = read(output_.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }
  // One line, for hand-shakes with a running agent.
  std::string Line() {
    std::string text;
    char c = 0;
    while (read(output_.get(), &c, 1) == 1 && c != '\n') text += c;
    return text;
  }
  void Input(const std::string& text) { (void)!write(input_.get(), text.data(), text.size()); }
  bool HasOutput() const {
    pollfd p{output_.get(), POLLIN, 0};
    return poll(&p, 1, 0) == 1;
  }
  bool Ended() const {
    pollfd p{handles_.init_pidfd.get(), POLLIN, 0};
    return poll(&p, 1, 0) == 1;
  }
  void CloseInput() { input_.reset(); }

  // The wait(2) status that PID 1 reported, or that of a kill when it could not.
  int Wait() {
    int status = SIGKILL;
    for (;;) {
      pollfd p{handles_.control ? handles_.control.get() : -1, POLLIN, 0};
      pollfd both[2] = {p, {handles_.init_pidfd.get(), POLLIN, 0}};
      if (poll(both, 2, 20'000) <= 0) return -1;
      InitMessage m{};
      if (both[0].revents != 0) {
        const ssize_t n = recv(handles_.control.get(), &m, sizeof m, MSG_DONTWAIT);
        if (n == sizeof m) {
          if (m.kind == InitMessage::Kind::kEnded)
            status = m.value;
          else
            others_.push_back(m);
          continue;
        }
        if (n <= 0 && both[1].revents == 0) {
          pollfd end{handles_.init_pidfd.get(), POLLIN, 0};
          poll(&end, 1, 20'000);
        }
      }
      break;
    }
    siginfo_t info{};
    waitid(P_PIDFD, static_cast<id_t>(handles_.init_pidfd.get()), &info, WEXITED);
    handles_.init_pidfd.reset();
    return status;
  }
  std::vector<InitMessage>& messages() { return others_; }

  // Runs to the end: output, then status.
  std::pair<std::string, int> Finish() {
    CloseInput();
    std::string out = Output();
    return {std::move(out), Wait()};
  }

 private:
  void Begin(AgentOptions o, bool answer_execs) {
    auto plan = std::make_unique<ChildPlan>();
    auto ground = std::make_unique<Groundwork>();
    const bool root = geteuid() == 0;
    plan->uid = root ? 1000 : geteuid();
    plan->gid = root ? 1000 : getegid();
    plan->hostname = "agent";
    plan->argv = o.argv;
    plan->env = o.env;
    ground->filter = BuildAgentFilter(o.exec);
    ground->filter_flags = o.exec == ExecCalls::kNotify
                               ? static_cast<unsigned>(SECCOMP_FILTER_FLAG_NEW_LISTENER) | kSeccompWaitKillableRecv
                               : static_cast<unsigned>(SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (o.argv[0].find('/') != std::string::npos)
      plan->candidates = {o.argv[0]};
    else
      plan->candidates = {"/usr/local/bin/" + o.argv[0], "/usr/bin/" + o.argv[0], "/bin/" + o.argv[0]};

    FolderRequest request;
    request.working_folder = o.working_folder;
    for (const auto& [path, writable] : o.given) request.given.push_back(Open(path, writable));
    for (const std::string& path : o.hidden) request.hidden.push_back({path, std::nullopt, false});
    request.own = o.own;
    request.caller_gids = o.caller_gids;
    request.home = "/home/u";
    request.caller_uid = o.caller_uid;
    ground->uid = plan->uid;
    ground->gid = plan->gid;
    ground->listeners = o.listeners;
    if (o.ask) o.ask(request);
    const HostIds ids = root ? HostIds{kTenantUid, kTenantUid} : HostIds{geteuid(), getegid()};
    std::vector<std::string> writable;
    auto origins = PlanGround({o.api_socket, "", ids, root ? &idmapper_ : nullptr}, *ground, ground_weaker_);
    started_ = origins.ok() ? Ok() : Status(origins.error());
    if (!started_.ok()) return;
    Result<FolderNotes> notes = PlanFolders(request, ids, root ? &idmapper_ : nullptr, *plan, writable);
    if (!notes.ok()) {
      started_ = notes.error();
      return;
    }
    notes_ = *notes;
    if (o.landlock) PlanLandlock(LandlockAbi(), writable, *plan);
    int out[2], in[2];
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(in, O_CLOEXEC) != 0) return;
    output_ = UniqueFd(out[0]);
    input_ = UniqueFd(in[1]);
    plan->stdio[0] = UniqueFd(in[0]);
    plan->stdio[1] = UniqueFd(out[1]);
    plan->stdio[2] = UniqueFd(fcntl(out[1], F_DUPFD_CLOEXEC, 3));
    for (bool& t : plan->terminal) t = o.terminal;
    if (o.change) o.change(*plan);
    if (o.change_ground) o.change_ground(*ground);
    (void)!write(input_.get(), o.stdin_text.data(), o.stdin_text.size());

    Result<std::unique_ptr<Launch>> launch = Launch::Prepare(std::move(ground), ids);
    started_ = launch.ok() ? (*launch)->Begin(std::move(plan)) : Status(launch.error());
    if (!started_.ok()) return;
    started_ = WaitFor(**launch, Launch::State::kReady);
    if (!started_.ok()) {
      exit_code_ = (*launch)->failure().exit_code;
      return;
    }
    plainly_bound_ = (*launch)->PlainlyBound();
    const int listener = (*launch)->handles().exec_listener.get();
    if (!answer_execs) {
      (*launch)->Exec();
      handles_ = (*launch)->Take();
      return;
    }
    notifier_ = std::thread([this, fd = fcntl(listener, F_DUPFD_CLOEXEC, 3)] { Answer(UniqueFd(fd)); });
    (*launch)->Exec();
    started_ = WaitFor(**launch, Launch::State::kRunning);
    if (!started_.ok()) {
      exit_code_ = (*launch)->failure().exit_code;
      return;
    }
    handles_ = (*launch)->Take();
    if (o.terminal) output_ = UniqueFd(fcntl(handles_.terminal.get(), F_DUPFD_CLOEXEC, 3));
    if (o.terminal) input_ = UniqueFd(fcntl(handles_.terminal.get(), F_DUPFD_CLOEXEC, 3));
    if (o.terminal) {
      for (const int fd : {output_.get()}) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    }
  }

  void Answer(UniqueFd listener) {
    for (;;) {
      pollfd p{listener.get(), POLLIN, 0};
      if (poll(&p, 1, -1) < 0) continue;
      if ((p.revents & POLLIN) != 0) {
        seccomp_notif n{};
        if (ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &n) != 0) continue;
        ++notifications_;
        seccomp_notif_resp r{};
        r.id = n.id;
        r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &r);
      } else if ((p.revents & POLLHUP) != 0) {  // POLLERR alone: the kernel could not look just now
        return;
      }
    }
  }

  Idmapper idmapper_;
  AgentHandles handles_;
  FolderNotes notes_;
  std::vector<std::string> ground_weaker_, plainly_bound_;
  UniqueFd output_, input_;
  Status started_;
  int exit_code_ = 0;
  std::atomic<int> notifications_{0};
  std::vector<InitMessage> others_;
  std::thread notifier_;
};

inline AgentOptions Shell(const std::string& script) {
  AgentOptions o;
  o.argv = {"/bin/sh", "-c", script};
  return o;
}
inline AgentOptions Python(const std::string& script) {
  AgentOptions o;
  o.argv = {"/usr/bin/python3", "-I", "-c", script};
  return o;
}

}  // namespace hexr::spawner::testing
