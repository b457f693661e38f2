#include "wire/http2_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/limits/http.h"
#include "wire/http2_frames.h"
#include "wire/testing/http2_frames.h"

namespace hexr::wire {
namespace {

using namespace std::chrono_literals;
using testing::kContinuation;
using testing::kData;
using testing::kEndHeaders;
using testing::kEndStream;
using testing::kHeaders;
using testing::kPing;
using testing::kRstStream;
using testing::kSettings;

class Recorder final : public Http2Handler {
 public:
  void OnRequest(int32_t stream, Http2Request request) override { requests[stream] = std::move(request); }
  void OnData(int32_t stream, ByteView data) override { bodies[stream].append(AsText(data)); }
  void OnEnd(int32_t stream) override { ended.push_back(stream); }
  void OnRefused(int32_t stream, const Error& why) override { refused.emplace(stream, why.code()); }
  void OnDrained(int32_t stream) override { drained.push_back(stream); }
  void OnClose(int32_t stream) override { closed.push_back(stream); }

  std::map<int32_t, Http2Request> requests;
  std::map<int32_t, std::string> bodies;
  std::map<int32_t, ErrorCode> refused;
  std::vector<int32_t> ended, drained, closed;
};

class Http2 : public ::testing::Test {
 protected:
  Status Feed(std::string_view bytes, WriterTag writer = 1) { return server.Feed(AsBytes(bytes), writer); }
  std::string Output() {
    std::string out;
    server.TakeOutput(out, 1 << 20);
    return out;
  }
  static std::string Request(uint32_t stream, uint8_t flags = kEndHeaders) {
    return testing::Frame(kHeaders, flags, stream, testing::GrpcFields("/a"));
  }

  ManualClock clock{WallTime{}};
  Recorder seen;
  Http2Server server{seen, clock};
};

TEST_F(Http2, DeliversARequestByteByByte) {
  const std::string all =
      testing::Start() + Request(1) + testing::Frame(kData, 0, 1, "he") + testing::Frame(kData, kEndStream, 1, "y");
  for (const char c : all) ASSERT_TRUE(Feed(std::string_view(&c, 1)).ok());
  ASSERT_EQ(seen.requests.size(), 1U);
  EXPECT_EQ(seen.requests[1].method, "POST");
  EXPECT_EQ(seen.requests[1].path, "/a");
  EXPECT_EQ(seen.requests[1].Field("te"), "trailers");
  EXPECT_EQ(seen.requests[1].writer, 1U);
  EXPECT_EQ(seen.bodies[1], "hey");
  EXPECT_EQ(seen.ended, std::vector<int32_t>{1});
  EXPECT_TRUE(seen.closed.empty());
  server.Respond(1, 200, {});
  server.Send(1, ToBytes("body"));
  server.End(1, {{"t", "v"}});
  EXPECT_THAT(Output(), ::testing::HasSubstr("body"));
  EXPECT_EQ(seen.closed, std::vector<int32_t>{1});
}

TEST_F(Http2, FramesOfStreamsThatAreOverEndTheConnection) {
  const auto after = [](const std::string& last, bool answered) {
    ManualClock still{WallTime{}};
    Recorder handler;
    Http2Server fresh(handler, still);
    EXPECT_TRUE(fresh.Feed(AsBytes(testing::Start() + Request(5, kEndHeaders | kEndStream)), 1).ok());
    if (answered) fresh.RespondAndEnd(5, 200, {});
    std::string out;
    fresh.TakeOutput(out, 1 << 20);
    const bool ok = fresh.Feed(AsBytes(last), 1).ok();
    out.clear();
    fresh.TakeOutput(out, 1 << 20);
    return ok ? -1 : static_cast<int>(out.back());  // without debug data, GOAWAY ends with its code
  };
  EXPECT_EQ(after(testing::Frame(kData, 0, 5, "x"), true), 5) << "STREAM_CLOSED";
  EXPECT_EQ(after(Request(5), true), 5);
  EXPECT_EQ(after(Request(3), false), 1) << "PROTOCOL_ERROR: numbers only grow";
  EXPECT_EQ(after(testing::Frame(testing::kPriority, 0, 0, std::string(5, '\1')), false), 1);
  EXPECT_EQ(after(Request(7), true), -1);
}

TEST_F(Http2, WhatWasUnderWayToAStreamThatWeEndedIsNoError) {
  ASSERT_TRUE(Feed(testing::Start() + Request(1)).ok());
  server.RespondAndEnd(1, 200, {});  // before the request has ended: the stream is reset
  Output();
  EXPECT_TRUE(Feed(testing::Frame(kData, 0, 1, "late") + Request(3)).ok());
  EXPECT_TRUE(seen.requests.contains(3));
}

TEST(Http2PastStreams, RemembersTheLast) {
  Http2PastStreams past;
  for (int32_t id = 1; id < 2 * static_cast<int32_t>(limits::kMaxHttp2PastStreams) + 4; id += 2) {
    EXPECT_EQ(past.Judge(true, id), Http2PastStreams::Verdict::kFine);
    past.Ended(id, false);
    past.Ended(id, true);
  }
  EXPECT_EQ(past.Judge(false, 1), Http2PastStreams::Verdict::kFine) << "forgotten";
  EXPECT_EQ(past.Judge(true, 1), Http2PastStreams::Verdict::kProtocolError);
  EXPECT_EQ(past.Judge(false, 5), Http2PastStreams::Verdict::kStreamClosed);
}

TEST_F(Http2, RequestsBelongToTheirWriter) {
  ASSERT_TRUE(Feed(testing::Start(), 1).ok());
  ASSERT_TRUE(Feed(Request(1), 1).ok());
  ASSERT_TRUE(Feed(Request(3), 2).ok());
  ASSERT_TRUE(Feed(testing::Frame(kData, kEndStream, 1, "x"), 1).ok());
  ASSERT_TRUE(Feed(testing::Frame(kData, kEndStream, 3, "y"), 2).ok());
  EXPECT_EQ(seen.requests[1].writer, 1U);
  EXPECT_EQ(seen.requests[3].writer, 2U);
  EXPECT_EQ(seen.bodies[3], "y");
  EXPECT_TRUE(seen.refused.empty());
}

TEST_F(Http2, RefusesARequestOfTwoWriters) {
  ASSERT_TRUE(Feed(testing::Start() + Request(1), 1).ok());
  ASSERT_TRUE(Feed(testing::Frame(kData, kEndStream, 1, "not yours"), 2).ok());
  EXPECT_EQ(seen.refused.at(1), ErrorCode::kPermissionDenied);
  EXPECT_EQ(seen.bodies[1], "");
  EXPECT_TRUE(seen.ended.empty()) << "nothing of a refused request reaches the handler";
}

TEST_F(Http2, RefusesAHeaderBlockOfTwoWriters) {
  const std::string block = testing::GrpcFields("/a");
  ASSERT_TRUE(Feed(testing::Start() + testing::Frame(kHeaders, kEndStream, 1, block.substr(0, 20)), 1).ok());
  ASSERT_TRUE(Feed(testing::Frame(kContinuation, kEndHeaders, 1, block.substr(20)), 2).ok());
  EXPECT_TRUE(seen.requests.empty());
  EXPECT_EQ(seen.refused.at(1), ErrorCode::kPermissionDenied);
}

TEST_F(Http2, EndsTheConnectionWhenAFrameStraddlesWriters) {
  const std::string frame = Request(1, kEndHeaders | kEndStream);
  for (const size_t cut : {1UL, 8UL, 9UL, 15UL, frame.size() - 1}) {
    Recorder own;
    Http2Server fresh(own, clock);
    ASSERT_TRUE(fresh.Feed(AsBytes(testing::Start() + frame.substr(0, cut)), 1).ok());
    const Status status = fresh.Feed(AsBytes(frame.substr(cut)), 2);
    ASSERT_FALSE(status.ok()) << cut;
    EXPECT_EQ(status.error().code(), ErrorCode::kPermissionDenied);
    EXPECT_TRUE(own.requests.empty());
    EXPECT_FALSE(fresh.Feed(AsBytes(frame), 1).ok()) << "it stays ended";
    std::string out;
    fresh.TakeOutput(out, 1 << 20);
    EXPECT_TRUE(fresh.finished());
  }
}

TEST_F(Http2, EndsTheConnectionWhenThePrefaceStraddlesWriters) {
  ASSERT_TRUE(Feed(testing::kPreface.substr(0, 10), 1).ok());
  EXPECT_FALSE(Feed(testing::kPreface.substr(10), 2).ok());
}

TEST_F(Http2, RefusesOtherProtocols) { EXPECT_FALSE(Feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()); }

TEST_F(Http2, BoundsRequestFields) {
  const std::string big =
      testing::GrpcFields("/a") + testing::Fields({{"x", std::string(limits::kMaxHttp2FieldBytes, 'x')}});
  ASSERT_TRUE(Feed(testing::Start() + testing::Frame(kHeaders, 0, 1, big.substr(0, 16384)) +
                   testing::Frame(kContinuation, kEndHeaders, 1, big.substr(16384)))
                  .ok());
  EXPECT_TRUE(seen.requests.empty());
  EXPECT_EQ(seen.refused.at(1), ErrorCode::kResourceExhausted);
}

TEST_F(Http2, BoundsStreams) {
  ASSERT_TRUE(Feed(testing::Start() + testing::Frame(kSettings, testing::kAck, 0, "")).ok());
  for (uint32_t i = 0; i <= limits::kMaxHttp2Streams; ++i) ASSERT_TRUE(Feed(Request(2 * i + 1)).ok());
  EXPECT_EQ(seen.requests.size(), limits::kMaxHttp2Streams);
}

// Feeds `frame(i)` until the server has had enough; how many it took, at most `max`.
template <class F>
size_t FeedUntilRefused(Http2Server& server, size_t max, F frame) {
  std::string out;
  EXPECT_TRUE(server.Feed(AsBytes(testing::Start()), 1).ok());
  for (size_t i = 0; i < max; ++i) {
    const Status status = server.Feed(AsBytes(frame(i)), 1);
    if (!status.ok()) {
      EXPECT_EQ(status.error().code(), ErrorCode::kResourceExhausted) << status.error().ToString();
      return i;
    }
    out.clear();
    server.TakeOutput(out, 1 << 20);
    if (server.finished()) return i;
  }
  return max;
}

TEST_F(Http2, EndsFloods) {
  const auto reset = [](size_t i) {
    const auto id = static_cast<uint32_t>(2 * i + 1);
    return Request(id) + testing::Frame(kRstStream, 0, id, std::string("\0\0\0\x8", 4));
  };
  const std::map<std::string, std::function<std::string(size_t)>> floods{
      {"ping", [](size_t) { return testing::Frame(kPing, 0, 0, "12345678"); }},
      {"settings", [](size_t) { return testing::Frame(kSettings, 0, 0, ""); }},
      {"window", [](size_t) { return testing::Frame(testing::kWindowUpdate, 0, 0, std::string("\0\0\0\x1", 4)); }},
      {"priority", [](size_t) { return testing::Frame(testing::kPriority, 0, 7, std::string("\0\0\0\0\0", 5)); }},
      {"unknown", [](size_t) { return testing::Frame(0xEE, 0, 0, ""); }},
      {"empty data", [](size_t i) { return (i == 0 ? Request(1) : "") + testing::Frame(kData, 0, 1, ""); }},
      {"rapid reset", reset}};
  for (const auto& [name, frame] : floods) {
    Recorder own;
    Http2Server fresh(own, clock);
    const size_t took = FeedUntilRefused(fresh, 5000, frame);
    EXPECT_LE(took, static_cast<size_t>(limits::kHttp2ControlBurst)) << name;
    if (name == "rapid reset") {
      EXPECT_LE(took, static_cast<size_t>(limits::kHttp2ControlBurst / limits::kHttp2ResetCost));
    }
  }
}

TEST_F(Http2, EndsAContinuationFlood) {
  const size_t took = FeedUntilRefused(server, 5000, [](size_t i) {
    return i == 0 ? testing::Frame(kHeaders, 0, 1, testing::GrpcFields("/a")) : testing::Frame(kContinuation, 0, 1, "");
  });
  EXPECT_LE(took, static_cast<size_t>(limits::kHttp2ControlBurst / limits::kHttp2ContinuationCost) + 1);
}

// nghttp2 has a bound of its own for these, newer than its oldest version here.
TEST(Http2FloodMeter, AContinuationCostsManyOtherFrames) {
  const ManualClock clock{WallTime{}};
  Http2FloodMeter meter(clock);
  int64_t n = 0;
  while (meter.Allow({.length = 0, .type = kContinuation, .flags = 0, .stream = 1})) ++n;
  EXPECT_EQ(n, limits::kHttp2ControlBurst / limits::kHttp2ContinuationCost);
}

TEST_F(Http2, BoundsAnswersThatNobodyReads) {
  ASSERT_TRUE(Feed(testing::Start()).ok());
  size_t i = 0;
  while (i < 5000 && Feed(testing::Frame(kPing, 0, 0, "12345678")).ok()) ++i;
  EXPECT_LE(i, limits::kMaxHttp2UnreadAnswers + 1);
}

TEST_F(Http2, AKeepaliveIsNoFlood) {
  ASSERT_TRUE(Feed(testing::Start()).ok());
  for (int i = 0; i < 5000; ++i) {
    clock.Advance(10s);
    ASSERT_TRUE(Feed(testing::Frame(kPing, 0, 0, "12345678")).ok()) << i;
    Output();
  }
}

TEST_F(Http2, ReadsNoFasterThanItsStreamsAreConsumed) {
  ASSERT_TRUE(Feed(testing::Start() + Request(1) + Request(3)).ok());
  const std::string chunk(16000, 'x');
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Feed(testing::Frame(kData, 0, 1, chunk)).ok());
  EXPECT_EQ(seen.bodies[1].size(), 64000U);
  Output();
  ASSERT_TRUE(Feed(testing::Frame(kData, 0, 3, chunk)).ok());
  EXPECT_EQ(seen.bodies[3].size(), 16000U) << "a stream that is not consumed does not stop the others";
  ASSERT_TRUE(Feed(testing::Frame(kData, 0, 1, chunk)).ok());
  Output();
  EXPECT_EQ(seen.closed, std::vector<int32_t>{1}) << "beyond its window";
}

TEST_F(Http2, QueuesWhatASlowReaderHasNotTaken) {
  ASSERT_TRUE(Feed(testing::Start() + Request(1, kEndHeaders | kEndStream)).ok());
  server.Respond(1, 200, {});
  server.Send(1, Bytes(100'000, 'a'));
  server.Send(1, Bytes(50'000, 'b'));
  Output();
  EXPECT_EQ(server.Queued(1), 150'000U - 65'535U) << "the client's window";
  server.DropQueued(1);
  EXPECT_EQ(server.Queued(1), 100'000U - 65'535U) << "a chunk that is half out stays";
  server.Send(1, Bytes(10, 'c'));
  const std::string window = std::string("\0\x0f\x00\x00", 4);
  ASSERT_TRUE(
      Feed(testing::Frame(testing::kWindowUpdate, 0, 0, window) + testing::Frame(testing::kWindowUpdate, 0, 1, window))
          .ok());
  const std::string rest = Output();
  EXPECT_THAT(rest, ::testing::HasSubstr("cccccccccc"));
  EXPECT_THAT(rest, ::testing::Not(::testing::HasSubstr("b")));
  EXPECT_EQ(seen.drained, std::vector<int32_t>{1});
}

TEST_F(Http2, TakesOutputInPieces) {
  ASSERT_TRUE(Feed(testing::Start() + Request(1, kEndHeaders | kEndStream)).ok());
  server.Respond(1, 200, {});
  server.Send(1, Bytes(60'000, 'a'));
  std::string out;
  server.TakeOutput(out, 20'000);
  EXPECT_LT(out.size(), 40'000U);
  EXPECT_TRUE(server.WantsOutput());
}

TEST_F(Http2, DrainsWithoutLosingWhatIsOpen) {
  ASSERT_TRUE(Feed(testing::Start() + Request(1)).ok());
  Output();
  server.Drain();
  const std::string notice = Output();
  // The ping is the last frame: its payload answers it.
  ASSERT_TRUE(Feed(Request(3, kEndHeaders | kEndStream)).ok());
  EXPECT_TRUE(seen.requests.contains(3)) << "in flight when the notice went out";
  ASSERT_TRUE(Feed(testing::Frame(kPing, testing::kAck, 0, notice.substr(notice.size() - 8))).ok());
  Output();
  ASSERT_TRUE(Feed(Request(5, kEndHeaders | kEndStream)).ok());
  EXPECT_FALSE(seen.requests.contains(5));
  server.RespondAndEnd(3, 204, {});
  Output();
  EXPECT_FALSE(server.finished());
  ASSERT_TRUE(Feed(testing::Frame(kData, kEndStream, 1, "late")).ok());
  server.RespondAndEnd(1, 204, {});
  Output();
  EXPECT_EQ(seen.bodies[1], "late");
  EXPECT_TRUE(server.finished());
}

TEST(Http2FloodMeter, RefillsWithTimeAndWithContent) {
  ManualClock clock{WallTime{}};
  Http2FloodMeter meter(clock);
  const Http2FrameHeader ping{.length = 8, .type = testing::kPing, .flags = 0, .stream = 0};
  const auto spend = [&] {
    int64_t n = 0;
    while (meter.Allow(ping)) ++n;
    return n;
  };
  EXPECT_EQ(spend(), limits::kHttp2ControlBurst);
  clock.Advance(1s);
  EXPECT_EQ(spend(), limits::kHttp2ControlPerSecond);
  for (int i = 0; i < 5; ++i) meter.Earn();
  EXPECT_EQ(spend(), 5);
  clock.Advance(1h);
  EXPECT_EQ(spend(), limits::kHttp2ControlBurst) << "what is not used is not saved up";
  EXPECT_TRUE(meter.Allow({.length = 1, .type = testing::kData, .flags = 0, .stream = 1}))
      << "content is always allowed";
}

}  // namespace
}  // namespace hexr::wire
