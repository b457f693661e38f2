// Starting one agent process: the groundwork, which may be done ahead of need; from a plan to a process that stands
// before its exec; on to the running program.
//
// Everything here is mechanism: who may be started, with which folders and under which identity, is decided by the
// caller. Nothing blocks: the child reports over a socket that the caller watches. Belongs to one thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/unique_fd.h"
#include "spawner/shared_plan.h"

namespace hexr::spawner {

// The ids on the host that the plan's inner ids stand for.
struct HostIds {
  uid_t uid = 0;
  gid_t gid = 0;
};

// What a launch leaves in the spawner's hands. Descriptors only: closing them all ends the agent (init.h, end of file).
struct AgentHandles {
  pid_t init_pid = -1;  // PID 1 of the agent's namespace, as seen here; our child
  UniqueFd init_pidfd;  // readable when PID 1 has ended, and with it every process of the agent
  pid_t agent_pid = -1;
  UniqueFd agent_pidfd;
  uint64_t agent_start_time = 0;
  UniqueFd control;                 // to PID 1 (InitMessage)
  UniqueFd exec_listener;           // seccomp notifications of execve and execveat
  std::vector<UniqueFd> listeners;  // in the plan's order
  UniqueFd diag;                    // SOCK_DIAG inside the agent's network namespace
  UniqueFd terminal;                // master, where the plan wanted one
  uint64_t pid_namespace = 0;       // inode
  CgroupLeaf cgroup;                // goes last: after the processes in it
};

// Why a launch failed: `exit_code` is what `hexr run` exits with (125 hexr's fault or refusal, 126 cannot execute, 127
// not found).
struct LaunchFailure {
  Error error;
  int exit_code = 125;
};

// One launch under way. Destroying it before Take kills the child.
class Launch {
 public:
  // clone3 and the id maps; the child lays the ground by itself. PERMISSION_DENIED for host uid or gid 0: no agent is
  // the host's root (INV-SPAWN-01).
  // `reap` takes the child of a launch that is given up: killed, and gone when its pidfd is readable, which takes as
  // long as the file systems that were mounted for it. Where it is none, or says false, that is waited for.
  using Reap = UniqueFunction<bool(AgentHandles&)>;
  static Result<std::unique_ptr<Launch>> Prepare(std::unique_ptr<Groundwork> ground, HostIds ids, Reap reap = {});
  // Gives the child its plan, once: from here on it belongs to one agent. RESOURCE_EXHAUSTED for a plan over a limit.
  Status Begin(std::unique_ptr<ChildPlan> plan);
  ~Launch();
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  // Readable when Advance has something to do; also readable end of file on `error_fd`.
  int event_fd() const { return sync_.get(); }
  int error_fd() const { return errors_.get(); }

  enum class State : uint8_t {
    kBuilding,   // call Advance when event_fd is readable; before Begin, that is about the groundwork
    kReady,      // stands before exec; handles and program are there; Exec lets it go
    kExecuting,  // call Advance when error_fd is readable
    kRunning,    // exec has worked
    kFailed,     // failure() says why
  };
  State Advance();
  State state() const { return state_; }
  const LaunchFailure& failure() const { return *failure_; }
  bool begun() const { return plan_ != nullptr; }

  // From kReady on. `program` is the file that will be executed, and where the agent sees it; readable unless it is
  // executable only.
  UniqueFd TakeProgram() { return std::move(program_); }
  const std::string& program_path() const { return program_path_; }
  AgentHandles& handles() { return handles_; }
  const ChildPlan& plan() const { return *plan_; }
  const Groundwork& ground() const { return *ground_; }
  // Where sockets of the host can be reached after all, for a plain user's node: folders that an overlay was meant for.
  std::vector<std::string> PlainlyBound() const;
  // Until Take.
  const ChildTimes& times() const { return memory_.plan()->times; }

  void Exec();
  // Once kReady: the handles, for keeping. The launch goes on as before; its destruction no longer kills.
  AgentHandles Take();

 private:
  Launch(std::unique_ptr<Groundwork> ground, HostIds ids, SharedPlanMemory memory, Reap reap)
      : ground_(std::move(ground)), ids_(ids), memory_(std::move(memory)), reap_(std::move(reap)) {}
  Status Clone();
  Status WriteMaps();
  Status SendPlan();
  Status ReadMessage();
  State FailWith(Error e, int exit_code = 125);
  State FailFromChild();
  void Abandon();

  std::unique_ptr<Groundwork> ground_;
  HostIds ids_;
  std::unique_ptr<ChildPlan> plan_;
  SharedPlanMemory memory_;
  Reap reap_;
  AgentHandles handles_;
  UniqueFd sync_, errors_, program_;
  std::string program_path_;
  State state_ = State::kBuilding;
  bool built_ = false;
  bool taken_ = false;
  std::unique_ptr<LaunchFailure> failure_;
};

// What the child said in words: "cannot make /home/u/p: No space left on device".
LaunchFailure Explain(const ChildError& error, const Groundwork& ground, const ChildPlan* plan);

// Blocking, for tests and tools: until kReady, kRunning or kFailed. DEADLINE_EXCEEDED after ten seconds.
Status WaitFor(Launch& launch, Launch::State wanted);

}  // namespace hexr::spawner
