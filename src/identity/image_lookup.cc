#include "identity/image_lookup.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

#include "base/log.h"
#include "runtime/packet.h"
#include "runtime/process.h"

namespace hexr::identity {
namespace {

using runtime::UniqueFd;

constexpr int kHelperSocket = 3;
constexpr int kDeadlineMs = 2000;  // what takes longer than this has hung

bool WaitReadable(int fd, int timeout_ms) {
  pollfd p{fd, POLLIN, 0};
  int n = 0;
  do n = ::poll(&p, 1, timeout_ms);
  while (n < 0 && errno == EINTR);
  return n == 1;
}

// Answers each number with one byte and the path, and the image's descriptor where it can be opened.
[[noreturn]] void ServeLooks() {
  for (;;) {
    if (!WaitReadable(kHelperSocket, -1)) ::_exit(0);
    const auto asked = runtime::ReceivePacket(kHelperSocket);
    int64_t pid = 0;
    if (!asked.ok() || asked->data.size() != sizeof pid) ::_exit(0);
    std::memcpy(&pid, asked->data.data(), sizeof pid);
    const std::string folder = "/proc/" + std::to_string(pid);
    const UniqueFd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const ImageLookup::Image image = dir ? ReadImageAt(dir.get()) : ImageLookup::Image{};
    const int fd = image.fd.get();
    const std::string answer = "." + image.path;
    if (!runtime::SendPacket(kHelperSocket, AsBytes(answer), {&fd, image.fd ? size_t{1} : size_t{0}}).ok()) ::_exit(0);
  }
}

}  // namespace

ImageLookup::Image ReadImageAt(int dir) {
  ImageLookup::Image image;
  std::array<char, PATH_MAX> buffer;
  const ssize_t n = ::readlinkat(dir, "exe", buffer.data(), buffer.size());
  if (n <= 0 || static_cast<size_t>(n) == buffer.size()) return image;
  image.path.assign(buffer.data(), static_cast<size_t>(n));
  image.fd = UniqueFd(::openat(dir, "exe", O_RDONLY | O_CLOEXEC));
  return image;
}

Result<std::unique_ptr<ImageLookup>> ImageLookup::Start(UniqueFunction<Status()> confine) {
  ASSIGN_OR_RETURN(auto pair, runtime::MakePacketPair());
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return ErrnoError("fork", errno);
  if (pid == 0) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(0);
    if (::dup2(pair.second.get(), kHelperSocket) != kHelperSocket) ::_exit(1);
    if (::syscall(SYS_close_range, kHelperSocket + 1, ~0U, 0) != 0) ::_exit(1);
    if (!confine().ok()) ::_exit(1);
    ServeLooks();
  }
  auto pidfd = runtime::OpenPidfd(pid);
  if (!pidfd.ok()) {
    (void)::kill(pid, SIGKILL);
    return pidfd.error();
  }
  return std::unique_ptr<ImageLookup>(new ImageLookup(std::move(pair.first), std::move(*pidfd)));
}

ImageLookup::~ImageLookup() {
  socket_.reset();  // its end of file ends it
  siginfo_t info{};
  if (pidfd_) (void)::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED);
}

ImageLookup::Image ImageLookup::At(int64_t pid) {
  if (!socket_) return {};
  std::array<uint8_t, sizeof pid> question;
  std::memcpy(question.data(), &pid, sizeof pid);
  auto answer = Result<runtime::Packet>(Unavailable("the helper does not answer"));
  if (const Status sent = runtime::SendPacket(socket_.get(), question, {}); !sent.ok())
    answer = sent.error();
  else if (WaitReadable(socket_.get(), kDeadlineMs))
    answer = runtime::ReceivePacket(socket_.get());
  if (!answer.ok() || answer->data.empty()) {
    // A late answer would be taken for that to the next question: none is asked any more.
    Log(LogLevel::kError, "image_lookup.failed", {{"error", answer.ok() ? DataLoss("empty") : answer.error()}});
    socket_.reset();
    return {};
  }
  Image image{std::string(AsText(answer->data).substr(1)), {}};
  if (answer->fds.size() == 1) image.fd = std::move(answer->fds[0]);
  return image;
}

}  // namespace hexr::identity
