#include "wire/client_hello.h"

#include <gtest/gtest.h>

#include "base/limits/tls_dns.h"

namespace hexr::wire {
namespace {

void Put(std::string& out, size_t n, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
}
std::string Block(std::string_view body, int length_bytes) {
  std::string out;
  Put(out, body.size(), length_bytes);
  return out.append(body);
}
std::string Extension(size_t type, std::string_view body) {
  std::string out;
  Put(out, type, 2);
  return out + Block(body, 2);
}
std::string Sni(std::string_view name) { return Extension(0, Block(std::string(1, '\0') + Block(name, 2), 2)); }
std::string Alpn(std::string_view list) { return Extension(16, Block(list, 2)); }

std::string Message(std::string_view extensions) {
  std::string body =
      "\x03\x03" + std::string(32, 'r') + Block("", 1) + Block("\x13\x01", 2) + Block(std::string(1, '\0'), 1);
  body += Block(extensions, 2);
  return "\x01" + Block(body, 3);
}
std::string Record(std::string_view message) { return "\x16\x03\x01" + Block(message, 2); }

Result<std::optional<ClientHello>> Peek(std::string_view bytes) { return ClientHelloReader().Read(AsBytes(bytes)); }

TEST(ClientHello, NamesServerAndProtocols) {
  const auto hello = Peek(Record(Message(Sni("Api.Example.org") + Alpn("\x02h2\x08http/1.1")))).value().value();
  EXPECT_EQ(hello.server_name, "api.example.org");
  EXPECT_EQ(hello.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_FALSE(hello.encrypted);
  EXPECT_EQ(Peek(Record(Message(""))).value().value().server_name, "");
  EXPECT_TRUE(Peek(Record(Message(Extension(0xFE0D, "x")))).value().value().encrypted);
}

TEST(ClientHello, WaitsForTheRest) {
  const std::string message = Message(Sni("a.b"));
  std::string all;  // in records of seven bytes
  for (size_t i = 0; i < message.size(); i += 7) all += Record(message.substr(i, 7));
  for (size_t n = 0; n < all.size(); ++n) {
    const auto partial = Peek(all.substr(0, n));
    ASSERT_TRUE(partial.ok()) << n;
    EXPECT_FALSE(partial->has_value()) << n;
  }
  EXPECT_EQ(Peek(all).value().value().server_name, "a.b");
  EXPECT_EQ(Peek(Record(message) + "early data").value().value().server_name, "a.b");
}

TEST(ClientHello, RefusesWhatIsNone) {
  const std::string good = Message(Sni("a.b"));
  for (const std::string& bad : std::vector<std::string>{
           "GET / HTTP/1.1\r\n",
           std::string("\x16\x02\x01\0\x05", 5),
           std::string("\x16\x03\x01\0\0", 5),
           "\x16\x03\x01\x40\x01",
           Record("\x02" + good.substr(1)),
           Record(good + "x"),
           Record(Message(Sni("a.b") + Sni("c.d"))),                                        // two names
           Record(Message(Extension(0, Block(std::string("\0\0\3a.b\0\0\3c.d", 12), 2)))),  // two names in one list
           Record(Message(Extension(0, Block(std::string("\1\0\3a.b", 6), 2)))),
           Record(Message(Extension(0, ""))),
           Record(Message(Sni(""))),
           Record(Message(Sni("a b"))),
           Record(Message(Sni("a..b"))),
           Record(Message(Sni("a.b."))),
           Record(Message(Sni(std::string("a\0b", 3)))),
           Record(Message(Sni(std::string(64, 'a')))),
           Record(Message(Sni("[::1]"))),
           Record(Message(Alpn(""))),
           Record(Message(Alpn(std::string(1, '\0')))),
           Record(Message(Alpn("\x05h2"))),
           Record(Message(Alpn("\x02h2") + Alpn("\x02h2"))),
           Record(Message(std::string(1, '\0'))),
           Record(Message(std::string("\0\0\0\5x", 5)))}) {
    EXPECT_FALSE(Peek(bad).ok()) << HexEncode(AsBytes(bad));
  }
}

// What follows in the hello's own record would be read by nobody here, and by whoever the bytes are relayed to.
TEST(ClientHello, NothingStandsBehindItInItsRecord) {
  const std::string hello = Message(Sni("a.example"));
  EXPECT_TRUE(Peek(Record(hello)).ok());
  EXPECT_FALSE(Peek(Record(hello + "x")).ok());
  EXPECT_FALSE(Peek(Record(hello + hello)).ok());
  EXPECT_FALSE(Peek(Record(hello.substr(0, 20)) + Record(hello.substr(20) + "x")).ok());
  // Nor is it taken for a whole one while the rest of the record is still on its way.
  EXPECT_FALSE(Peek(Record(hello + "x").substr(0, 5 + hello.size())).ok());
}

TEST(ClientHello, BoundsItsSize) {
  std::string head = "\x01";
  Put(head, limits::kMaxClientHelloBytes + 1, 3);
  EXPECT_EQ(Peek(Record(head)).error().code(), ErrorCode::kResourceExhausted);
}

// Records of one byte each: five bytes of header for every byte that counts.
TEST(ClientHello, BoundsTheBytesOfItsRecords) {
  std::string head = "\x01";
  Put(head, limits::kMaxClientHelloBytes, 3);
  ClientHelloReader reader;
  std::string bytes;
  for (const char c : head) bytes += Record(std::string(1, c));
  ASSERT_TRUE(reader.Read(AsBytes(bytes)).ok());
  size_t given = bytes.size();
  const std::string one = Record("x");
  Result<std::optional<ClientHello>> read = std::optional<ClientHello>();
  while (given <= 3 * limits::kMaxClientHelloRawBytes && read.ok()) {
    read = reader.Read(AsBytes(one));
    given += one.size();
  }
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_LE(given, limits::kMaxClientHelloRawBytes + one.size());
}

}  // namespace
}  // namespace hexr::wire
