#include "cli/doctor_checks.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace hexr::cli {
namespace {

struct Row {
  Check check;
  Verdict verdict;
  std::string name, detail;  // a part of what is found
  std::string remedy;        // a part of what to do; "": there is nothing to say
};

TEST(DoctorChecks, VerdictsAreThoseOfWhatWasFound) {
  using Found = spawner::CgroupFindings;
  const std::vector<Row> rows = {
      {KernelCheck("6.1.0-13-amd64"), Verdict::kGood, "kernel", "6.1.0-13-amd64", ""},

      {PeerEvidenceCheck(PeerEvidence::kNone), Verdict::kMissing, "peer evidence", "no socket pair", ""},
      {PeerEvidenceCheck(PeerEvidence::kProcfs), Verdict::kWeaker, "peer evidence", "no SO_PEERPIDFD", "kernel 6.5"},
      {PeerEvidenceCheck(PeerEvidence::kPidfd), Verdict::kWeaker, "peer evidence", "no PIDFD_GET_INFO", "kernel 6.13"},
      {PeerEvidenceCheck(PeerEvidence::kPidfdInfo), Verdict::kGood, "peer evidence", "PIDFD_GET_INFO", ""},

      {NamespacesCheck(false), Verdict::kMissing, "namespaces", "no agent can be started",
       "unprivileged_userns_clone=1"},
      {NamespacesCheck(true), Verdict::kGood, "namespaces", "can be made", ""},

      {LandlockCheck(-1), Verdict::kWeaker, "Landlock", "not in this kernel", "lsm=landlock"},
      {LandlockCheck(1), Verdict::kWeaker, "Landlock", "ABI 1: no signal and socket scopes", "kernel 6.12"},
      {LandlockCheck(5), Verdict::kWeaker, "Landlock", "ABI 5: no signal and socket scopes", "kernel 6.12"},
      {LandlockCheck(6), Verdict::kGood, "Landlock", "ABI 6", ""},
      {LandlockCheck(12), Verdict::kGood, "Landlock", "ABI 12", ""},

      {YamaCheck(std::nullopt), Verdict::kWeaker, "Yama", "not in this kernel", "lsm=landlock,yama"},
      {YamaCheck(0), Verdict::kWeaker, "Yama", "switched off", "ptrace_scope=1"},
      {YamaCheck(1), Verdict::kGood, "Yama", "ptrace_scope 1", ""},
      {YamaCheck(3), Verdict::kGood, "Yama", "ptrace_scope 3", ""},

      {SecretMemoryCheck(true, 0), Verdict::kGood, "secret memory", "memfd_secret", ""},
      {SecretMemoryCheck(false, 8 << 20), Verdict::kWeaker, "secret memory", "8192 KiB", "secretmem.enable=1"},
      {SecretMemoryCheck(false, RLIM_INFINITY), Verdict::kWeaker, "secret memory", "unlimited", "secretmem.enable=1"},

      {CgroupsCheck({}), Verdict::kWeaker, "cgroups", "not delegated", "Delegate=yes"},
      {CgroupsCheck(Found{.unified = "/a", .processes = true, .memory = true}), Verdict::kGood, "cgroups",
       "a leaf for each agent in /a; processes and memory limited", ""},
      {CgroupsCheck(Found{.unified = "/a", .processes = true, .memory = false}), Verdict::kWeaker, "cgroups",
       "processes limited, memory not", "delegate"},
      {CgroupsCheck(Found{.unified = "/a", .processes = false, .memory = true}), Verdict::kWeaker, "cgroups",
       "memory limited, processes by rlimit", "delegate"},
      {CgroupsCheck(Found{.unified = "/a", .processes = false, .memory = false}), Verdict::kWeaker, "cgroups",
       "no limits", "delegate"},
      {CgroupsCheck(Found{.unified = "", .processes = true, .memory = true}), Verdict::kWeaker, "cgroups",
       "version 1 only; processes and memory limited", "delegate"},

      {TpmCheck(Tpm::kNone), Verdict::kWeaker, "TPM", "a file or a systemd credential", ""},
      {TpmCheck(Tpm::kClosed), Verdict::kWeaker, "TPM", "may not be used", "group tss"},
      {TpmCheck(Tpm::kUsable), Verdict::kGood, "TPM", "/dev/tpmrm0", ""},
  };
  for (const Row& row : rows) {
    const std::string what = row.name + ": " + row.check.detail;
    EXPECT_EQ(row.check.name, row.name);
    EXPECT_EQ(VerdictName(row.check.verdict), VerdictName(row.verdict)) << what;
    EXPECT_NE(row.check.detail.find(row.detail), std::string::npos) << what << ", not " << row.detail;
    EXPECT_EQ(row.check.remedy.empty(), row.remedy.empty()) << what << ", " << row.check.remedy;
    EXPECT_NE(row.check.remedy.find(row.remedy), std::string::npos) << what << ", " << row.check.remedy;
  }
}

TEST(DoctorChecks, VerdictsHaveNames) {
  EXPECT_EQ(VerdictName(Verdict::kGood), "ok");
  EXPECT_EQ(VerdictName(Verdict::kWeaker), "weaker");
  EXPECT_EQ(VerdictName(Verdict::kMissing), "missing");
}

}  // namespace
}  // namespace hexr::cli
