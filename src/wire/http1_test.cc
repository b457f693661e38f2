#include "wire/http1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits/http.h"

namespace hexr::wire {
namespace {

struct ReadMessage {
  std::vector<Http1Event> events;  // runs of kData once
  std::string body;
  std::string rest;
  std::optional<Error> error;
};

// Reads one message from `text`, given `piece` bytes at a time.
ReadMessage ReadOneOf(Http1Reader& reader, std::string_view text, size_t piece = std::string_view::npos,
                      bool eof = false) {
  ReadMessage out;
  size_t at = 0;
  ByteView window;
  while (true) {
    const auto event = reader.Read(window);
    if (!event.ok()) {
      out.error = event.error();
      return out;
    }
    if (*event == Http1Event::kData) out.body.append(AsText(reader.data()));
    if (*event == Http1Event::kNeedMore) {
      if (at == text.size()) {
        if (!eof) return out;
        const auto last = reader.ReadEof();
        if (last.ok())
          out.events.push_back(*last);
        else
          out.error = last.error();
        return out;
      }
      const size_t n = std::min(piece, text.size() - at);
      window = AsBytes(text.substr(at, n));
      at += n;
      continue;
    }
    if (out.events.empty() || out.events.back() != *event) out.events.push_back(*event);
    if (*event == Http1Event::kEnd) {
      out.rest = std::string(AsText(window)) + std::string(text.substr(at));
      return out;
    }
  }
}

ReadMessage Request(std::string_view text) {
  Http1RequestReader reader;
  return ReadOneOf(reader, text);
}
ReadMessage Response(std::string_view text, std::string_view method = "GET", bool eof = false) {
  Http1ResponseReader reader;
  reader.Expect(method);
  return ReadOneOf(reader, text, std::string_view::npos, eof);
}

const std::string kPost =
    "POST /v1/chat?x=1 HTTP/1.1\r\nHost: api.example:8080\r\nX-A:  b c \t\r\nContent-Length: 5\r\n\r\nhello";
const std::string kChunkedPost =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
    "Chunked\r\n\r\n3;name=\"v\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n";

TEST(Http1, ReadsARequestHoweverItIsCut) {
  for (const size_t piece : {1UL, 2UL, 7UL, 1000UL}) {
    Http1RequestReader reader;
    const ReadMessage m = ReadOneOf(reader, kPost + "GET ", piece);
    ASSERT_FALSE(m.error) << m.error->ToString();
    EXPECT_EQ(reader.head().method, "POST");
    EXPECT_EQ(reader.head().target, "/v1/chat?x=1");
    EXPECT_EQ(OnlyField(reader.head().fields, "x-a"), "b c");
    EXPECT_EQ(reader.body(), Http1Body::Length(5));
    EXPECT_EQ(m.body, "hello");
    EXPECT_EQ(m.rest, "GET ") << "the next message stays with the caller";
    EXPECT_TRUE(reader.head().KeepAlive());
  }
}

TEST(Http1, ReadsChunksAndTrailers) {
  for (const size_t piece : {1UL, 3UL, 1000UL}) {
    Http1RequestReader reader;
    const ReadMessage m = ReadOneOf(reader, kChunkedPost, piece);
    ASSERT_FALSE(m.error) << m.error->ToString();
    EXPECT_EQ(m.body, "abc0123456789");
    EXPECT_EQ(reader.trailers(), (std::vector<HttpField>{{"X-T", "1"}}));
  }
}

TEST(Http1, ReadsPipelinedRequestsOneAtATime) {
  Http1RequestReader reader;
  const ReadMessage first = ReadOneOf(reader, kPost + "GET /2 HTTP/1.1\r\nHost: b\r\n\r\n");
  EXPECT_FALSE(reader.inside_message());
  const ReadMessage second = ReadOneOf(reader, first.rest);
  EXPECT_EQ(reader.head().target, "/2");
  EXPECT_EQ(second.body, "");
  EXPECT_EQ(second.rest, "");
}

TEST(Http1, RefusesSmuggling) {
  const std::string h = " HTTP/1.1\r\nHost: a\r\n";
  const std::vector<std::string> bad{
      "POST /" + h + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /" + h + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      "POST /" + h + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
      "POST /" + h + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
      "POST /" + h + "Content-Length: 5, 5\r\n\r\nhello",
      "POST /" + h + "Content-Length: +5\r\n\r\nhello",
      "POST /" + h + "Content-Length: -1\r\n\r\n",
      "POST /" + h + "Content-Length: 0x5\r\n\r\nhello",
      "POST /" + h + "Content-Length: 5 5\r\n\r\nhello",
      "POST /" + h + "Content-Length:\r\n\r\n",
      "POST /" + h + "Content-Length: 99999999999999999999\r\n\r\n",
      "POST /" + h + "Content-Length : 5\r\n\r\nhello",
      "POST /" + h + "Content-Length\t: 5\r\n\r\nhello",
      "POST /" + h + " Content-Length: 5\r\n\r\nhello",
      "POST /" + h + "X: a\r\n Content-Length: 5\r\n\r\nhello",
      "POST /" + h + "X: a\r\n\tb\r\n\r\n",
      "POST /" + h + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
      "POST /" + h + "Transfer-Encoding: identity\r\n\r\n",
      "POST /" + h + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST /" + h +
          "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n0\r\n\r\n",
      "POST /" + h + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /" + h + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "POST /" + h + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
      "POST /" + h + "Transfer_Encoding\x7f: chunked\r\n\r\n",
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET /" + h + "\n",
      "GET / HTTP/1.1\nHost: a\n\n",
      "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
      std::string("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 35),
      "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
      "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
      " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
      "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
      "GET / http/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n",
      "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
      "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
      "CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n",
      "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
  };
  for (const std::string& text : bad) {
    const ReadMessage m = Request(text);
    EXPECT_TRUE(m.error) << text;
    EXPECT_EQ(m.body, "") << text;
  }
}

TEST(Http1, ATunnelOfHttp10NeedsNoHost) {
  EXPECT_FALSE(Request("CONNECT a.example:443 HTTP/1.0\r\n\r\n").error);
  EXPECT_TRUE(Request("CONNECT a.example:443 HTTP/1.1\r\n\r\n").error);
  EXPECT_TRUE(Request("CONNECT a.example:443 HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").error);
  EXPECT_TRUE(Request("GET http://a.example/ HTTP/1.0\r\n\r\n").error);
}

TEST(Http1, RefusesBadChunks) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* body :
       {"g\r\n", "\r\n", "5\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n", "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n", "5;\x01\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n", "-5\r\nhello\r\n", "1000000000000000\r\nx", "FFFFFFFFFFFFFFFFF\r\nx",
        "0\r\nContent-Length: 5\r\n\r\n", "0\r\nHost: b\r\n\r\n", "0\r\n X: folded\r\n\r\n", "0\r\nbad\r\n\r\n"}) {
    EXPECT_TRUE(Request(head + body).error) << body;
  }
  EXPECT_FALSE(Request(head + "00\r\n\r\n").error);
}

TEST(Http1, HoldsItsBounds) {
  const auto too_much = [](const std::string& text) {
    const auto read = Request(text);
    return read.error && read.error->code() == ErrorCode::kResourceExhausted;
  };
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
  const auto fields = [](size_t n) {
    std::string out;
    for (size_t i = 0; i < n; ++i) out += "X: y\r\n";
    return out;
  };
  EXPECT_FALSE(Request(start + fields(limits::kMaxHttpFields - 1) + "\r\n").error);
  EXPECT_TRUE(too_much(start + fields(limits::kMaxHttpFields) + "\r\n"));
  EXPECT_TRUE(too_much(start + "X: " + std::string(limits::kMaxHttp1HeadBytes, 'x')));
  EXPECT_TRUE(too_much("GET /" + std::string(limits::kMaxHttp1HeadBytes, 'x')));
  std::string many = start;
  for (int i = 0; i < 100; ++i) many += "X: " + std::string(1000, 'x') + "\r\n";
  EXPECT_TRUE(too_much(many + "\r\n"));
  const std::string chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_TRUE(too_much(chunked + "1;" + std::string(limits::kMaxHttp1ChunkLine, 'x')));
  std::string extensions = chunked;
  for (size_t n = 0; n <= limits::kMaxHttp1ChunkExtensions; n += 401) {
    extensions += "1;" + std::string(400, 'x') + "\r\nz\r\n";
  }
  EXPECT_TRUE(too_much(extensions));
  const std::string trailers = chunked + "0\r\n" + fields(limits::kMaxHttpFields + 1) + "\r\n";
  EXPECT_TRUE(too_much(trailers));
}

TEST(Http1, ReadsTargetForms) {
  const auto parse = [](std::string_view method, std::string_view target) {
    return HttpTarget::Parse(method, target).value();
  };
  const HttpTarget absolute = parse("GET", "HTTP://A.example:8080?q");
  EXPECT_EQ(absolute.form, HttpTarget::Form::kAbsolute);
  EXPECT_EQ(absolute.scheme, "http");
  EXPECT_EQ(absolute.authority, (HttpAuthority{"a.example", 8080, false}));
  EXPECT_EQ(absolute.path, "/?q");
  EXPECT_EQ(parse("CONNECT", "[::1]:443").authority.ToString(), "[::1]:443");
  EXPECT_EQ(parse("OPTIONS", "*").form, HttpTarget::Form::kAsterisk);
  EXPECT_EQ(parse("GET", "/a?b").path, "/a?b");
}

TEST(Http1, ReadsConnectAndLeavesTheTunnel) {
  const ReadMessage m = Request("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n\x16\x03\x01");
  EXPECT_THAT(m.events, ::testing::ElementsAre(Http1Event::kHead, Http1Event::kEnd));
  EXPECT_EQ(m.rest, "\x16\x03\x01");
}

TEST(Http1, ReadsResponses) {
  EXPECT_EQ(Response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiX").body, "hi");
  EXPECT_EQ(Response("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi").body, "hi");
  EXPECT_EQ(Response("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nrest").rest, "rest");
  EXPECT_EQ(Response("HTTP/1.1 204 No Content\r\n\r\nrest").rest, "rest");
  EXPECT_EQ(Response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nrest", "HEAD").rest, "rest");
  EXPECT_EQ(Response("HTTP/1.1 200 OK\r\n\r\ntunnel", "CONNECT").rest, "tunnel");
  EXPECT_EQ(Response("HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx", "CONNECT").body, "x");
  EXPECT_EQ(Response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nframes").rest, "frames");
  const ReadMessage interim = Response(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(interim.events, ::testing::ElementsAre(Http1Event::kInterim, Http1Event::kHead, Http1Event::kEnd));
  const ReadMessage closed = Response("HTTP/1.0 200 OK\r\n\r\nall of it", "GET", true);
  EXPECT_EQ(closed.body, "all of it");
  EXPECT_EQ(closed.events.back(), Http1Event::kEnd);
}

TEST(Http1, RefusesBadResponses) {
  for (const char* text : {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n",
                           "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
                           "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 a\x01\r\n\r\n",
                           "HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"}) {
    EXPECT_TRUE(Response(text).error) << text;
  }
}

TEST(Http1, AnEndInsideAMessageIsAnError) {
  for (const char* text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nX: y\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"}) {
    EXPECT_TRUE(Response(text, "GET", true).error) << text;
  }
  EXPECT_FALSE(Response("", "GET", true).error);
}

TEST(Http1, KnowsWhetherAConnectionStays) {
  const auto keeps = [](std::string version, std::string connection) {
    Http1RequestReader reader;
    EXPECT_FALSE(ReadOneOf(reader, "GET / HTTP/" + version + "\r\nHost: a\r\n" + connection + "\r\n").error);
    return reader.head().KeepAlive();
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_FALSE(keeps("1.1", "Connection: x, Close\r\n"));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Connection: keep-alive\r\n"));
}

TEST(Http1, SeesWhoWaitsForContinue) {
  Http1RequestReader reader;
  ReadOneOf(reader, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
  EXPECT_TRUE(reader.head().ExpectsContinue());
}

TEST(Http1, WritesWhatItUnderstood) {
  std::string out;
  ASSERT_TRUE(
      AppendHttp1Head(Http1Request{.method = "POST",
                                   .target = "/a",
                                   .minor_version = 0,
                                   .fields = {{"Host", "a"}, {"Content-Length", "99"}, {"Transfer-Encoding", "x"}}},
                      Http1Body::Chunked(), out)
          .ok());
  AppendHttp1Chunk(AsBytes("hello world, 17 b"), out);
  AppendHttp1Chunk({}, out);
  ASSERT_TRUE(AppendHttp1LastChunk({{"T", "1"}}, out).ok());
  EXPECT_EQ(
      out,
      "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11\r\nhello world, 17 b\r\n0\r\nT: 1\r\n\r\n");
  const auto response = [](int status, std::vector<HttpField> fields, Http1Body body) {
    std::string text;
    EXPECT_TRUE(
        AppendHttp1Head(Http1Response{.status = status, .reason = {}, .minor_version = 1, .fields = std::move(fields)},
                        body, text)
            .ok());
    return text;
  };
  EXPECT_EQ(response(200, {}, Http1Body::None()), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(response(200, {{"Content-Length", "7"}}, Http1Body::None()),
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
  EXPECT_EQ(response(204, {}, Http1Body::None()), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(response(200, {}, Http1Body::Tunnel()), "HTTP/1.1 200 OK\r\n\r\n");
}

TEST(Http1, WritesNothingThatSplits) {
  std::string out;
  const auto bad = [&out](Http1Request r) { return !AppendHttp1Head(r, Http1Body::None(), out).ok() && out.empty(); };
  EXPECT_TRUE(bad({.method = "GET", .target = "/", .minor_version = 1, .fields = {{"X", "a\r\nY: b"}}}));
  EXPECT_TRUE(bad({.method = "GET", .target = "/", .minor_version = 1, .fields = {{"X\r\nY", "b"}}}));
  EXPECT_TRUE(bad({.method = "GET", .target = "/ HTTP/1.1\r\nX: y", .minor_version = 1, .fields = {}}));
  EXPECT_TRUE(bad({.method = "GE T", .target = "/", .minor_version = 1, .fields = {}}));
  EXPECT_FALSE(AppendHttp1Head(Http1Response{.status = 200, .reason = "a\r\nb", .minor_version = 1, .fields = {}},
                               Http1Body::None(), out)
                   .ok());
  EXPECT_FALSE(AppendHttp1LastChunk({{"X", "\n"}}, out).ok());
  EXPECT_EQ(out, "");
}

TEST(HttpFields, DropsWhatBelongsToOneConnection) {
  std::vector<HttpField> fields{
      {"Host", "a"},      {"Connection", "x-drop, Host"},     {"X-Drop", "1"}, {"Keep-Alive", "5"}, {"TE", "trailers"},
      {"Upgrade", "h2c"}, {"Proxy-Authorization", "Basic x"}, {"X-Keep", "1"}};
  RemoveHopByHop(fields);
  EXPECT_EQ(fields, (std::vector<HttpField>{{"Host", "a"}, {"X-Keep", "1"}}));
  SetField(fields, "host", "b");
  SetField(fields, "New", "c");
  EXPECT_EQ(fields, (std::vector<HttpField>{{"Host", "b"}, {"X-Keep", "1"}, {"New", "c"}}));
}

TEST(HttpFields, ReadsAuthorities) {
  EXPECT_EQ(HttpAuthority::Parse("A.B:80").value(), (HttpAuthority{"a.b", 80, false}));
  EXPECT_EQ(HttpAuthority::Parse("[FE80::1]").value().ToString(), "[fe80::1]");
  for (const char* bad : {"", ":80", "a:", "a:b", "a:65536", "a:080000", "a b", "a/b", "u@a", "[::1", "[]", "[::1]x",
                          "a:80:80", "[::1%25e]"}) {
    EXPECT_FALSE(HttpAuthority::Parse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace hexr::wire
