// `hexr doctor`: what this machine gives each layer, what is weaker here, and what to do about it.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "cli/admin_client.h"
#include "cli/node.h"
#include "cli/output.h"
#include "runtime/process.h"
#include "spawner/cgroups.h"

namespace hexr::cli {
namespace {

using runtime::UniqueFd;

enum class Verdict { kGood, kWeaker, kMissing };

struct Check {
  std::string name;
  Verdict verdict;
  std::string detail;  // what was found
  std::string remedy;  // what to do; empty when nothing is needed
};

std::string_view VerdictName(Verdict v) {
  switch (v) {
    case Verdict::kGood: return "ok";
    case Verdict::kWeaker: return "weaker";
    case Verdict::kMissing: return "missing";
  }
  return "missing";
}

// Whether a child that does `attempt` in a process of its own ends with code 0.
template <class F>
bool InChild(F attempt) {
  const pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) _exit(attempt() ? 0 : 1);
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Check Kernel() {
  utsname u{};
  uname(&u);
  return {"kernel", Verdict::kGood, std::string(u.release), ""};
}

Check PeerEvidence() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return {"peer evidence", Verdict::kMissing, "no socket pair", ""};
  const UniqueFd a(pair[0]), b(pair[1]);
  constexpr int kSoPeerPidfd = 77;
  int fd = -1;
  socklen_t size = sizeof fd;
  if (getsockopt(a.get(), SOL_SOCKET, kSoPeerPidfd, &fd, &size) != 0) {
    return {"peer evidence", Verdict::kWeaker, "process folder and start time, read twice (no SO_PEERPIDFD)",
            "kernel 6.5 or later names the peer by pidfd"};
  }
  const UniqueFd peer(fd);
  if (runtime::GetPidfdInfo(peer.get()).ok()) return {"peer evidence", Verdict::kGood, "pidfd with PIDFD_GET_INFO", ""};
  return {"peer evidence", Verdict::kWeaker, "pidfd, re-checked (no PIDFD_GET_INFO)",
          "kernel 6.13 or later answers in one call"};
}

Check UserNamespaces() {
  const bool works = InChild([] { return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0; });
  if (works) return {"namespaces", Verdict::kGood, "user and network namespaces can be made", ""};
  return {"namespaces", Verdict::kMissing, "user namespaces cannot be made here: no agent can be started",
          "set kernel.unprivileged_userns_clone=1, or allow hexrd in AppArmor"};
}

Check Landlock() {
  const long abi = syscall(444, nullptr, 0, 1);  // landlock_create_ruleset(…, LANDLOCK_CREATE_RULESET_VERSION)
  if (abi < 0)
    return {"Landlock", Verdict::kWeaker, "not in this kernel: files are held by mounts alone",
            "boot with lsm=landlock,…"};
  const std::string version = "ABI " + std::to_string(abi);
  if (abi < 6) return {"Landlock", Verdict::kWeaker, version + ": no signal and socket scopes", "kernel 6.12 or later"};
  return {"Landlock", Verdict::kGood, version, ""};
}

// Whether processes of one agent can read each other's memory, and with it keys that one of them alone was given.
Check Yama() {
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  int scope = 0;
  if (!(file >> scope))
    return {"Yama", Verdict::kWeaker,
            "not in this kernel: a child of an agent's process can read its memory, unless it is not dumpable",
            "boot with lsm=landlock,yama,…"};
  if (scope == 0)
    return {"Yama", Verdict::kWeaker,
            "switched off: a child of an agent's process can read its memory, unless it is not dumpable",
            "sysctl kernel.yama.ptrace_scope=1"};
  return {"Yama", Verdict::kGood, "ptrace_scope " + std::to_string(scope), ""};
}

Check SecretMemory() {
  const auto fd = static_cast<int>(syscall(447, 0));  // memfd_secret
  if (fd >= 0) {
    close(fd);
    return {"secret memory", Verdict::kGood, "memfd_secret", ""};
  }
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::string locked =
      limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur >> 10) + " KiB";
  return {"secret memory", Verdict::kWeaker, "locked memory, " + locked + " (no memfd_secret)",
          "boot with secretmem.enable=1"};
}

// Of the node that runs here; else what one that is started from here would get.
Check Cgroups(const config::Paths& paths) {
  pid_t pid = getpid();
  std::ifstream file(paths.PidFile());
  if (pid_t node = 0; file >> node && node > 1) pid = node;
  auto places = spawner::CgroupPlacesOf(pid);
  if (!places.ok()) places = spawner::CgroupPlacesOf(getpid());
  const spawner::CgroupFindings found = places.ok() ? spawner::FindCgroups(*places) : spawner::CgroupFindings();
  const std::string limits = found.processes && found.memory ? "processes and memory limited"
                             : found.processes               ? "processes limited, memory not"
                             : found.memory                  ? "memory limited, processes by rlimit"
                                                             : "no limits: rlimits instead";
  if (found.unified.empty() && !found.processes && !found.memory) {
    return {"cgroups", Verdict::kWeaker,
            "not delegated: agents are bounded by rlimits, and ended by their PID namespace alone",
            "run under systemd with Delegate=yes, or: systemd-run --user --scope -p Delegate=yes hexr up"};
  }
  const std::string leaf = found.unified.empty() ? "version 1 only" : "a leaf for each agent in " + found.unified;
  const bool good = !found.unified.empty() && found.processes && found.memory;
  return {"cgroups", good ? Verdict::kGood : Verdict::kWeaker, leaf + "; " + limits,
          good ? "" : "delegate the pids and memory controllers to the node's group (systemd: Delegate=yes)"};
}

Check Tpm() {
  if (access("/dev/tpmrm0", R_OK | W_OK) == 0) return {"TPM", Verdict::kGood, "/dev/tpmrm0", ""};
  if (std::filesystem::exists("/dev/tpmrm0")) {
    return {"TPM", Verdict::kWeaker, "/dev/tpmrm0 is there and may not be used",
            "add the node's user to the group tss"};
  }
  return {"TPM", Verdict::kWeaker, "none: the machine key lies in a file or a systemd credential", ""};
}

Check Node(const config::Paths& paths) {
  const auto r = Admin(paths, "status", {});
  if (!r.ok())
    return {"node", Verdict::kMissing, r.error().message(),
            r.error().code() == ErrorCode::kUnavailable ? "hexr up" : ""};
  const std::string key = Text(r->json, "machine_key");
  if (const std::string unlocked = Text(r->json, "secret_memory_unlocked_bytes"); unlocked != "0") {
    return {"node", Verdict::kWeaker,
            "up, " + unlocked + " bytes of its secrets may be swapped: no more memory to lock",
            "raise the limit of locked memory for the node (ulimit -l; systemd: LimitMEMLOCK=)"};
  }
  const bool weak = key.starts_with("file");
  return {"node", weak ? Verdict::kWeaker : Verdict::kGood,
          "up, trust domain " + Text(r->json, "trust_domain") + ", machine key: " + key +
              (weak ? " (whoever has the disk can read the state)" : ""),
          weak ? "machine_key: tpm, systemd-credential or passphrase" : ""};
}

}  // namespace

int RunDoctor(const Invocation& in) {
  const std::vector<Check> checks = {Kernel(),          PeerEvidence(), UserNamespaces(),
                                     Landlock(),        Yama(),         SecretMemory(),
                                     Cgroups(in.paths), Tpm(),          Node(in.paths)};
  bool missing = false;
  wire::JsonArray json;
  std::vector<std::vector<std::string>> rows;
  for (const Check& c : checks) {
    missing |= c.verdict == Verdict::kMissing;
    json.push_back(wire::JsonObject{
        {"check", c.name}, {"verdict", VerdictName(c.verdict)}, {"detail", c.detail}, {"remedy", c.remedy}});
    const Colour colour = c.verdict == Verdict::kGood     ? Colour::kGreen
                          : c.verdict == Verdict::kWeaker ? Colour::kYellow
                                                          : Colour::kRed;
    rows.push_back({c.name, Paint(colour, VerdictName(c.verdict)), c.detail, c.remedy});
  }
  if (in.output == Output::kJson)
    PrintJson(wire::JsonObject{{"checks", std::move(json)}});
  else
    PrintTable({"CHECK", "", "FOUND", "TO IMPROVE"}, rows);
  return missing ? kNo : kYes;
}

}  // namespace hexr::cli
