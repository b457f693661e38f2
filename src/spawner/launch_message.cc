#include "spawner/launch_message.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/limits/agents.h"
#include "base/limits/messages.h"
#include "runtime/packet.h"

namespace hexr::spawner {
namespace {

using runtime::UniqueFd;

constexpr uint8_t kInMemfd = 0;  // no protobuf message begins with a zero byte: field numbers start at 1

Result<UniqueFd> ToMemfd(ByteView data) {
  UniqueFd memfd(memfd_create("hexr-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd) return ErrnoError("memfd_create", errno);
  while (!data.empty()) {
    const ssize_t n = write(memfd.get(), data.data(), data.size());
    if (n <= 0) return ErrnoError("write message", errno);
    data = data.subspan(static_cast<size_t>(n));
  }
  if (fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return ErrnoError("seal", errno);
  return memfd;
}

// Seals exist on memory files alone: reading one can neither block nor meet other content the second time.
Result<WipedBytes> FromMemfd(int fd) {
  const int seals = fcntl(fd, F_GET_SEALS);
  constexpr int kNeeded = F_SEAL_WRITE | F_SEAL_SHRINK;
  struct stat st {};
  if (seals < 0 || (seals & kNeeded) != kNeeded || fstat(fd, &st) != 0)
    return InvalidArgument("the message is not a sealed memfd");
  const auto size = static_cast<size_t>(st.st_size);
  if (size == 0 || size > limits::kMaxLaunchMessageBytes) return ResourceExhausted("message over the limit");
  WipedBytes data(size);
  if (pread(fd, data.data(), data.size(), 0) != st.st_size) return DataLoss("message ends early");
  return data;
}

}  // namespace

Status SendLaunchMessage(int socket, const google::protobuf::MessageLite& message, std::vector<int> fds) {
  const std::string text = message.SerializeAsString();
  if (text.size() > limits::kMaxLaunchMessageBytes)
    return ResourceExhausted("arguments and environment are over the limit");
  if (text.size() <= limits::kMaxInlineMessageBytes) return runtime::SendPacket(socket, AsBytes(text), fds);
  ASSIGN_OR_RETURN(const UniqueFd memfd, ToMemfd(AsBytes(text)));
  fds.push_back(memfd.get());
  return runtime::SendPacket(socket, ByteView(&kInMemfd, 1), fds);
}

Result<LaunchPacket> ReceiveLaunchMessage(int socket) {
  ASSIGN_OR_RETURN(runtime::Packet p, runtime::ReceivePacket(socket));
  LaunchPacket out{std::move(p.data), std::move(p.fds), p.sender_pid};
  if (out.body.size() == 1 && out.body[0] == kInMemfd && !out.fds.empty()) {
    const UniqueFd memfd = std::move(out.fds.back());
    out.fds.pop_back();
    ASSIGN_OR_RETURN(out.body, FromMemfd(memfd.get()));
  }
  return out;
}

}  // namespace hexr::spawner
