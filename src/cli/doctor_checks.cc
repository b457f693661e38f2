#include "cli/doctor_checks.h"

namespace hexr::cli {

std::string_view VerdictName(Verdict v) {
  switch (v) {
    case Verdict::kGood: return "ok";
    case Verdict::kWeaker: return "weaker";
    case Verdict::kMissing: return "missing";
  }
  return "missing";
}

Check KernelCheck(const std::string& release) { return {"kernel", Verdict::kGood, release, ""}; }

Check PeerEvidenceCheck(PeerEvidence found) {
  const std::string name = "peer evidence";
  switch (found) {
    case PeerEvidence::kNone: break;
    case PeerEvidence::kProcfs:
      return {name, Verdict::kWeaker, "process folder and start time, read twice (no SO_PEERPIDFD)",
              "kernel 6.5 or later names the peer by pidfd"};
    case PeerEvidence::kPidfd:
      return {name, Verdict::kWeaker, "pidfd, re-checked (no PIDFD_GET_INFO)",
              "kernel 6.13 or later answers in one call"};
    case PeerEvidence::kPidfdInfo: return {name, Verdict::kGood, "pidfd with PIDFD_GET_INFO", ""};
  }
  return {name, Verdict::kMissing, "no socket pair", ""};
}

Check NamespacesCheck(bool can_be_made) {
  if (can_be_made) return {"namespaces", Verdict::kGood, "user and network namespaces can be made", ""};
  return {"namespaces", Verdict::kMissing, "user namespaces cannot be made here: no agent can be started",
          "set kernel.unprivileged_userns_clone=1, or allow hexrd in AppArmor"};
}

Check LandlockCheck(long abi) {
  if (abi < 0)
    return {"Landlock", Verdict::kWeaker, "not in this kernel: files are held by mounts alone",
            "boot with lsm=landlock,…"};
  const std::string version = "ABI " + std::to_string(abi);
  if (abi < 6) return {"Landlock", Verdict::kWeaker, version + ": no signal and socket scopes", "kernel 6.12 or later"};
  return {"Landlock", Verdict::kGood, version, ""};
}

Check YamaCheck(std::optional<int> ptrace_scope) {
  if (!ptrace_scope)
    return {"Yama", Verdict::kWeaker,
            "not in this kernel: a child of an agent's process can read its memory, unless it is not dumpable",
            "boot with lsm=landlock,yama,…"};
  if (*ptrace_scope == 0)
    return {"Yama", Verdict::kWeaker,
            "switched off: a child of an agent's process can read its memory, unless it is not dumpable",
            "sysctl kernel.yama.ptrace_scope=1"};
  return {"Yama", Verdict::kGood, "ptrace_scope " + std::to_string(*ptrace_scope), ""};
}

Check SecretMemoryCheck(bool memfd_secret, rlim_t lockable) {
  if (memfd_secret) return {"secret memory", Verdict::kGood, "memfd_secret", ""};
  const std::string locked = lockable == RLIM_INFINITY ? "unlimited" : std::to_string(lockable >> 10) + " KiB";
  return {"secret memory", Verdict::kWeaker, "locked memory, " + locked + " (no memfd_secret)",
          "boot with secretmem.enable=1"};
}

Check CgroupsCheck(const spawner::CgroupFindings& found) {
  if (found.unified.empty() && !found.processes && !found.memory) {
    return {"cgroups", Verdict::kWeaker,
            "not delegated: agents are bounded by rlimits, and ended by their PID namespace alone",
            "run under systemd with Delegate=yes, or: systemd-run --user --scope -p Delegate=yes hexr up"};
  }
  const std::string limits = found.processes && found.memory ? "processes and memory limited"
                             : found.processes               ? "processes limited, memory not"
                             : found.memory                  ? "memory limited, processes by rlimit"
                                                             : "no limits: rlimits instead";
  const std::string leaf = found.unified.empty() ? "version 1 only" : "a leaf for each agent in " + found.unified;
  const bool good = !found.unified.empty() && found.processes && found.memory;
  return {"cgroups", good ? Verdict::kGood : Verdict::kWeaker, leaf + "; " + limits,
          good ? "" : "delegate the pids and memory controllers to the node's group (systemd: Delegate=yes)"};
}

Check TpmCheck(Tpm found) {
  switch (found) {
    case Tpm::kNone: break;
    case Tpm::kClosed:
      return {"TPM", Verdict::kWeaker, "/dev/tpmrm0 is there and may not be used",
              "add the node's user to the group tss"};
    case Tpm::kUsable: return {"TPM", Verdict::kGood, "/dev/tpmrm0", ""};
  }
  return {"TPM", Verdict::kWeaker, "none: the machine key lies in a file or a systemd credential", ""};
}

}  // namespace hexr::cli
