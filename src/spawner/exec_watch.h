// Sees every exec of an agent before it happens, and takes the registered process's identity away first.
//
// The kernel stops execve and execveat of every process of the agent and asks the holder of the filter's listener
// (seccomp_unotify(2)). Only the registered process has an identity to lose, so all others continue at once. CONTINUE
// decides nothing, since the arguments lie in memory that the agent can change meanwhile; it is the moment of
// revocation. What the new image is, is read from the kernel after the old one has gone. Belongs to the loop's thread.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {

// Execs whose handling has begun and not ended, in shared memory that outlives this process: a task whose notification
// is lost hangs for ever, and an exec that is forgotten half-way would give the new image the old identity
// (INV-SPAWN-08).
class ExecJournal {
 public:
  static constexpr size_t kSlots = 16;
  enum State : uint32_t {
    kFree,
    kTaken,      // received, not answered
    kContinued,  // of the registered process: answered, may be under way
    kOver,       // of the registered process: over, what runs now is not attested yet
  };
  struct Slot {
    uint64_t id;
    int32_t tid;
    State state;
  };
  static Result<ExecJournal> Create();
  static Result<ExecJournal> Adopt(runtime::UniqueFd memory);
  ~ExecJournal();
  ExecJournal(ExecJournal&& o) noexcept;
  ExecJournal& operator=(ExecJournal&&) = delete;

  int fd() const { return memory_.get(); }
  // For whoever keeps it for a successor; what is mapped here stays.
  runtime::UniqueFd TakeMemory() { return std::move(memory_); }
  // A free slot, or nullptr: take no further notification then.
  Slot* Free();
  Slot* slots() { return shared_->slots; }
  // Takes the next notification of `listener` in; false where there is none. There has to be a free slot. Then Keep()
  // gives it that slot, as taken. At no point of either does what the kernel has given out stand nowhere.
  bool Receive(int listener);
  Slot* Keep();

 private:
  struct Shared {
    Slot slots[kSlots];
    // The kernel writes it here, not into memory that ends with its receiver. All zero where nothing is on its way.
    seccomp_notif received;
  };
  ExecJournal(runtime::UniqueFd memory, Shared* shared) : memory_(std::move(memory)), shared_(shared) {}
  static Result<ExecJournal> Map(runtime::UniqueFd memory);
  runtime::UniqueFd memory_;
  Shared* shared_;
};

class ExecWatch {
 public:
  struct Events {
    // The registered process is about to exec: take its identity away, then answer. `go` false refuses the exec
    // (EAGAIN).
    UniqueFunction<void(UniqueFunction<void(bool go)> answer)> starting;
    // No exec of the registered process is under way any more: what runs now can be attested. Also after one that
    // failed.
    UniqueFunction<void()> settled;
  };
  // `listener` and `journal` outlive this object. What the journal holds, from a predecessor, is taken up at once.
  // `launching`: the first exec of the registered process is the launch itself, before which it has no identity.
  ExecWatch(runtime::Loop& loop, pid_t registered, int listener, ExecJournal& journal, bool launching, Events events);
  ~ExecWatch();
  ExecWatch(const ExecWatch&) = delete;
  ExecWatch& operator=(const ExecWatch&) = delete;

  // Of the last exec of the registered process, in nanoseconds of CLOCK_MONOTONIC: seen, and let go on.
  struct Held {
    int64_t from = 0, to = 0;
  };
  Held held() const { return held_; }
  // An exec of the registered process is between its notification and its end.
  bool busy() const { return !pending_.empty(); }
  // After `settled`: what runs now has been attested and the keeper told. Does nothing while busy.
  void Attested();

 private:
  struct Pending;
  void Readable();
  void TakeUp(ExecJournal::Slot& slot);
  void Inherit(ExecJournal::Slot& slot);
  void Answer(const ExecJournal::Slot& slot, int error);
  void Free(ExecJournal::Slot& slot);
  void Supersede(pid_t tid);
  pid_t ThreadOf(const Pending& p) const;
  void CheckSoon();
  void Answered(uint64_t id, bool go);
  void Check();
  bool IsOver(const Pending& p) const;
  bool IsRegisteredThread(pid_t tid) const;

  runtime::Loop& loop_;
  pid_t registered_;
  int listener_;
  ExecJournal& journal_;
  bool launching_;
  Events events_;
  int64_t seen_ = 0;
  Held held_;
  runtime::FdWatch watch_;
  runtime::Timer check_;
  int64_t next_check_us_ = 0;
  std::vector<std::unique_ptr<Pending>> pending_;
  std::shared_ptr<ExecWatch*> self_;  // answers that come after our end are dropped
};

}  // namespace hexr::spawner
