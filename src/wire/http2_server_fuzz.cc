// A client that sends anything: the first byte of each chunk says how long it is and who wrote it.
#include <algorithm>

#include "base/clock.h"
#include "wire/grpc_server.h"
#include "wire/testing/http2_frames.h"

namespace {

class Echo final : public hexr::wire::GrpcCall {
 public:
  explicit Echo(std::shared_ptr<hexr::wire::GrpcStream> stream) : stream_(std::move(stream)) {}
  void OnMessage(hexr::ByteView message) override { static_cast<void>(stream_->Send(message).ok()); }
  void OnHalfClose() override { stream_->Finish(hexr::Ok()); }

 private:
  std::shared_ptr<hexr::wire::GrpcStream> stream_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace wire = hexr::wire;
  hexr::ManualClock clock{hexr::WallTime{}};
  wire::GrpcRouter router;
  router.Add("/e/E", [](std::shared_ptr<wire::GrpcStream> stream, const wire::GrpcRequest&) {
    return hexr::Result<std::unique_ptr<wire::GrpcCall>>(std::make_unique<Echo>(std::move(stream)));
  });
  wire::GrpcConnection connection(router, clock, [] {});
  std::string out;
  if (!connection.Feed(hexr::AsBytes(wire::testing::Start()), 0).ok()) return 0;
  hexr::ByteView rest(data, size);
  while (!rest.empty()) {
    const uint8_t control = rest[0];
    rest = rest.subspan(1);
    const size_t n = std::min<size_t>(rest.size(), size_t{control & 0x3FU} * 4 + 1);
    const auto chunk = rest.first(n);
    rest = rest.subspan(n);
    if (!connection.Feed(chunk, control >> 7).ok()) break;
    if ((control & 0x40) != 0) connection.TakeOutput(out, 1 << 16);
    out.clear();
  }
  connection.Drain();
  connection.TakeOutput(out, 1 << 20);
  return 0;
}
