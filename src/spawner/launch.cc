#include "spawner/launch.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/exit_codes.h"
#include "base/limits/agents.h"
#include "base/limits/messages.h"
#include "runtime/packet.h"
#include "runtime/process.h"
#include "spawner/child.h"
#include "spawner/mounts.h"
#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

// Not the cgroup namespace: its root is the group that its maker is in, so the child makes it once it is in its own.
constexpr uint64_t kNamespaces =
    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
constexpr int kWaitMs = 10'000;

Status WriteProcFile(pid_t pid, const char* name, const std::string& text) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open " + path, errno);
  if (write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return ErrnoError("write " + path, errno);
  return Ok();
}

Status SendGo(int sync) {
  if (send(sync, &kSyncGo, 1, MSG_NOSIGNAL) != 1) return ErrnoError("tell the child to go on", errno);
  return Ok();
}

Status Check(const Groundwork& ground, HostIds ids) {
  if (ids.uid == 0 || ids.gid == 0) return PermissionDenied("an agent never runs as the host's root");
  if (ground.mounts.size() > kMaxMountSteps) return Internal("the groundwork has too many mounts");
  if (ground.listeners.size() > limits::kMaxAgentListeners)
    return ResourceExhausted("too many listeners for one agent");
  if (ground.filter.empty()) return Internal("an agent without a system call filter");
  return Ok();
}

Status Check(const ChildPlan& plan) {
  if (plan.argv.empty() || plan.argv[0].empty()) return InvalidArgument("no command");
  if (plan.mounts.size() > kMaxMountSteps) return ResourceExhausted("too many folders for one agent");
  return Ok();
}

const char* NetworkStep(uint32_t index) {
  switch (index) {
    case 1: return "bring the loopback up";
    case 2: return "add the IPv4 address";
    case 3: return "add the IPv6 address (is IPv6 switched off on this machine?)";
    case 4: return "make every IPv4 address local";
    case 5: return "make every IPv6 address local";
    default: return "open a netlink socket";
  }
}

}  // namespace

Result<std::unique_ptr<Launch>> Launch::Prepare(std::unique_ptr<Groundwork> ground, HostIds ids, Reap reap) {
  RETURN_IF_ERROR(Check(*ground, ids));
  ASSIGN_OR_RETURN(SharedPlanMemory memory, SharedPlanMemory::Make());
  RETURN_IF_ERROR(memory.Write(ground->mounts));
  std::unique_ptr<Launch> launch(new Launch(std::move(ground), ids, std::move(memory), std::move(reap)));
  RETURN_IF_ERROR(launch->Clone());
  return launch;
}

Status Launch::Begin(std::unique_ptr<ChildPlan> plan) {
  HEXR_CHECK(!begun());
  plan_ = std::move(plan);  // whatever happens now, this process is nobody else's any more
  RETURN_IF_ERROR(Check(*plan_));
  RETURN_IF_ERROR(memory_.Write(*plan_));
  return ground_->asks_for_maps ? Ok() : SendPlan();  // it goes on when it has its maps
}

Status Launch::SendPlan() {
  std::vector<int> fds;
  for (const UniqueFd& fd : plan_->stdio) fds.push_back(fd.get());
  for (const MountStep& step : plan_->mounts) {
    if (step.tree) fds.push_back(step.tree.get());
  }
  for (std::span<const int> left(fds); !left.empty();) {
    const std::span<const int> now = left.first(std::min(left.size(), limits::kMaxMessageFds));
    left = left.subspan(now.size());
    const char kind = left.empty() ? kSyncPlan : kSyncMore;
    RETURN_IF_ERROR(runtime::SendPacket(sync_.get(), AsBytes(std::string_view(&kind, 1)), now));
  }
  for (UniqueFd& fd : plan_->stdio) fd.reset();
  for (MountStep& step : plan_->mounts) step.tree.reset();
  return Ok();
}

Launch::~Launch() { Abandon(); }

void Launch::Abandon() {
  if (taken_ || handles_.init_pid <= 0) return;
  taken_ = true;
  (void)!runtime::SignalPidfd(handles_.init_pidfd.get(), SIGKILL).ok();
  if (reap_ && reap_(handles_)) return;
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(handles_.init_pidfd.get()), &info, WEXITED) != 0 && errno == EINTR) {
  }
}

Status Launch::Clone() {
  int sync[2], errors[2], control[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) != 0) return ErrnoError("socketpair", errno);
  sync_ = UniqueFd(sync[0]);
  ground_->sync = UniqueFd(sync[1]);
  if (pipe2(errors, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
  errors_ = UniqueFd(errors[0]);
  ground_->errors = UniqueFd(errors[1]);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0) return ErrnoError("socketpair", errno);
  handles_.control = UniqueFd(control[0]);
  ground_->control = UniqueFd(control[1]);
  const int on = 1;
  // Who writes is how we learn the pid of PID 2, which is no child of ours. SO_PASSPIDFD is 6.5 and later: tried, not
  // needed.
  if (setsockopt(sync_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return ErrnoError("SO_PASSCRED", errno);
  (void)setsockopt(sync_.get(), SOL_SOCKET, kSoPassPidfd, &on, sizeof on);
  for (const int fd : {sync_.get(), errors_.get(), handles_.control.get()}) {
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) return ErrnoError("O_NONBLOCK", errno);
  }

  ground_->asks_for_maps = geteuid() != 0;
  int pidfd = -1;
  clone_args args{};
  args.flags = kNamespaces | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (ground_->cgroup.folder() >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(ground_->cgroup.folder());
  }
  // The plans of other launches are none of this child's business.
  RETURN_IF_ERROR(memory_.ShareWithNextChild(true));
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
  const int failed = errno;
  if (pid != 0) HEXR_CHECK(memory_.ShareWithNextChild(false).ok());
  errno = failed;
  if (pid < 0) return ErrnoError("make the agent's namespaces (clone3)", errno);
  if (pid == 0) RunChild(*ground_, *memory_.plan());
  handles_.init_pid = pid;
  handles_.init_pidfd = UniqueFd(pidfd);
  handles_.cgroup = std::move(ground_->cgroup);
  ground_->sync.reset();
  ground_->errors.reset();
  ground_->control.reset();
  for (MountStep& step : ground_->mounts) step.tree.reset();

  return ground_->asks_for_maps ? Ok() : WriteMaps();
}

// The child stands at its first step, and waits.
Status Launch::WriteMaps() {
  const pid_t pid = handles_.init_pid;
  struct stat ns {};
  const std::string ns_path = "/proc/" + std::to_string(pid) + "/ns/pid_for_children";
  if (stat(ns_path.c_str(), &ns) == 0) handles_.pid_namespace = ns.st_ino;
  // A plain user may map its own gid only after giving up setgroups(2).
  if (geteuid() != 0) RETURN_IF_ERROR(WriteProcFile(pid, "setgroups", "deny"));
  RETURN_IF_ERROR(WriteProcFile(pid, "gid_map", std::to_string(ground_->gid) + " " + std::to_string(ids_.gid) + " 1"));
  RETURN_IF_ERROR(WriteProcFile(pid, "uid_map", std::to_string(ground_->uid) + " " + std::to_string(ids_.uid) + " 1"));
  RETURN_IF_ERROR(SendGo(sync_.get()));
  return begun() ? SendPlan() : Ok();
}

Status Launch::ReadMessage() {
  ASSIGN_OR_RETURN(runtime::Packet p, runtime::ReceivePacket(sync_.get()));
  const char kind = static_cast<char>(p.data[0]);
  if (kind == kSyncBorn && std::exchange(ground_->asks_for_maps, false)) return WriteMaps();
  if (kind == kSyncBuilt && !built_) {
    const size_t listeners = ground_->listeners.size();
    if (p.fds.size() != listeners + 1) {
      return DataLoss("the child sent other descriptors than planned");
    }
    for (size_t i = 0; i < listeners; ++i) handles_.listeners.push_back(std::move(p.fds[i]));
    handles_.diag = std::move(p.fds[listeners]);
    handles_.cgroup.Entered();
    built_ = true;
    return Ok();
  }
  if (kind == kSyncReady && built_ && plan_ && p.fds.size() == (plan_->WantsTerminal() ? 3U : 2U) && p.sender_pid) {
    handles_.exec_listener = std::move(p.fds[0]);
    program_ = std::move(p.fds[1]);
    if (plan_->WantsTerminal()) handles_.terminal = std::move(p.fds[2]);
    program_path_ = std::string(AsText(p.data).substr(1));
    handles_.agent_pid = static_cast<pid_t>(*p.sender_pid);
    // PID 2 waits for our word, so its pid cannot have passed to another process.
    handles_.agent_pidfd = std::move(p.sender_pidfd);
    if (!handles_.agent_pidfd) {
      ASSIGN_OR_RETURN(handles_.agent_pidfd, runtime::OpenPidfd(handles_.agent_pid));
    }
    ASSIGN_OR_RETURN(handles_.agent_start_time, runtime::ProcessStartTime(handles_.agent_pid));
    state_ = State::kReady;
    return Ok();
  }
  return DataLoss("unexpected message of the child");
}

Launch::State Launch::Advance() {
  while (state_ == State::kBuilding) {
    const Status s = ReadMessage();
    if (s.ok()) continue;
    if (s.error().code() == ErrorCode::kNotFound) return state_;
    if (s.error().code() == ErrorCode::kUnavailable) return FailFromChild();
    return FailWith(s.error());
  }
  if (state_ == State::kExecuting) {
    ChildError error{};
    const ssize_t n = read(errors_.get(), &error, sizeof error);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return state_;
    if (n == 0) {
      // Closed by exec, or by the death of a process that was killed before it: the pidfd tells those apart later.
      state_ = State::kRunning;
    } else {
      LaunchFailure f = Explain(error, *ground_, plan_.get());
      return FailWith(std::move(f.error), f.exit_code);
    }
  }
  return state_;
}

std::vector<std::string> Launch::PlainlyBound() const {
  std::vector<std::string> paths;
  const auto add = [&](const std::vector<MountStep>& steps, std::span<const SharedStep> taken) {
    for (size_t i = 0; i < std::min(steps.size(), taken.size()); ++i) {
      if (taken[i].bound_plainly) paths.push_back(steps[i].target);
    }
  };
  add(ground_->mounts, memory_.ground());
  if (plan_) add(plan_->mounts, memory_.mounts());
  return paths;
}

Launch::State Launch::FailFromChild() {
  ChildError error{};
  if (read(errors_.get(), &error, sizeof error) != sizeof error)
    return FailWith(Internal("the child ended without saying why"));
  LaunchFailure f = Explain(error, *ground_, plan_.get());
  return FailWith(std::move(f.error), f.exit_code);
}

Launch::State Launch::FailWith(Error e, int exit_code) {
  failure_ = std::make_unique<LaunchFailure>(LaunchFailure{std::move(e), exit_code});
  state_ = State::kFailed;
  return state_;
}

void Launch::Exec() {
  HEXR_CHECK(state_ == State::kReady);
  state_ = State::kExecuting;
  const Status s = SendGo(sync_.get());
  if (!s.ok()) FailWith(s.error());
}

AgentHandles Launch::Take() {
  HEXR_CHECK(state_ != State::kBuilding && state_ != State::kFailed);
  taken_ = true;
  return std::move(handles_);
}

LaunchFailure Explain(const ChildError& error, const Groundwork& ground, const ChildPlan* planned) {
  using Stage = ChildError::Stage;
  const auto say = [&](const std::string& what, int exit_code = kRunRefused) {
    return LaunchFailure{ErrnoError(what, error.errnum), exit_code};
  };
  static const ChildPlan kNone;
  const ChildPlan& plan = planned != nullptr ? *planned : kNone;  // before there is one, only the groundwork can fail
  switch (error.stage) {
    case Stage::kSync: return say("talk to the new process");
    case Stage::kIdentity: return say("take the agent's user id");
    case Stage::kNetwork: return say(std::string("network: ") + NetworkStep(error.index));
    case Stage::kListener: {
      if (error.index >= ground.listeners.size()) break;
      const ListenerSpec& l = ground.listeners[error.index];
      return say("listen on port " + std::to_string(l.port) + (l.v6 ? " (IPv6)" : "") + " for " + l.kind);
    }
    case Stage::kGround:
      return say("give the agent " +
                 (error.index < ground.mounts.size() ? ground.mounts[error.index].target : std::string("a root")));
    case Stage::kMount: {
      if (error.index >= plan.mounts.size()) break;
      const MountStep& m = plan.mounts[error.index];
      if (error.errnum == ESTALE && m.expect) {
        return {FailedPrecondition(m.target + ": something else is there now than when hexr run was started"),
                kRunRefused};
      }
      return say("give the agent " + m.target);
    }
    case Stage::kPivot: return say("enter the agent's root");
    case Stage::kWorkingFolder: return say("enter the working folder " + plan.working_folder);
    case Stage::kHostname: return say("set the host name");
    case Stage::kLimits: return say("set resource limit " + std::to_string(error.index));
    case Stage::kTerminal: return say("set up standard input and output");
    case Stage::kCgroup: return say("enter the agent's control group");
    case Stage::kFork: return say("fork");
    case Stage::kCapabilities: return say("give up capabilities");
    case Stage::kLandlock:
      return say("Landlock: " +
                 (error.index < plan.landlock.size() ? plan.landlock[error.index].path : std::string("restrict")));
    case Stage::kFilter: return say("install the system call filter");
    case Stage::kFindProgram:
    case Stage::kExec: {
      const bool missing = error.errnum == ENOENT || error.errnum == ENOTDIR;
      return say(plan.argv.empty() ? "exec" : plan.argv[0], missing ? kRunNotFound : kRunCannotExecute);
    }
  }
  return {Internal("malformed report of the child"), kRunRefused};
}

Status WaitFor(Launch& launch, Launch::State wanted) {
  for (;;) {
    const Launch::State state = launch.Advance();
    if (state == Launch::State::kFailed) return launch.failure().error;
    if (state == wanted || state == Launch::State::kRunning) return Ok();
    pollfd p{state == Launch::State::kBuilding ? launch.event_fd() : launch.error_fd(), POLLIN, 0};
    if (poll(&p, 1, kWaitMs) == 0) return DeadlineExceeded("the child does not answer");
  }
}

}  // namespace hexr::spawner
