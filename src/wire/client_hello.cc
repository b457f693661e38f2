#include "wire/client_hello.h"

#include <algorithm>
#include <set>

#include "base/limits/tls_dns.h"
#include "wire/byte_reader.h"

namespace hexr::wire {
namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHelloMessage = 1;
constexpr uint16_t kServerNameExtension = 0;
constexpr uint16_t kAlpnExtension = 16;
constexpr uint16_t kEncryptedHelloExtension = 0xFE0D;
constexpr size_t kMaxRecordBytes = 16384;

Error BadHello(const char* why) { return InvalidArgument(std::string("client hello: ") + why); }

// Host names as SNI carries them: letters, digits, '-', '_', in labels of 1 to 63, without a final dot.
bool IsHostName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!ok || ++label > 63) return false;
  }
  return label > 0;
}

Status ReadServerName(ByteReader extension, ClientHello& out) {
  ByteReader list = extension.Block16();
  const uint8_t type = list.U8();
  std::string name(AsText(list.Bytes(list.U16())));
  if (!list.done() || !extension.done() || type != 0) return BadHello("bad server name list");
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (!IsHostName(name)) return BadHello("bad server name");
  out.server_name = std::move(name);
  return Ok();
}

Status ReadAlpn(ByteReader extension, ClientHello& out) {
  ByteReader list = extension.Block16();
  while (list.left() > 0 && list.ok()) {
    const ByteView name = list.Bytes(list.U8());
    if (name.empty()) return BadHello("bad protocol list");
    out.alpn.emplace_back(AsText(name));
  }
  if (out.alpn.empty() || !list.done() || !extension.done()) return BadHello("bad protocol list");
  return Ok();
}

Result<ClientHello> ParseBody(ByteView bytes) {
  ByteReader hello(bytes);
  hello.U16();      // legacy_version
  hello.Bytes(32);  // random
  const ByteView session = hello.Bytes(hello.U8());
  const ByteView suites = hello.Bytes(hello.U16());
  const ByteView compressions = hello.Bytes(hello.U8());
  if (!hello.ok() || session.size() > 32 || suites.empty() || suites.size() % 2 != 0 || compressions.empty()) {
    return BadHello("malformed");
  }
  ClientHello out;
  if (hello.left() == 0) return out;
  ByteReader extensions = hello.Block16();
  if (!hello.done()) return BadHello("bytes behind the extensions");
  std::set<uint16_t> seen;
  while (extensions.left() > 0) {
    const uint16_t type = extensions.U16();
    const ByteReader body = extensions.Block16();
    if (!extensions.ok()) return BadHello("malformed extension");
    if (!seen.insert(type).second) return BadHello("repeated extension");
    if (type == kServerNameExtension) RETURN_IF_ERROR(ReadServerName(body, out));
    if (type == kAlpnExtension) RETURN_IF_ERROR(ReadAlpn(body, out));
    if (type == kEncryptedHelloExtension) out.encrypted = true;
  }
  return out;
}

}  // namespace

// The message may be cut into records at any byte.
Result<std::optional<ClientHello>> ClientHelloReader::Read(ByteView more) {
  const auto take = [&](size_t n) {
    const ByteView taken = more.first(std::min(n, more.size()));
    more = more.subspan(taken.size());
    return taken;
  };
  while (!more.empty()) {
    if (left_ == 0) {
      const ByteView head = take(kRecordHeaderBytes - header_size_);
      std::ranges::copy(head, header_.begin() + header_size_);
      header_size_ += head.size();
      if (header_[0] != kHandshakeRecord || (header_size_ > 1 && header_[1] != 3)) return BadHello("not TLS");
      if (header_size_ < kRecordHeaderBytes) break;
      left_ = size_t{header_[3]} << 8 | header_[4];
      if (left_ == 0 || left_ > kMaxRecordBytes) return BadHello("bad record length");
      // Headers count too, or records of one byte would make six of each byte of a hello.
      raw_ += kRecordHeaderBytes + left_;
      if (raw_ > limits::kMaxClientHelloRawBytes) return ResourceExhausted("client hello: cut into too many records");
    }
    const ByteView body = take(left_);
    message_.insert(message_.end(), body.begin(), body.end());
    left_ -= body.size();
    if (left_ == 0) header_size_ = 0;
    if (!message_.empty() && message_[0] != kClientHelloMessage) return BadHello("not a client hello");
    if (message_.size() >= 4) {
      const size_t size = size_t{message_[1]} << 16 | size_t{message_[2]} << 8 | message_[3];
      if (size > limits::kMaxClientHelloBytes) return ResourceExhausted("client hello: larger than allowed");
      if (message_.size() >= 4 + size) {
        if (message_.size() + left_ > 4 + size) return BadHello("bytes behind the hello in its record");
        ASSIGN_OR_RETURN(ClientHello hello, ParseBody(ByteView(message_).subspan(4)));
        return std::optional(std::move(hello));
      }
    }
  }
  return std::optional<ClientHello>();
}

}  // namespace hexr::wire
