#include "spawner/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>

#include <cerrno>

#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

// landlock_ruleset_attr as of ABI 6; older kernels take a shorter one.
struct RulesetAttr {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};

constexpr uint64_t kAllRights = (1ULL << 16) - 1;
constexpr uint64_t kFileRights =
    kLandlockExecute | kLandlockWriteFile | kLandlockReadFile | kLandlockTruncate | kLandlockIoctlDev;

uint64_t RightsOf(int abi) {
  uint64_t rights = kAllRights;
  if (abi < 5) rights &= ~kLandlockIoctlDev;
  if (abi < 3) rights &= ~kLandlockTruncate;
  if (abi < 2) rights &= ~kLandlockRefer;
  return rights;
}

}  // namespace

int LandlockAbi() {
  const long abi = syscall(kSysLandlockCreateRuleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

void PlanLandlock(int abi, const std::vector<std::string>& writable, ChildPlan& plan) {
  if (abi <= 0) return;
  const uint64_t known = RightsOf(abi);
  plan.landlock_rights = known;
  plan.landlock_scopes = abi >= 6 ? kLandlockScopeAbstractSocket | kLandlockScopeSignal : 0;
  const uint64_t read = kLandlockExecute | kLandlockReadFile | kLandlockReadDir;
  const uint64_t write = known & ~(kLandlockMakeChar | kLandlockMakeBlock);
  plan.landlock.push_back({"/", read});
  const uint64_t use = kLandlockReadFile | kLandlockReadDir | kLandlockWriteFile | kLandlockTruncate;
  plan.landlock.push_back({"/dev", known & (use | kLandlockIoctlDev)});
  // /proc like all the rest: /proc/PID/mem, writable, is ptrace(2) by another name.
  for (const std::string& path : writable) plan.landlock.push_back({path, write});
}

int RestrictWithLandlock(const SharedPlan& plan, size_t& index) {
  index = plan.landlock.size();
  if (plan.landlock_rights == 0) return 0;
  const RulesetAttr attr{plan.landlock_rights, 0, plan.landlock_scopes};
  const size_t size = plan.landlock_scopes != 0 ? sizeof attr : sizeof attr.handled_access_fs;
  const int ruleset = static_cast<int>(syscall(kSysLandlockCreateRuleset, &attr, size, 0));
  if (ruleset < 0) return errno;
  for (size_t i = 0; i < plan.landlock.size(); ++i) {
    index = i;
    const int fd = open(plan.landlock[i].path, O_PATH | O_CLOEXEC);
    if (fd < 0) return errno;
    struct stat st {};
    if (fstat(fd, &st) != 0) return errno;
    landlock_path_beneath_attr rule{};
    rule.allowed_access = plan.landlock[i].rights & (S_ISDIR(st.st_mode) ? kAllRights : kFileRights);
    rule.parent_fd = fd;
    if (syscall(kSysLandlockAddRule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) return errno;
    close(fd);
  }
  index = plan.landlock.size();
  if (syscall(kSysLandlockRestrictSelf, ruleset, 0) != 0) return errno;
  close(ruleset);
  return 0;
}

}  // namespace hexr::spawner
