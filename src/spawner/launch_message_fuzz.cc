// What `hexr run`, or whoever speaks in its place, sends the spawner: the first bytes that a stranger can make it read.
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/limits/agents.h"
#include "runtime/packet.h"
#include "spawner/launch_message.h"

namespace {

using hexr::ByteView;
using hexr::runtime::UniqueFd;

// As a packet, and as what lies in a memfd: both ways end in the same parser.
void Deliver(const uint8_t* data, size_t size) {
  auto pair = hexr::runtime::MakePacketPair();
  HEXR_CHECK(pair.ok());
  if (!hexr::runtime::SendPacket(pair->first.get(), ByteView(data, size), {}).ok()) return;
  const auto packet = hexr::spawner::ReceiveLaunchMessage(pair->second.get());
  HEXR_CHECK(packet.ok() && packet->body.size() == size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > hexr::limits::kMaxLaunchMessageBytes) return 0;
  Deliver(data, size);
  hexr::spawner::pb::ClientMessage client;
  if (client.ParseFromArray(data, static_cast<int>(size))) {
    // A message that was taken is sent on whole, whatever its size.
    auto pair = hexr::runtime::MakePacketPair();
    HEXR_CHECK(pair.ok());
    if (client.ByteSizeLong() > 0 && hexr::spawner::SendLaunchMessage(pair->first.get(), client, {}).ok()) {
      const auto back = hexr::spawner::ReceiveLaunchMessage(pair->second.get());
      HEXR_CHECK(back.ok() && back->body.size() == client.ByteSizeLong());
    }
  }
  hexr::spawner::pb::ServerMessage server;
  (void)server.ParseFromArray(data, static_cast<int>(size));
  hexr::spawner::pb::ParkedInstance parked;
  (void)parked.ParseFromArray(data, static_cast<int>(size));
  return 0;
}
