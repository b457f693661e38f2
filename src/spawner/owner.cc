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
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/limits/agents.h"
#include "base/limits/gateway.h"
#include "runtime/process.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {
namespace {

using runtime::UniqueFd;

// What a look costs, in steps of some microseconds.
constexpr size_t kProcessSteps = 8;
constexpr size_t kThreadSteps = 4;
constexpr size_t kChildrenBytesPerStep = 256;

// A folder of /proc, some entries at a time: a single getdents(2) of a full buffer would make a thousand entries.
class ProcFolder {
 public:
  ProcFolder() = default;
  explicit ProcFolder(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), error_(fd_ ? 0 : errno) {}
  explicit operator bool() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }
  int error() const { return error_; }
  // Null at the end.
  const char* Next() {
    for (;;) {
      if (at_ >= end_) {
        const long n = syscall(SYS_getdents64, fd_.get(), buffer_.data(), buffer_.size());
        if (n <= 0) return nullptr;
        at_ = 0;
        end_ = static_cast<size_t>(n);
      }
      const char* entry = buffer_.data() + at_;
      uint16_t size = 0;
      memcpy(&size, entry + offsetof(dirent64, d_reclen), sizeof size);
      at_ += size;
      const char* name = entry + offsetof(dirent64, d_name);
      if (name[0] != '.') return name;
    }
  }

 private:
  UniqueFd fd_;
  int error_ = 0;
  size_t at_ = 0, end_ = 0;
  alignas(dirent64) std::array<char, 2048> buffer_;
};

std::string ReadChildren(int task_folder, const char* tid) {
  const UniqueFd fd(openat(task_folder, (std::string(tid) + "/children").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; fd && (n = read(fd.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  return text;
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

// ---- one search

struct HolderSearch::State {
  enum class Phase : uint8_t {
    kNext,     // no process is being looked at
    kListed,   // its descriptors, by name
    kTried,    // by number
    kThreads,  // its children, as each of its threads lists them
  };

  size_t Step();
  size_t Next();
  void Look(pid_t process);
  void LookDone();
  size_t StepListed();
  size_t StepTried();
  size_t StepThreads();

  pid_t init, likely;
  uint64_t inode;
  std::string wanted;
  Phase phase = Phase::kNext;
  bool likely_tried = false, init_listed = false;
  pid_t pid = 0;  // being looked at
  ProcFolder folder;
  UniqueFd pidfd;
  int number = 0;
  std::deque<pid_t> queue;
  size_t walked = 0, threads = 0, descriptors = 0, steps = 0;
  pid_t found = 0;
  bool over = false;
};

HolderSearch::HolderSearch(pid_t init, pid_t likely, uint64_t inode) : state_(std::make_unique<State>()) {
  state_->init = init;
  state_->likely = likely;
  state_->inode = inode;
  state_->wanted = "socket:[" + std::to_string(inode) + "]";
}
HolderSearch::HolderSearch(HolderSearch&&) noexcept = default;
HolderSearch& HolderSearch::operator=(HolderSearch&&) noexcept = default;
HolderSearch::~HolderSearch() = default;

std::optional<Result<pid_t>> HolderSearch::Advance(size_t steps) {
  State& s = *state_;
  for (size_t spent = 0; s.found == 0 && !s.over && s.steps < limits::kMaxOwnerSteps;) {
    if (spent >= steps) return std::nullopt;
    const size_t cost = s.Step();
    spent += cost;
    s.steps += cost;
  }
  if (s.found != 0) return Result<pid_t>(s.found);
  return Result<pid_t>(NotFound("nobody holds the socket, or the search has reached its bound"));
}

// Each returns what it cost.
size_t HolderSearch::State::Step() {
  switch (phase) {
    case Phase::kNext: return Next();
    case Phase::kListed: return StepListed();
    case Phase::kTried: return StepTried();
    case Phase::kThreads: return StepThreads();
  }
  return 1;
}

size_t HolderSearch::State::Next() {
  if (!std::exchange(likely_tried, true) && likely > 0) {
    Look(likely);
  } else if (!std::exchange(init_listed, true)) {
    pid = init;  // PID 1 itself opens nothing
    LookDone();
  } else if (queue.empty() || walked >= limits::kMaxProcessesWalked || threads >= limits::kMaxThreadsWalked) {
    over = true;
  } else {
    ++walked;
    const pid_t next = queue.front();
    queue.pop_front();
    if (next != likely) {
      Look(next);
    } else {
      pid = next;
      LookDone();
    }
  }
  return kProcessSteps;
}

void HolderSearch::State::Look(pid_t process) {
  pid = process;
  descriptors = 0;
  folder = ProcFolder("/proc/" + std::to_string(pid) + "/fd");
  if (folder) {
    phase = Phase::kListed;
    return;
  }
  // A process that made itself non-dumpable shows its descriptors to root only. Whoever owns its user namespace may
  // still take copies of them by number.
  Result<UniqueFd> opened = folder.error() == EACCES ? runtime::OpenPidfd(pid) : Result<UniqueFd>(NotFound("it"));
  if (!opened.ok()) return LookDone();
  pidfd = std::move(*opened);
  number = 0;
  phase = Phase::kTried;
}

// The process does not hold it: its children may.
void HolderSearch::State::LookDone() {
  pidfd.reset();
  phase = Phase::kNext;
  // Of the one that was tried first, where the walk meets it.
  if (!init_listed) return;
  folder = ProcFolder("/proc/" + std::to_string(pid) + "/task");
  if (folder) phase = Phase::kThreads;
}

size_t HolderSearch::State::StepListed() {
  const char* name = folder.Next();
  if (name == nullptr || ++descriptors > limits::kMaxDescriptorsListed) {
    LookDone();
    return 1;
  }
  char link[64];
  const ssize_t n = readlinkat(folder.fd(), name, link, sizeof link);
  if (n > 0 && std::string_view(link, static_cast<size_t>(n)) == wanted) found = pid;
  return 1;
}

size_t HolderSearch::State::StepTried() {
  if (number >= limits::kMaxDescriptorsTried) {
    LookDone();
    return 1;
  }
  const UniqueFd copy(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd.get(), number++, 0)));
  struct stat st {};
  if (!copy) {
    if (errno != EBADF) LookDone();
  } else if (fstat(copy.get(), &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == inode) {
    found = pid;
  }
  return 1;
}

size_t HolderSearch::State::StepThreads() {
  const char* tid = threads < limits::kMaxThreadsWalked ? folder.Next() : nullptr;
  if (tid == nullptr) {
    phase = Phase::kNext;
    return 1;
  }
  ++threads;
  const std::string text = ReadChildren(folder.fd(), tid);
  for (size_t at = 0; at < text.size() && walked + queue.size() < limits::kMaxProcessesWalked;) {
    const pid_t child = static_cast<pid_t>(std::strtol(text.c_str() + at, nullptr, 10));
    if (child > 0) queue.push_back(child);
    at = text.find(' ', at);
    if (at == std::string::npos) break;
    ++at;
  }
  return kThreadSteps + text.size() / kChildrenBytesPerStep;
}

Result<pid_t> FindHolder(pid_t init, pid_t likely, uint64_t inode) {
  HolderSearch search(init, likely, inode);
  for (;;) {
    if (auto found = search.Advance(limits::kMaxOwnerSteps)) return std::move(*found);
  }
}

// ---- the searches of all

OwnerTurns::OwnerTurns(runtime::Loop& loop, const Clock& clock)
    : loop_(loop), clock_(clock), self_(std::make_shared<OwnerTurns*>(this)) {}

void OwnerTurns::Find(const std::string& instance, HolderSearch search, Done done) {
  const auto it = waiting_.find(instance);
  if (it == waiting_.end()) {
    // Most are found where the last one was, within this.
    if (auto found = search.Advance(limits::kOwnerStepsPerTurn)) return done(std::move(*found));
    ring_.push_back(instance);
  } else if (it->second.size() >= limits::kMaxOwnerSearchesWaiting) {
    return done(ResourceExhausted("too many connections of this agent wait for their owner"));
  }
  waiting_[instance].push_back({std::move(search), std::move(done), clock_.Mono()});
  Post();
}

void OwnerTurns::Forget(const std::string& instance) {
  waiting_.erase(instance);
  std::erase(ring_, instance);
}

void OwnerTurns::Post() {
  if (ring_.empty() || std::exchange(posted_, true)) return;
  loop_.Post([weak = std::weak_ptr<OwnerTurns*>(self_)] {
    if (const auto self = weak.lock()) (*self)->Turn();
  });
}

void OwnerTurns::Turn() {
  posted_ = false;
  if (ring_.empty()) return;
  const std::string instance = std::move(ring_.front());
  ring_.pop_front();
  auto& queue = waiting_[instance];
  std::optional<Result<pid_t>> found;
  if (clock_.Mono() - queue.front().asked > limits::kFindOwnerDeadline)
    found = Result<pid_t>(DeadlineExceeded("the search took too long"));
  else
    found = queue.front().search.Advance(limits::kOwnerStepsPerTurn);
  Done done;
  if (found) {
    done = std::move(queue.front().done);
    queue.pop_front();
  }
  if (queue.empty())
    waiting_.erase(instance);
  else
    ring_.push_back(instance);
  Post();
  if (done) done(std::move(*found));  // last: it may come back to us
}

}  // namespace hexr::spawner
