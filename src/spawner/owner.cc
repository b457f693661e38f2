#include "spawner/owner.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <string_view>

#include "base/limits/agents.h"
#include "runtime/process.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {
namespace {

using runtime::UniqueFd;

struct CloseDir {
  void operator()(DIR* d) const noexcept { closedir(d); }
};
using UniqueDir = std::unique_ptr<DIR, CloseDir>;

// Calls `visit` with each entry until it returns false.
template <class Visit>
bool ForEachEntry(const std::string& path, Visit visit) {
  const UniqueDir dir(opendir(path.c_str()));
  if (!dir) return false;
  while (const dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] != '.' && !visit(entry->d_name, dirfd(dir.get()))) break;
  }
  return true;
}

// A process that made itself non-dumpable shows its descriptors to root only. Whoever owns its user namespace may still
// take copies of them by number.
bool HoldsByNumber(pid_t pid, uint64_t inode) {
  const Result<UniqueFd> pidfd = runtime::OpenPidfd(pid);
  if (!pidfd.ok()) return false;
  for (int n = 0; n < limits::kMaxDescriptorsTried; ++n) {
    const UniqueFd copy(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd->get(), n, 0)));
    if (!copy) {
      if (errno == EBADF) continue;
      return false;
    }
    struct stat st {};
    if (fstat(copy.get(), &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == inode) return true;
  }
  return false;
}

bool Holds(pid_t pid, uint64_t inode) {
  const std::string wanted = "socket:[" + std::to_string(inode) + "]";
  bool found = false;
  size_t seen = 0;
  const bool readable = ForEachEntry("/proc/" + std::to_string(pid) + "/fd", [&](const char* name, int folder) {
    char link[64];
    const ssize_t n = readlinkat(folder, name, link, sizeof link);
    found = n > 0 && std::string_view(link, static_cast<size_t>(n)) == wanted;
    return !found && ++seen < limits::kMaxDescriptorsListed;
  });
  if (!readable && errno == EACCES) return HoldsByNumber(pid, inode);
  return found;
}

// Children of every thread, as /proc/PID/task/TID/children lists them.
void AddChildren(pid_t pid, std::deque<pid_t>& queue, size_t& threads) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  (void)ForEachEntry(tasks, [&](const char* tid, int folder) {
    const UniqueFd fd(openat(folder, (std::string(tid) + "/children").c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    char buffer[4096];
    for (ssize_t n = 0; fd && (n = read(fd.get(), buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<size_t>(n));
    for (size_t at = 0; at < text.size();) {
      const pid_t child = static_cast<pid_t>(std::strtol(text.c_str() + at, nullptr, 10));
      if (child > 0) queue.push_back(child);
      at = text.find(' ', at);
      if (at == std::string::npos) break;
      ++at;
    }
    return ++threads < limits::kMaxThreadsWalked;
  });
}

}  // namespace

Result<uint64_t> SocketInode(int diag, const ConnectionAddress& c) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } q{};
  q.header.nlmsg_len = sizeof q;
  q.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  q.header.nlmsg_flags = NLM_F_REQUEST;
  q.request.sdiag_family = c.v6 ? AF_INET6 : AF_INET;
  q.request.sdiag_protocol = IPPROTO_TCP;
  q.request.idiag_states = ~0U;
  const size_t size = c.v6 ? 16 : 4;
  q.request.id.idiag_sport = htons(c.local_port);
  q.request.id.idiag_dport = htons(c.remote_port);
  memcpy(q.request.id.idiag_src, c.local.data(), size);
  memcpy(q.request.id.idiag_dst, c.remote.data(), size);
  q.request.id.idiag_cookie[0] = q.request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  // An answer that a predecessor did not fetch must not be taken for ours.
  alignas(nlmsghdr) char answer[8192];
  while (recv(diag, answer, sizeof answer, MSG_DONTWAIT) > 0) {
  }
  if (send(diag, &q, sizeof q, 0) < 0) return ErrnoError("ask for a socket", errno);
  const ssize_t n = recv(diag, answer, sizeof answer, MSG_DONTWAIT);  // the kernel answers inside send
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
  if (n < static_cast<ssize_t>(sizeof *header)) return ErrnoError("read a socket's answer", n < 0 ? errno : EPROTO);
  if (header->nlmsg_type == NLMSG_ERROR) return NotFound("no such socket");
  if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || n < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg)))) {
    return DataLoss("malformed answer of SOCK_DIAG");
  }
  const uint64_t inode = static_cast<const inet_diag_msg*>(NLMSG_DATA(header))->idiag_inode;
  if (inode == 0) return NotFound("the socket has been closed already");
  return inode;
}

Result<pid_t> FindHolder(pid_t init, pid_t likely, uint64_t inode) {
  if (likely > 0 && Holds(likely, inode)) return likely;
  std::deque<pid_t> queue;
  size_t threads = 0, walked = 0;
  AddChildren(init, queue, threads);  // PID 1 itself opens nothing
  while (!queue.empty() && walked < limits::kMaxProcessesWalked && threads < limits::kMaxThreadsWalked) {
    const pid_t pid = queue.front();
    queue.pop_front();
    ++walked;
    if (pid != likely && Holds(pid, inode)) return pid;
    AddChildren(pid, queue, threads);
  }
  return NotFound("nobody holds the socket, or the search has reached its bound");
}

}  // namespace hexr::spawner
