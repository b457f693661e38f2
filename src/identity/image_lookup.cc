#include "identity/image_lookup.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <thread>
#include <type_traits>

#include "base/limits/identity.h"
#include "base/log.h"
#include "runtime/packet.h"
#include "runtime/process.h"

namespace hexr::identity {
namespace {

using runtime::UniqueFd;

constexpr int kHelperSocket = 3;
constexpr int kDeadlineMs = 1000;  // what takes longer than this has hung

bool WaitReadable(int fd, int timeout_ms) {
  pollfd p{fd, POLLIN, 0};
  int n = 0;
  do n = ::poll(&p, 1, timeout_ms);
  while (n < 0 && errno == EINTR);
  return n == 1;
}

// What goes before the path in an answer.
struct Header {
  uint8_t path_holds = 0;
  uint8_t has_file = 0;
  FileIdentity file;
};
static_assert(std::is_trivially_copyable_v<Header>);

// Answers each number with what is to be seen there, the image's descriptor beside it where it can be opened.
void ServeLooks(const UniqueFd& socket, ImageLookup::Look look) {
  for (;;) {
    if (!WaitReadable(socket.get(), -1)) return;
    const auto asked = runtime::ReceivePacket(socket.get());
    int64_t pid = 0;
    if (!asked.ok() || asked->data.size() != sizeof pid) return;
    std::memcpy(&pid, asked->data.data(), sizeof pid);
    const ImageLookup::Image image = look(pid);
    Header header;
    header.path_holds = image.path_holds ? 1 : 0;
    header.has_file = image.file ? 1 : 0;
    if (image.file) header.file = *image.file;
    std::string answer(sizeof header, '\0');
    std::memcpy(answer.data(), &header, sizeof header);
    answer += image.path;
    const int fd = image.fd.get();
    if (!runtime::SendPacket(socket.get(), AsBytes(answer), {&fd, image.fd ? size_t{1} : size_t{0}}).ok()) return;
  }
}

// One thread for each socket that comes, until the keeper has gone.
[[noreturn]] void ServeSockets(ImageLookup::Look look) {
  static std::atomic<size_t> threads = 0;
  for (;;) {
    if (!WaitReadable(kHelperSocket, -1)) ::_exit(0);
    auto sent = runtime::ReceivePacket(kHelperSocket);
    if (!sent.ok() || sent->fds.size() != 1) ::_exit(0);
    if (threads > limits::kMaxHungLooks) continue;  // closes it
    ++threads;
    std::thread([socket = std::move(sent->fds[0]), look] {
      ServeLooks(socket, look);
      --threads;
    }).detach();
  }
}

}  // namespace

ImageLookup::Image ReadImageAt(int dir) {
  ImageLookup::Image image;
  std::array<char, PATH_MAX> buffer;
  const ssize_t n = ::readlinkat(dir, "exe", buffer.data(), buffer.size());
  if (n <= 0 || static_cast<size_t>(n) == buffer.size()) return image;
  image.path.assign(buffer.data(), static_cast<size_t>(n));
  image.fd = UniqueFd(::openat(dir, "exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!image.fd) return image;
  const auto file = FileIdentityOf(image.fd.get());
  if (!file.ok()) {
    image.fd.reset();
    return image;
  }
  image.file = *file;
  const UniqueFd same(::open(image.path.c_str(), O_PATH | O_CLOEXEC));
  if (!same) return image;
  const auto ours = FileIdentityOf(same.get());
  image.path_holds = ours.ok() && ours->device == file->device && ours->inode == file->inode;
  return image;
}

ImageLookup::Image ImageLookup::LookAt(int64_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const UniqueFd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return dir ? ReadImageAt(dir.get()) : Image{};
}

Result<std::unique_ptr<ImageLookup>> ImageLookup::Start(UniqueFunction<Status()> confine, Look look) {
  ASSIGN_OR_RETURN(auto pair, runtime::MakePacketPair());
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return ErrnoError("fork", errno);
  if (pid == 0) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(0);
    if (::dup2(pair.second.get(), kHelperSocket) != kHelperSocket) ::_exit(1);
    if (::syscall(SYS_close_range, kHelperSocket + 1, ~0U, 0) != 0) ::_exit(1);
    if (!confine().ok()) ::_exit(1);
    ServeSockets(look);
  }
  auto pidfd = runtime::OpenPidfd(pid);
  if (!pidfd.ok()) {
    (void)::kill(pid, SIGKILL);
    return pidfd.error();
  }
  return std::unique_ptr<ImageLookup>(new ImageLookup(std::move(pair.first), std::move(*pidfd)));
}

ImageLookup::~ImageLookup() {
  control_.reset();  // its end of file ends it
  siginfo_t info{};
  if (pidfd_) (void)::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED);
}

Status ImageLookup::NewThread() {
  ASSIGN_OR_RETURN(auto pair, runtime::MakePacketPair());
  const int theirs = pair.second.get();
  constexpr std::array<uint8_t, 1> kHere{'.'};
  RETURN_IF_ERROR(runtime::SendPacket(control_.get(), kHere, {&theirs, 1}));
  socket_ = std::move(pair.first);
  return Ok();
}

ImageLookup::Image ImageLookup::At(int64_t pid) {
  std::array<uint8_t, sizeof pid> question;
  std::memcpy(question.data(), &pid, sizeof pid);
  auto answer = Result<runtime::Packet>(Unavailable("the helper does not answer"));
  Status sent = socket_ ? Ok() : NewThread();
  if (sent.ok()) sent = runtime::SendPacket(socket_.get(), question, {});
  if (!sent.ok())
    answer = sent.error();
  else if (WaitReadable(socket_.get(), kDeadlineMs))
    answer = runtime::ReceivePacket(socket_.get());
  Header header;
  if (!answer.ok() || answer->data.size() < sizeof header) {
    // A late answer would be taken for that to the next question: that goes to another thread.
    Log(LogLevel::kError, "image_lookup.failed",
        {{"pid", pid}, {"error", answer.ok() ? DataLoss("too short") : answer.error()}});
    socket_.reset();
    return {};
  }
  const ByteView data = answer->data;
  std::memcpy(&header, data.data(), sizeof header);
  Image image{std::string(AsText(data.subspan(sizeof header))), {}};
  if (answer->fds.size() == 1) image.fd = std::move(answer->fds[0]);
  if (header.has_file != 0) image.file = header.file;
  image.path_holds = header.path_holds != 0;
  return image;
}

}  // namespace hexr::identity
