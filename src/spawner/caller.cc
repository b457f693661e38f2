#include "spawner/caller.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/limits/agents.h"
#include "runtime/process.h"
#include "spawner/cgroups.h"
#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

using runtime::UniqueFd;

// linux/pidfd.h of 6.11.
constexpr unsigned long kPidfdGetPidNamespace = _IO(0xFF, 5);

// As many as a name service wants at once.
constexpr size_t kLookupFds = 4;

Result<uint64_t> InodeOf(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return ErrnoError("stat " + path, errno);
  return uint64_t{st.st_ino};
}

// As they were at connect(2). Fewer than there are, where they are too many: a group that is left out gives nothing.
std::vector<gid_t> PeerGroups(int socket) {
  std::vector<gid_t> groups(limits::kMaxCallerGroups);
  auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) return {};
  groups.resize(size / sizeof(gid_t));
  return groups;
}

}  // namespace

Result<Caller> IdentifyCaller(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return ErrnoError("SO_PEERCRED", errno);
  // A peer outside of our PID namespace has no number here: it cannot be looked at, so it is nobody.
  if (credentials.pid <= 0) return Unauthenticated("the caller is not visible to this node");
  Caller c;
  c.pid = credentials.pid;
  c.uid = credentials.uid;
  c.gid = credentials.gid;
  c.groups = PeerGroups(socket);
  c.groups.insert(c.groups.begin(), c.gid);
  int pidfd = -1;
  size = sizeof pidfd;
  if (getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &pidfd, &size) == 0) {
    c.pidfd = UniqueFd(pidfd);
  } else {
    Result<UniqueFd> opened = runtime::OpenPidfd(c.pid);
    if (!opened.ok()) return Unauthenticated("the caller has gone");
    c.pidfd = std::move(*opened);
    ucred again{};
    size = sizeof again;
    // The number may have passed to another process between connect and here: that one did not connect as this uid just
    // before.
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &again, &size) != 0 || again.pid != c.pid || again.uid != c.uid) {
      return Unauthenticated("the caller has changed");
    }
  }
  Result<std::vector<uint64_t>> namespaces = PidNamespacesOf(c.pidfd.get(), c.pid);
  if (!namespaces.ok()) return Unauthenticated("the caller cannot be told: " + namespaces.error().message());
  c.pid_namespaces = std::move(*namespaces);
  return c;
}

Result<std::vector<uint64_t>> PidNamespacesOf(int pidfd, pid_t pid) {
  ASSIGN_OR_RETURN(const uint64_t own, InodeOf("/proc/self/ns/pid"));
  UniqueFd ns(ioctl(pidfd, kPidfdGetPidNamespace, 0));
  if (!ns) {
    const std::string path = "/proc/" + std::to_string(pid) + "/ns/pid";
    ns = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!ns) return ErrnoError("open " + path, errno);
    RETURN_IF_ERROR(runtime::SignalPidfd(pidfd, 0));  // still there, so the number was its own all the time
  }
  std::vector<uint64_t> chain;
  for (;;) {  // the kernel nests 32 (MAX_PID_NS_LEVEL)
    struct stat st {};
    if (fstat(ns.get(), &st) != 0) return ErrnoError("stat PID namespace", errno);
    if (st.st_ino == own) return chain;
    chain.push_back(st.st_ino);
    UniqueFd parent(ioctl(ns.get(), NS_GET_PARENT));  // EPERM: above ours
    if (!parent) return FailedPrecondition("its PID namespace is not below this node's");
    ns = std::move(parent);
  }
}

Status CheckLaunched(const Caller& caller, const std::string& cgroup) {
  const Error refused =
      PermissionDenied("this process entered the agent's namespaces from outside: it is no part of the agent");
  // This process's own filters are its agents' too, and may be everybody's in a container of the machine.
  const auto confined = runtime::RestrictionsOf(caller.pid);
  const auto ours = runtime::RestrictionsOf(getpid());
  if (!confined.ok() || !ours.ok() || confined->filters <= ours->filters || !confined->no_new_privs) return refused;
  if (!cgroup.empty()) {
    const auto places = CgroupPlacesOf(caller.pid);
    if (!places.ok() || std::none_of(places->begin(), places->end(),
                                     [&](const CgroupPlace& p) { return p.unified && p.name == cgroup; })) {
      return refused;
    }
  }
  return runtime::SignalPidfd(caller.pidfd.get(), 0);  // all of it was said of this process
}

Result<std::string> UserName(uid_t uid, UserLookup lookup) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16 * 1024);
  int e = lookup(uid, &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr) return std::string(found->pw_name);
  // getpwnam(3): these say that there is no such user, as 0 does. Anything else says nothing of it.
  bool unknown = e == 0 || e == ENOENT || e == ESRCH || e == EBADF || e == EPERM;
  // So does a service that was left without a descriptor of its own: its configuration, its library, its socket.
  if (unknown) {
    UniqueFd some[kLookupFds];
    for (UniqueFd& fd : some) {
      fd = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (fd) continue;
      unknown = false;
      e = errno;
      break;
    }
  }
  if (!unknown) return ErrnoError("the name of uid " + std::to_string(uid) + " cannot be looked up now; try again", e);
  return "uid:" + std::to_string(uid);
}

}  // namespace hexr::spawner
