// From what was found on a machine to what `hexr doctor` says of it. Pure functions.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "spawner/cgroups.h"

namespace hexr::cli {

enum class Verdict : uint8_t {
  kGood,
  kWeaker,   // agents run, and something of what protects them rests on less
  kMissing,  // no agent can run here, or no node is up
};
std::string_view VerdictName(Verdict v);

struct Check {
  std::string name;
  Verdict verdict;
  std::string detail;  // what was found
  std::string remedy;  // what to do; empty when nothing is needed, or nothing can be done
};

Check KernelCheck(const std::string& release);

// The best way to tell who is at the other end of a socket.
enum class PeerEvidence : uint8_t { kNone, kProcfs, kPidfd, kPidfdInfo };
Check PeerEvidenceCheck(PeerEvidence found);

Check NamespacesCheck(bool can_be_made);
// Negative: not in this kernel.
Check LandlockCheck(long abi);
// Whether processes of one agent can read each other's memory, and with it keys that one of them alone was given.
// Nothing: Yama is not in this kernel.
Check YamaCheck(std::optional<int> ptrace_scope);
// `lockable`: RLIMIT_MEMLOCK.
Check SecretMemoryCheck(bool memfd_secret, rlim_t lockable);
Check CgroupsCheck(const spawner::CgroupFindings& found);

enum class Tpm : uint8_t { kNone, kClosed, kUsable };
Check TpmCheck(Tpm found);

}  // namespace hexr::cli
