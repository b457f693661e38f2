// One SOCK_SEQPACKET message with file descriptors and the kernel's word on who sent it. No state; thread-safe per
// socket.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/wiped.h"
#include "runtime/unique_fd.h"

namespace hexr::runtime {

struct Packet {
  WipedBytes data;
  std::vector<UniqueFd> fds;
  // Filled where SO_PASSPIDFD / SO_PASSCRED are set on the socket: the process that wrote this very message.
  UniqueFd sender_pidfd;
  std::optional<int64_t> sender_pid;
  std::optional<uint32_t> sender_uid;
};

// A connected pair, close-on-exec and non-blocking.
Result<std::pair<UniqueFd, UniqueFd>> MakePacketPair();

// Sends one message: never blocks. UNAVAILABLE when the peer's queue is full (try when writable) or the peer has gone;
// RESOURCE_EXHAUSTED over the limits. An empty message is refused: it would read as end of file.
// `would_block` tells the first case from the second.
Status SendPacket(int socket, ByteView data, std::span<const int> fds, bool* would_block = nullptr);

// Receives one message. NOT_FOUND: nothing there now. UNAVAILABLE: the peer has gone.
// DATA_LOSS: a message over the limit, whose rest the kernel has dropped: the socket is of no more use.
Result<Packet> ReceivePacket(int socket);

}  // namespace hexr::runtime
