// Messages of launch.sock (launch.proto), for both of its ends. Light on purpose: `hexr run` links little else.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/wiped.h"
#include "hexr/launch/v1/launch.pb.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {

namespace pb = ::hexr::launch::v1;

// Messages of both sides, for the socket's two ends. Large ones travel in a sealed memfd.
Status SendLaunchMessage(int socket, const google::protobuf::MessageLite& message, std::vector<int> fds);
// `writer`: the process that wrote it, as the kernel says, where SO_PASSCRED is set on the socket.
struct LaunchPacket {
  WipedBytes body;
  std::vector<runtime::UniqueFd> fds;
  std::optional<int64_t> writer;
};
Result<LaunchPacket> ReceiveLaunchMessage(int socket);

}  // namespace hexr::spawner
