#include "spawner/shared_plan.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/limits/agents.h"

namespace hexr::spawner {

Result<SharedPlanMemory> SharedPlanMemory::Make() {
  SharedPlanMemory m;
  // Pages are taken when they are written, and few plans need more than a dozen.
  void* at = mmap(nullptr, limits::kMaxSharedPlanBytes, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return ErrnoError("memory for a plan", errno);
  m.base_ = static_cast<char*>(at);
  RETURN_IF_ERROR(m.ShareWithNextChild(false));
  m.plan_ = new (at) SharedPlan{};
  m.used_ = sizeof(SharedPlan);
  return m;
}

Status SharedPlanMemory::ShareWithNextChild(bool on) {
  if (madvise(base_, limits::kMaxSharedPlanBytes, on ? MADV_DOFORK : MADV_DONTFORK) != 0)
    return ErrnoError("memory for a plan", errno);
  return Ok();
}

SharedPlanMemory::~SharedPlanMemory() {
  if (base_ != nullptr) munmap(base_, limits::kMaxSharedPlanBytes);
}

void ForgetSharedPlan(SharedPlan* plan) { munmap(plan, limits::kMaxSharedPlanBytes); }

template <class T>
Result<std::span<T>> SharedPlanMemory::Array(size_t n) {
  const size_t begin = (used_ + alignof(T) - 1) / alignof(T) * alignof(T);
  if (begin > limits::kMaxSharedPlanBytes || n > (limits::kMaxSharedPlanBytes - begin) / sizeof(T))
    return ResourceExhausted("arguments, environment and folders of one agent are too much together");
  used_ = begin + n * sizeof(T);
  return std::span<T>(new (base_ + begin) T[n]{}, n);
}

Result<const char*> SharedPlanMemory::Text(const std::string& s) {
  ASSIGN_OR_RETURN(std::span<char> at, Array<char>(s.size() + 1));
  memcpy(at.data(), s.data(), s.size());
  return at.data();
}

Result<char**> SharedPlanMemory::Pointers(const std::vector<std::string>& strings) {
  ASSIGN_OR_RETURN(std::span<char*> out, Array<char*>(strings.size() + 1));
  for (size_t i = 0; i < strings.size(); ++i) {
    ASSIGN_OR_RETURN(const char* text, Text(strings[i]));
    out[i] = const_cast<char*>(text);
  }
  return out.data();
}

Result<std::span<SharedStep>> SharedPlanMemory::Steps(const std::vector<MountStep>& steps) {
  ASSIGN_OR_RETURN(std::span<SharedStep> out, Array<SharedStep>(steps.size()));
  for (size_t i = 0; i < steps.size(); ++i) {
    const MountStep& from = steps[i];
    SharedStep& to = out[i];
    to.kind = from.kind;
    to.recursive = from.recursive;
    to.directory = from.directory;
    to.optional = from.optional;
    to.brings_tree = static_cast<bool>(from.tree);
    ASSIGN_OR_RETURN(to.target, Text(from.target));
    ASSIGN_OR_RETURN(to.source, Text(from.source));
    to.source_bytes = from.source.size();
    to.attributes = from.attributes;
    to.expect = from.expect;
    to.over = from.over;
    to.opened = kNoSource;
  }
  return out;
}

Status SharedPlanMemory::Write(const std::vector<MountStep>& ground) {
  ASSIGN_OR_RETURN(plan_->ground, Steps(ground));
  ground_ = plan_->ground;
  // Inherited, not sent.
  for (size_t i = 0; i < ground.size(); ++i) {
    if (ground[i].tree) plan_->ground[i].opened = ground[i].tree.get();
  }
  return Ok();
}

Status SharedPlanMemory::Write(const ChildPlan& from) {
  SharedPlan& to = *plan_;
  ASSIGN_OR_RETURN(to.hostname, Text(from.hostname));
  to.hostname_bytes = from.hostname.size();
  ASSIGN_OR_RETURN(to.mounts, Steps(from.mounts));
  mounts_ = to.mounts;
  ASSIGN_OR_RETURN(to.working_folder, Text(from.working_folder));
  ASSIGN_OR_RETURN(to.rlimits, Array<SharedLimit>(from.rlimits.size()));
  for (size_t i = 0; i < from.rlimits.size(); ++i) to.rlimits[i] = {from.rlimits[i].first, from.rlimits[i].second};
  to.umask = from.umask;
  to.landlock_rights = from.landlock_rights;
  to.landlock_scopes = from.landlock_scopes;
  ASSIGN_OR_RETURN(to.landlock, Array<SharedRule>(from.landlock.size()));
  for (size_t i = 0; i < from.landlock.size(); ++i) {
    ASSIGN_OR_RETURN(to.landlock[i].path, Text(from.landlock[i].path));
    to.landlock[i].rights = from.landlock[i].rights;
  }
  std::copy(std::begin(from.terminal), std::end(from.terminal), to.terminal);
  ASSIGN_OR_RETURN(to.candidates, Array<const char*>(from.candidates.size()));
  for (size_t i = 0; i < from.candidates.size(); ++i) {
    ASSIGN_OR_RETURN(to.candidates[i], Text(from.candidates[i]));
  }
  ASSIGN_OR_RETURN(to.argv, Pointers(from.argv));
  ASSIGN_OR_RETURN(to.env, Pointers(from.env));
  // "sh", the script, its arguments: one longer than argv, whose first is replaced by the program's path.
  ASSIGN_OR_RETURN(std::span<char*> shell, Array<char*>(from.argv.size() + 2));
  ASSIGN_OR_RETURN(const char* name, Text("sh"));
  shell[0] = const_cast<char*>(name);
  std::copy(to.argv + 1, to.argv + from.argv.size(), shell.begin() + 2);
  to.shell = shell.data();
  return Ok();
}

}  // namespace hexr::spawner
