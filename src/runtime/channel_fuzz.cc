// What a process of the node that was taken over can write to another one: packets of any bytes, with descriptors, and
// bodies in a memfd. Each packet is a length of two bytes, a byte that says how it goes, and the bytes.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "runtime/channel.h"
#include "runtime/loop.h"
#include "runtime/packet.h"

using namespace hexr;  // NOLINT: a fuzz target is a program of its own

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = (InitLog("fuzz", LogFormat::kText, LogLevel::kError), true);
  HEXR_CHECK(quiet);
  runtime::Loop loop;
  auto pair = runtime::MakePacketPair().value();
  int requests = 0, closed = 0;
  runtime::Channel channel(
      loop, std::move(pair.first), "fuzz",
      [&](runtime::Message m, runtime::Channel::Reply reply) {
        ++requests;
        HEXR_CHECK(m.fds.size() <= 4);
        if (requests % 2 == 0) reply.Ack();  // and else it is dropped without an answer
      },
      [&](const Error&) { ++closed; });
  runtime::Envelope ping;
  ping.mutable_ack();
  int answers = 0;
  channel.Call(ping, {}, std::chrono::seconds(5), [&](const Result<runtime::Message>&) { ++answers; });

  ByteView rest(data, size);
  for (int packets = 0; rest.size() >= 3 && packets < 32; ++packets) {
    const uint8_t how = rest[2];
    const size_t length = std::min<size_t>(static_cast<size_t>(rest[0]) << 8 | rest[1], rest.size() - 3);
    ByteView body = rest.subspan(3, length);
    rest = rest.subspan(3 + length);
    std::vector<runtime::UniqueFd> fds;
    fds.reserve(4);
    for (int i = 0; i < (how & 3); ++i) fds.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
    Bytes packet(body.begin(), body.end());
    if ((how & 4) != 0) {  // its body in a memfd, sealed or not
      const int memfd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
      HEXR_CHECK(write(memfd, body.data(), body.size()) == static_cast<ssize_t>(body.size()));
      if ((how & 8) != 0) (void)fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
      fds.emplace_back(memfd);
      packet = {2};
    } else {
      packet.insert(packet.begin(), how >> 6 == 0 ? uint8_t{1} : how);
    }
    std::vector<int> raw;
    raw.reserve(fds.size());
    for (const auto& fd : fds) raw.push_back(fd.get());
    (void)runtime::SendPacket(pair.second.get(), packet, raw);
    loop.RunReady();
  }
  pair.second.reset();
  for (int i = 0; i < 4 && closed == 0; ++i) loop.RunReady();
  // The end is told once, and whoever was waiting for an answer has had one.
  HEXR_CHECK(closed == 1 && answers == 1);
  return 0;
}
