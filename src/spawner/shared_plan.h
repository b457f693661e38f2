// A plan laid flat in memory that a child shares with its maker.
//
// A child that was made ahead of its plan cannot find it in the memory it inherited. It has these pages at the same
// addresses as its maker, who writes into them once, says so over `sync`, and lets go of them. The child is trusted
// with its own part of the plan only: the pages of one child are seen by no other, and by no program that runs in it.
// One thread makes the children: what is shared with the next is not shared with another's.
#pragma once

#include <sys/resource.h>

#include <atomic>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "spawner/plan.h"

namespace hexr::spawner {

// A MountStep without owners.
struct SharedStep {
  MountStep::Kind kind;
  bool recursive, directory, optional;
  bool brings_tree;  // its tree is among the message's descriptors
  const char* target;
  const char* source;
  size_t source_bytes;
  uint64_t attributes;
  std::optional<FileId> expect, over;
  // The child's: the open source, kNoSource, or kMissing for an optional one that is not there.
  int opened;
  // The child's: an overlay that could not be one, and is a plain bind.
  bool bound_plainly;
};
inline constexpr int kNoSource = -1, kMissing = -2;

struct SharedRule {
  const char* path;
  uint64_t rights;
};

struct SharedLimit {
  int resource;
  rlimit limit;
};

// When the child came by, in nanoseconds of CLOCK_MONOTONIC.
struct ChildTimes {
  std::atomic<int64_t> mapped, listening, ground, guarded, planned, mounted, confined;
};

struct SharedPlan {
  ChildTimes times;
  std::span<SharedStep> ground;  // of the groundwork
  // From here on of the plan.
  const char* hostname;
  size_t hostname_bytes;
  std::span<SharedStep> mounts;
  const char* working_folder;
  std::span<SharedLimit> rlimits;
  mode_t umask;
  uint64_t landlock_rights, landlock_scopes;
  std::span<SharedRule> landlock;
  bool terminal[3];
  bool WantsTerminal() const { return terminal[0] || terminal[1] || terminal[2]; }
  std::span<const char*> candidates;
  // As execve wants them, and as a shell wants them for a script without "#!".
  char** argv;
  char** env;
  char** shell;
};

// The pages, on the maker's side. Unmapped with the object; the child has its own mapping.
class SharedPlanMemory {
 public:
  static Result<SharedPlanMemory> Make();
  SharedPlanMemory(SharedPlanMemory&& o) noexcept
      : base_(std::exchange(o.base_, nullptr)),
        used_(o.used_),
        plan_(std::exchange(o.plan_, nullptr)),
        ground_(o.ground_),
        mounts_(o.mounts_) {}
  SharedPlanMemory& operator=(SharedPlanMemory&&) = delete;
  ~SharedPlanMemory();

  SharedPlan* plan() const { return plan_; }
  // A child that is made meanwhile has these pages; one that is made at any other time has not.
  Status ShareWithNextChild(bool on);
  // RESOURCE_EXHAUSTED over limits::kMaxSharedPlanBytes.
  Status Write(const std::vector<MountStep>& ground);
  Status Write(const ChildPlan& plan);
  // What was written, with what the child has added.
  std::span<const SharedStep> ground() const { return ground_; }
  std::span<const SharedStep> mounts() const { return mounts_; }

 private:
  SharedPlanMemory() = default;
  template <class T>
  Result<std::span<T>> Array(size_t n);
  Result<const char*> Text(const std::string& s);
  Result<std::span<SharedStep>> Steps(const std::vector<MountStep>& steps);
  Result<char**> Pointers(const std::vector<std::string>& strings);

  char* base_ = nullptr;
  size_t used_ = 0;
  SharedPlan* plan_ = nullptr;
  std::span<const SharedStep> ground_, mounts_;  // ours: where they lie is not the child's to say
};

// The child's side, after its last look: PID 1 keeps nothing of the plan.
void ForgetSharedPlan(SharedPlan* plan);

}  // namespace hexr::spawner
