#include "wire/grpc_server.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>
#if !defined(HEXR_SANITIZED)
#include <malloc.h>
#endif

#include "base/limits/http.h"
#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "wire/grpc_client.h"
#include "wire/grpc_framing.h"
#include "wire/grpc_services.h"
#include "wire/protobuf_log.h"
#include "wire/testing/http2_frames.h"

namespace hexr::wire {
namespace {

using namespace std::chrono_literals;

// Echoes every message; "end" finishes with what is on the stream, "deny" refuses.
class EchoCall final : public GrpcCall {
 public:
  EchoCall(std::shared_ptr<GrpcStream> stream, int& alive) : stream_(std::move(stream)), alive_(alive) { ++alive_; }
  ~EchoCall() override { --alive_; }
  void OnMessage(ByteView message) override {
    if (AsText(message) == "deny")
      stream_->Finish(PermissionDenied("100% no: ü"));
    else
      EXPECT_TRUE(stream_->Send(message).ok());
  }
  void OnHalfClose() override { stream_->Finish(Ok()); }

 private:
  std::shared_ptr<GrpcStream> stream_;
  int& alive_;
};

struct Outcome {
  std::vector<std::string> messages;
  std::optional<Status> end;
};

class Grpc : public ::testing::Test {
 protected:
  Grpc() {
    router.Add("/test.Echo/Stream",
               [this](std::shared_ptr<GrpcStream> s, const GrpcRequest& request) -> Result<std::unique_ptr<GrpcCall>> {
                 last_request = request;
                 last_stream = s;
                 if (request.Values("refuse") == std::vector<std::string_view>{"yes"})
                   return Unauthenticated("refused");
                 return std::unique_ptr<GrpcCall>(std::make_unique<EchoCall>(std::move(s), alive));
               });
    router.AddOneMessage("/test.Echo/Unary", [](std::shared_ptr<GrpcStream> s, const GrpcRequest&, ByteView m) {
      EXPECT_TRUE(s->Send(m).ok());
      s->Finish(Ok());
      return std::unique_ptr<GrpcCall>();
    });
    router.AddOneMessage("/test.Echo/Watch", [this](std::shared_ptr<GrpcStream> s, const GrpcRequest&, ByteView) {
      last_stream = s;
      return std::unique_ptr<GrpcCall>();
    });
  }

  // Moves bytes both ways until nothing moves.
  void Pump(WriterTag writer = 7) {
    for (bool moved = true; moved;) {
      std::string to_server;
      client.TakeOutput(to_server, 1 << 20);
      if (!to_server.empty()) feed_status = server.Feed(AsBytes(to_server), writer);
      std::string to_client;
      server.TakeOutput(to_client, 1 << 20);
      EXPECT_TRUE(client.Feed(AsBytes(to_client)).ok());
      moved = !to_server.empty() || !to_client.empty();
    }
  }
  int32_t Start(std::string_view method, Outcome& o, std::vector<HttpField> metadata = {}) {
    auto id = client.Start(method, std::move(metadata),
                           {.on_message = [&o](ByteView m) { o.messages.emplace_back(AsText(m)); },
                            .on_end = [&o](const Status& s) { o.end = s; }});
    EXPECT_TRUE(id.ok());
    return *id;
  }
  Outcome Unary(std::string_view method, ByteView message, std::vector<HttpField> metadata = {}) {
    Outcome o;
    const int32_t id = Start(method, o, std::move(metadata));
    client.Send(id, message);
    client.HalfClose(id);
    Pump();
    return o;
  }
  static ErrorCode CodeOf(const Outcome& o) {
    EXPECT_TRUE(o.end.has_value() && !o.end->ok());
    return o.end && !o.end->ok() ? o.end->error().code() : ErrorCode::kUnknown;
  }

  ManualClock clock{WallTime{}};
  GrpcRouter router;
  int alive = 0;
  int outputs = 0;
  GrpcRequest last_request;
  std::shared_ptr<GrpcStream> last_stream;
  Status feed_status;
  GrpcConnection server{router, clock, [this] { ++outputs; }};
  GrpcClient client{"localhost"};
};

TEST_F(Grpc, AnswersAUnaryCall) {
  const Outcome o = Unary("/test.Echo/Unary", AsBytes("hello"));
  EXPECT_EQ(o.messages, std::vector<std::string>{"hello"});
  ASSERT_TRUE(o.end && o.end->ok());
  EXPECT_EQ(server.open_calls(), 0U);
  const Outcome large = Unary("/test.Echo/Unary", Bytes(1'000'000, 'x'));
  EXPECT_EQ(large.messages.at(0).size(), 1'000'000U);
}

TEST_F(Grpc, StreamsBothWays) {
  Outcome o;
  const int32_t id = Start("/test.Echo/Stream", o, {{"k", "1"}, {"k", "2"}});
  client.Send(id, AsBytes("a"));
  Pump();
  EXPECT_EQ(last_request.writer, 7U);
  EXPECT_EQ(last_request.method, "/test.Echo/Stream");
  EXPECT_EQ(last_request.Values("k"), (std::vector<std::string_view>{"1", "2"}));
  EXPECT_EQ(alive, 1);
  client.Send(id, AsBytes("b"));
  client.Send(id, AsBytes(""));
  client.HalfClose(id);
  Pump();
  EXPECT_EQ(o.messages, (std::vector<std::string>{"a", "b", ""}));
  ASSERT_TRUE(o.end && o.end->ok());
  EXPECT_EQ(alive, 0);
  EXPECT_FALSE(last_stream->open());
  EXPECT_EQ(last_stream->Send(AsBytes("x")).error().code(), ErrorCode::kCancelled);
}

TEST_F(Grpc, CarriesAStatusWithItsText) {
  Outcome o;
  client.Send(Start("/test.Echo/Stream", o), AsBytes("deny"));
  Pump();
  EXPECT_EQ(CodeOf(o), ErrorCode::kPermissionDenied);
  EXPECT_EQ(o.end->error().message(), "100% no: ü");
  EXPECT_EQ(alive, 0) << "the client was told to stop sending";
}

TEST_F(Grpc, RefusesByProtocol) {
  EXPECT_EQ(CodeOf(Unary("/test.Echo/Nothing", {})), ErrorCode::kUnimplemented);
  EXPECT_EQ(CodeOf(Unary("/test.Echo/Stream", {}, {{"refuse", "yes"}})), ErrorCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(Unary("/test.Echo/Unary", {}, {{"grpc-timeout", "1x"}})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Unary("/test.Echo/Unary", Bytes(limits::kMaxGrpcMessageBytes + 1))), ErrorCode::kResourceExhausted);
  Outcome none;
  client.HalfClose(Start("/test.Echo/Unary", none));
  Pump();
  EXPECT_EQ(CodeOf(none), ErrorCode::kInvalidArgument);
  Outcome two;
  const int32_t id = Start("/test.Echo/Unary", two);
  client.Send(id, AsBytes("1"));
  client.Send(id, AsBytes("2"));
  client.HalfClose(id);
  Pump();
  EXPECT_EQ(CodeOf(two), ErrorCode::kInvalidArgument);
  EXPECT_EQ(server.open_calls(), 0U);
}

// The status that a hand-made request gets, from its trailers-only answer: "grpc-status" stands there in clear or in
// Huffman code, so a client session reads it.
TEST_F(Grpc, RefusesARequestOfTwoProcesses) {
  Outcome o;
  const int32_t id = Start("/test.Echo/Stream", o);
  client.Send(id, AsBytes("mine"));
  Pump(7);
  client.Send(id, AsBytes("not mine"));
  Pump(8);
  EXPECT_EQ(o.messages, std::vector<std::string>{"mine"});
  EXPECT_EQ(CodeOf(o), ErrorCode::kPermissionDenied);
  EXPECT_EQ(alive, 0);
  Outcome next = Unary("/test.Echo/Unary", AsBytes("fine"));
  EXPECT_TRUE(next.end && next.end->ok()) << "the connection goes on";
}

TEST_F(Grpc, RefusesWhatIsNotGrpc) {
  using testing::Fields;
  using testing::Frame;
  const auto answer = [&](const std::string& block) {
    GrpcConnection fresh(router, clock, [] {});
    const std::string request = Frame(testing::kHeaders, testing::kEndHeaders | testing::kEndStream, 1, block);
    EXPECT_TRUE(fresh.Feed(AsBytes(testing::Start() + request), 1).ok());
    std::string out;
    fresh.TakeOutput(out, 1 << 20);
    EXPECT_EQ(fresh.open_calls(), 0U);
    return out;
  };
  const std::vector<std::pair<std::string, std::string>> base{
      {":scheme", "http"}, {":path", "/test.Echo/Unary"}, {":authority", "a"}};
  auto get = base;
  get.insert(get.begin(), {":method", "GET"});
  EXPECT_FALSE(answer(Fields(get)).empty());
  for (const char* type : {"text/plain", "application/grpc-web", "application/grpc+json", "application/grpcx"}) {
    auto post = base;
    post.insert(post.begin(), {":method", "POST"});
    post.emplace_back("content-type", type);
    const std::string out = answer(Fields(post));
    EXPECT_EQ(out.find("grpc-status"), std::string::npos) << type;
  }
}

TEST_F(Grpc, RefusesCompressedAndCutMessages) {
  for (const auto& [body, code] : std::vector<std::pair<std::string, char>>{{std::string("\1\0\0\0\1x", 6), '\x0c'},
                                                                            {std::string("\2\0\0\0\1x", 6), '\x03'},
                                                                            {std::string("\0\0\0\0\5x", 6), '\x03'}}) {
    Outcome o;
    GrpcConnection fresh(router, clock, [] {});
    GrpcClient reader("a");
    ASSERT_TRUE(reader.Start("/x/y", {}, {.on_message = {}, .on_end = [&o](const Status& s) { o.end = s; }}).ok());
    std::string unused;
    reader.TakeOutput(unused, 1 << 20);
    ASSERT_TRUE(fresh
                    .Feed(AsBytes(testing::Start() +
                                  testing::Frame(testing::kHeaders, testing::kEndHeaders, 1,
                                                 testing::GrpcFields("/test.Echo/Stream")) +
                                  testing::Frame(testing::kData, testing::kEndStream, 1, body)),
                          1)
                    .ok());
    std::string out;
    fresh.TakeOutput(out, 1 << 20);
    ASSERT_TRUE(reader.Feed(AsBytes(out)).ok());
    EXPECT_EQ(static_cast<char>(CodeOf(o)), code);
  }
}

TEST_F(Grpc, TellsTheServiceWhenACallEnds) {
  Outcome o;
  const int32_t id = Start("/test.Echo/Stream", o);
  Pump();
  EXPECT_EQ(alive, 1);
  client.Cancel(id);
  Pump();
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(CodeOf(o), ErrorCode::kCancelled);
}

TEST_F(Grpc, TellsTheServiceWhenTheConnectionEnds) {
  auto own = std::make_unique<GrpcConnection>(router, clock, [] {});
  ASSERT_TRUE(own->Feed(AsBytes(testing::Start() + testing::Frame(testing::kHeaders, testing::kEndHeaders, 1,
                                                                  testing::GrpcFields("/test.Echo/Stream"))),
                        1)
                  .ok());
  EXPECT_EQ(alive, 1);
  own.reset();
  EXPECT_EQ(alive, 0);
  EXPECT_FALSE(last_stream->open());
}

TEST_F(Grpc, EndsACallAtItsDeadline) {
  Outcome o;
  Start("/test.Echo/Stream", o, {{"grpc-timeout", "2S"}});
  Pump();
  EXPECT_EQ(last_request.timeout, 2s);
  EXPECT_EQ(server.NextDeadline(), clock.Mono() + 2s);
  clock.Advance(1s);
  server.OnDeadline();
  EXPECT_EQ(alive, 1);
  clock.Advance(1s);
  server.OnDeadline();
  Pump();
  EXPECT_EQ(CodeOf(o), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(server.NextDeadline(), std::nullopt);
}

TEST_F(Grpc, WritesLaterAndSaysSo) {
  Outcome o;
  const int32_t id = Start("/test.Echo/Watch", o);
  client.Send(id, {});
  client.HalfClose(id);
  Pump();
  EXPECT_EQ(outputs, 0);
  ASSERT_TRUE(last_stream->Send(AsBytes("state 1")).ok());
  EXPECT_EQ(outputs, 1);
  Pump();
  EXPECT_EQ(o.messages, std::vector<std::string>{"state 1"});
  last_stream->Finish(PermissionDenied("gone"));
  Pump();
  EXPECT_EQ(CodeOf(o), ErrorCode::kPermissionDenied);
}

TEST_F(Grpc, ASlowReaderGetsTheNewestStateOrLosesTheCall) {
  Outcome o;
  const int32_t id = Start("/test.Echo/Watch", o);
  client.Send(id, {});
  client.HalfClose(id);
  Pump();
  const auto state = [](char c) { return Bytes(200'000, static_cast<uint8_t>(c)); };
  std::string held;  // the server's output does not reach the client
  for (char c = 'a'; c <= 'z'; ++c) {
    ASSERT_TRUE(last_stream->Send(state(c), GrpcBacklog::kKeepNewest).ok());
    server.TakeOutput(held, 1 << 30);
  }
  ASSERT_TRUE(client.Feed(AsBytes(held)).ok());
  Pump();
  ASSERT_EQ(o.messages.size(), 2U);
  EXPECT_EQ(o.messages[0][0], 'a') << "was half out";
  EXPECT_EQ(o.messages[1][0], 'z');

  size_t sent = 0;
  Status status;
  while (sent < 1000 && (status = last_stream->Send(state('x'))).ok()) ++sent;
  EXPECT_EQ(status.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_LE(sent * 200'000, limits::kMaxGrpcQueuedBytes);
  EXPECT_FALSE(last_stream->open());
  Pump();
  EXPECT_EQ(CodeOf(o), ErrorCode::kResourceExhausted);
}

TEST_F(Grpc, BoundsIncompleteMessagesOfAConnection) {
  constexpr uint32_t kFit = limits::kMaxGrpcBufferedBytes / limits::kMaxGrpcMessageBytes;
  const Bytes part(limits::kMaxGrpcMessageBytes - 10);
  const std::string prefix = std::string("\0\0\x40\0\0", 5);  // 4 MiB announced
  std::string to_server = testing::Start();
  ASSERT_TRUE(server.Feed(AsBytes(to_server), 1).ok());
  size_t failed = 0;
  for (uint32_t s = 1; s <= 2 * kFit + 1; s += 2) {
    ASSERT_TRUE(server
                    .Feed(AsBytes(testing::Frame(testing::kHeaders, testing::kEndHeaders, s,
                                                 testing::GrpcFields("/test.Echo/Stream")) +
                                  testing::Frame(testing::kData, 0, s, prefix)),
                          1)
                    .ok());
    const std::string chunk(16384, 'x');
    for (size_t sent = 0; sent + chunk.size() < part.size() && last_stream->open(); sent += chunk.size()) {
      ASSERT_TRUE(server.Feed(AsBytes(testing::Frame(testing::kData, 0, s, chunk)), 1).ok());
      std::string out;
      server.TakeOutput(out, 1 << 20);
    }
    failed += last_stream->open() ? 0 : 1;
  }
  EXPECT_EQ(failed, 1U) << "so many incomplete messages of 4 MiB fit, one more does not";
}

TEST_F(Grpc, ServesHealth) {
  GrpcHealth health;
  health.AddTo(router);
  health.Set("", true);
  health.Set("a", false);
  using grpc::health::v1::HealthCheckRequest;
  using grpc::health::v1::HealthCheckResponse;
  const auto request = [](const std::string& service) {
    HealthCheckRequest r;
    r.set_service(service);
    return r.SerializeAsString();
  };
  const auto state = [](const std::string& message) {
    HealthCheckResponse r;
    EXPECT_TRUE(r.ParseFromString(message));
    return r.status();
  };
  EXPECT_EQ(state(Unary("/grpc.health.v1.Health/Check", AsBytes(request(""))).messages.at(0)),
            HealthCheckResponse::SERVING);
  EXPECT_EQ(state(Unary("/grpc.health.v1.Health/Check", AsBytes(request("a"))).messages.at(0)),
            HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(CodeOf(Unary("/grpc.health.v1.Health/Check", AsBytes(request("b")))), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(Unary("/grpc.health.v1.Health/Check", AsBytes("\xFF"))), ErrorCode::kInvalidArgument);
  {
    Outcome watch;
    const int32_t id = Start("/grpc.health.v1.Health/Watch", watch);
    client.Send(id, AsBytes(request("b")));
    client.HalfClose(id);
    Pump();
    health.Set("b", true);
    Pump();
    health.Set("b", true);
    Pump();
    ASSERT_EQ(watch.messages.size(), 2U) << "only changes are sent";
    EXPECT_EQ(state(watch.messages[0]), HealthCheckResponse::SERVICE_UNKNOWN);
    EXPECT_EQ(state(watch.messages[1]), HealthCheckResponse::SERVING);
    client.Cancel(id);
    Pump();
  }
  health.Set("b", false);  // nobody watches any more
}

TEST_F(Grpc, DescribesItself) {
  AddGrpcReflection(router, *google::protobuf::DescriptorPool::generated_pool());
  using grpc::reflection::v1::ServerReflectionRequest;
  using grpc::reflection::v1::ServerReflectionResponse;
  const auto ask = [&](const std::string& version, const ServerReflectionRequest& request) {
    const std::string method = "/grpc.reflection." + version + ".ServerReflection/ServerReflectionInfo";
    const Outcome o = Unary(method, AsBytes(request.SerializeAsString()));
    ServerReflectionResponse response;
    EXPECT_TRUE(response.ParseFromString(o.messages.at(0)));
    return response;
  };
  for (const std::string version : {"v1", "v1alpha"}) {
    ServerReflectionRequest list;
    list.set_list_services("*");
    std::vector<std::string> names;
    const ServerReflectionResponse listed = ask(version, list);
    for (const auto& s : listed.list_services_response().service()) names.push_back(s.name());
    EXPECT_THAT(names, ::testing::ElementsAre("grpc.reflection.v1.ServerReflection",
                                              "grpc.reflection.v1alpha.ServerReflection", "test.Echo"));
    ServerReflectionRequest symbol;
    symbol.set_file_containing_symbol("grpc.reflection." + version + ".ServerReflection");
    const auto files = ask(version, symbol).file_descriptor_response();
    ASSERT_EQ(files.file_descriptor_proto_size(), 1);
    google::protobuf::FileDescriptorProto file;
    ASSERT_TRUE(file.ParseFromString(files.file_descriptor_proto(0)));
    EXPECT_EQ(file.package(), "grpc.reflection." + version);
    ServerReflectionRequest by_name;
    by_name.set_file_by_filename(file.name());
    EXPECT_EQ(ask(version, by_name).file_descriptor_response().file_descriptor_proto_size(), 1);
    symbol.set_file_containing_symbol("no.Such");
    EXPECT_EQ(ask(version, symbol).error_response().error_code(), 5);
  }
  ServerReflectionRequest extension;
  extension.mutable_file_containing_extension()->set_containing_type("grpc.reflection.v1.ServerResponse");
  EXPECT_EQ(ask("v1", extension).error_response().error_code(), 5);
  EXPECT_EQ(ask("v1", {}).error_response().error_code(), 3);
}

#if !defined(HEXR_SANITIZED)
// A live agent keeps a stream open for as long as it runs: what one costs decides how many fit on a node.
TEST_F(Grpc, AnIdleStreamIsSmall) {
  constexpr size_t kConnections = 200;
  constexpr size_t kGoal = 28 * 1024;  // 16 KiB are nghttp2's frame buffer, of which small messages touch one page
  std::vector<std::unique_ptr<GrpcConnection>> connections;
  connections.reserve(kConnections);
  const std::string hello =
      testing::Start() +
      testing::Frame(testing::kHeaders, testing::kEndHeaders, 1, testing::GrpcFields("/test.Echo/Watch")) +
      testing::Frame(testing::kData, testing::kEndStream, 1, std::string("\0\0\0\0\0", 5));
  const size_t before = mallinfo2().uordblks;
  for (size_t i = 0; i < kConnections; ++i) {
    connections.push_back(std::make_unique<GrpcConnection>(router, clock, [] {}));
    ASSERT_TRUE(connections.back()->Feed(AsBytes(hello), 1).ok());
    ASSERT_TRUE(last_stream->Send(Bytes(2000)).ok());
    std::string out;
    connections.back()->TakeOutput(out, 1 << 20);
  }
  const size_t each = (mallinfo2().uordblks - before) / kConnections;
  RecordProperty("bytes_per_idle_stream", static_cast<int>(each));
  EXPECT_LE(each, kGoal);
}
#endif

TEST(GrpcFraming, PercentCodes) {
  EXPECT_EQ(GrpcPercentEncode("a b%\n\xC3\xBC"), "a b%25%0A%C3%BC");
  EXPECT_EQ(GrpcPercentDecode("a b%25%0A%c3%BC"), "a b%\n\xC3\xBC");
  EXPECT_EQ(GrpcPercentDecode("%"), "%");
  EXPECT_EQ(GrpcPercentDecode("100%zz%4"), "100%zz%4");
}

TEST(GrpcFraming, ReadsTimeouts) {
  EXPECT_EQ(ParseGrpcTimeout("1H").value(), 1h);
  EXPECT_EQ(ParseGrpcTimeout("99999999n").value(), 99999999ns);
  EXPECT_GT(ParseGrpcTimeout("99999999H").value(), 24h * 36500) << "saturates instead of wrapping";
  for (const char* bad : {"", "S", "1", "-1S", "123456789S", "1.5S", "1s", " 1S"})
    EXPECT_FALSE(ParseGrpcTimeout(bad).ok()) << bad;
}

TEST(GrpcFraming, CutsMessages) {
  GrpcMessageReader reader(4);
  Bytes all = GrpcFrame(AsBytes("ab"));
  const Bytes second = GrpcFrame({});
  all.insert(all.end(), second.begin(), second.end());
  std::vector<std::string> messages;
  for (const uint8_t b : all) {
    reader.Append({&b, 1});
    for (auto next = reader.Next(); next.ok() && next->has_value(); next = reader.Next())
      messages.emplace_back(AsText(**next));
  }
  EXPECT_EQ(messages, (std::vector<std::string>{"ab", ""}));
  EXPECT_EQ(reader.buffered(), 0U);
  reader.Append(AsBytes(std::string_view("\0\0\0\0\5", 5)));
  EXPECT_EQ(reader.Next().error().code(), ErrorCode::kResourceExhausted) << "before any of its bytes are here";
}

// Whoever sends messages with text that is none writes nothing into our log.
TEST(ProtobufLog, NonsenseIsNoNews) {
  QuietProtobuf();
  ::grpc::health::v1::HealthCheckRequest request;
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(request.ParseFromString("\x0a\x01\xff"));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace hexr::wire
