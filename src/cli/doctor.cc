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
#include <optional>

#include "cli/admin_client.h"
#include "cli/doctor_checks.h"
#include "cli/node.h"
#include "cli/output.h"
#include "runtime/process.h"
#include "spawner/cgroups.h"

namespace hexr::cli {
namespace {

using runtime::UniqueFd;

// Whether a child that does `attempt` in a process of its own ends with code 0.
template <class F>
bool InChild(F attempt) {
  const pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) _exit(attempt() ? 0 : 1);
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string KernelRelease() {
  utsname u{};
  uname(&u);
  return u.release;
}

PeerEvidence FindPeerEvidence() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return PeerEvidence::kNone;
  const UniqueFd a(pair[0]), b(pair[1]);
  constexpr int kSoPeerPidfd = 77;
  int fd = -1;
  socklen_t size = sizeof fd;
  if (getsockopt(a.get(), SOL_SOCKET, kSoPeerPidfd, &fd, &size) != 0) return PeerEvidence::kProcfs;
  const UniqueFd peer(fd);
  return runtime::GetPidfdInfo(peer.get()).ok() ? PeerEvidence::kPidfdInfo : PeerEvidence::kPidfd;
}

bool NamespacesCanBeMade() {
  return InChild([] { return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0; });
}

// landlock_create_ruleset(…, LANDLOCK_CREATE_RULESET_VERSION)
long LandlockAbi() { return syscall(444, nullptr, 0, 1); }

std::optional<int> YamaScope() {
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  int scope = 0;
  return file >> scope ? std::optional(scope) : std::nullopt;
}

bool HasSecretMemory() {
  const UniqueFd fd(static_cast<int>(syscall(447, 0)));  // memfd_secret
  return static_cast<bool>(fd);
}

rlim_t LockedMemoryLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return limit.rlim_cur;
}

// Of the node that runs here; else what one that is started from here would get.
spawner::CgroupFindings FindCgroupsOf(const config::Paths& paths) {
  pid_t pid = getpid();
  std::ifstream file(paths.PidFile());
  if (pid_t node = 0; file >> node && node > 1) pid = node;
  auto places = spawner::CgroupPlacesOf(pid);
  if (!places.ok()) places = spawner::CgroupPlacesOf(getpid());
  return places.ok() ? spawner::FindCgroups(*places) : spawner::CgroupFindings();
}

Tpm FindTpm() {
  if (access("/dev/tpmrm0", R_OK | W_OK) == 0) return Tpm::kUsable;
  return std::filesystem::exists("/dev/tpmrm0") ? Tpm::kClosed : Tpm::kNone;
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
  const std::vector<Check> checks = {KernelCheck(KernelRelease()),
                                     PeerEvidenceCheck(FindPeerEvidence()),
                                     NamespacesCheck(NamespacesCanBeMade()),
                                     LandlockCheck(LandlockAbi()),
                                     YamaCheck(YamaScope()),
                                     SecretMemoryCheck(HasSecretMemory(), LockedMemoryLimit()),
                                     CgroupsCheck(FindCgroupsOf(in.paths)),
                                     TpmCheck(FindTpm()),
                                     Node(in.paths)};
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
