// A peer decides into how many pieces it cuts what it sends: what a reader does for a byte does not grow with what came
// before it.
#include "base/testing/moved_bytes.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/limits/http.h"
#include "wire/client_hello.h"
#include "wire/http1.h"
#include "wire/http2_server.h"
#include "wire/testing/http2_frames.h"

namespace hexr::wire {
namespace {

// However it grows: a few copies of all that came.
constexpr size_t kCopies = 16;

std::string Number(size_t n, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
  return out;
}

TEST(ClientHelloBytes, OneByOneCostNoMoreForEach) {
  constexpr size_t kExtension = 60'000;
  const std::string extension = Number(0xABCD, 2) + Number(kExtension, 2) + std::string(kExtension, 'x');
  const std::string body = "\x03\x03" + std::string(32, 'r') + Number(0, 1) + Number(2, 2) + "\x13\x01" + Number(1, 1) +
                           std::string(1, '\0') + Number(extension.size(), 2) + extension;
  const std::string message = "\x01" + Number(body.size(), 3) + body;
  std::string all;
  for (size_t at = 0; at < message.size(); at += 16'000) {
    const std::string part = message.substr(at, 16'000);
    all += "\x16\x03\x01" + Number(part.size(), 2) + part;
  }
  ClientHelloReader reader;
  bool whole = false;
  const size_t before = MovedBytes();
  for (const char c : all) whole = reader.Read(AsBytes(std::string_view(&c, 1))).value().has_value();
  const size_t moved = MovedBytes() - before;
  EXPECT_TRUE(whole);
  EXPECT_LT(moved, kCopies * all.size());
  EXPECT_TRUE(!kCountsMovedBytes || moved >= message.size()) << moved;
}

TEST(Http1Bytes, OneByOneCostNoMoreForEach) {
  std::string chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 10'000; ++i) chunks += "1\r\nz\r\n";
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(60'000, 'x') + "\r\n\r\n";
  for (const std::string& text : {head, chunks + "0\r\n\r\n"}) {
    Http1RequestReader reader;
    bool whole = false;
    const size_t before = MovedBytes();
    for (const char c : text) {
      ByteView bytes = AsBytes(std::string_view(&c, 1));
      for (auto event = Http1Event::kHead; event != Http1Event::kNeedMore && !whole;) {
        event = reader.Read(bytes).value();
        whole = event == Http1Event::kEnd;
      }
    }
    EXPECT_TRUE(whole);
    EXPECT_LT(MovedBytes() - before, kCopies * text.size());
  }
}

// Takes refusals, and nothing else comes.
class Refused final : public Http2Handler {
 public:
  void OnRequest(int32_t, Http2Request) override { ADD_FAILURE(); }
  void OnData(int32_t, ByteView) override { ADD_FAILURE(); }
  void OnEnd(int32_t) override { ADD_FAILURE(); }
  void OnRefused(int32_t, const Error& why) override { code = why.code(); }
  void OnDrained(int32_t) override {}
  void OnClose(int32_t) override {}
  std::optional<ErrorCode> code;
};

// One byte names a field that was said before (RFC 7541 6.1): twelve thousand of them stand for some forty-five
// megabytes, of which nothing beyond the bound is taken up.
TEST(Http2Bytes, AFieldThatIsNamedAgainAndAgainIsNotTakenUp) {
  constexpr size_t kValue = 3900;  // its entry fits the table of 4096
  static_assert(kValue >= 127 + 128 && kValue < 127 + 128 * 128);
  std::string block = testing::GrpcFields("/a");
  block += "\x40\x01x\x7f";  // literal, kept in the table; then its length as a number with a prefix of seven bits
  block += static_cast<char>(0x80 | ((kValue - 127) & 0x7f));
  block += static_cast<char>((kValue - 127) >> 7);
  block += std::string(kValue, 'y') + std::string(12'000, '\xbe');  // the newest entry of the table
  ASSERT_LE(block.size(), 16'384u);
  const ManualClock clock{WallTime{}};
  Refused seen;
  Http2Server server(seen, clock);
  const std::string all = testing::Start() + testing::Frame(testing::kHeaders, testing::kEndHeaders, 1, block);
  const size_t before = MovedBytes();
  EXPECT_TRUE(server.Feed(AsBytes(all), 1).ok());
  EXPECT_EQ(seen.code, ErrorCode::kResourceExhausted);
  EXPECT_LT(MovedBytes() - before, kCopies * (all.size() + limits::kMaxHttp2FieldBytes));
}

}  // namespace
}  // namespace hexr::wire
