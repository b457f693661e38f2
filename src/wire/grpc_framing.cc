#include "wire/grpc_framing.h"

#include <algorithm>

namespace hexr::wire {
namespace {

constexpr size_t kPrefixBytes = 5;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Bytes GrpcFrame(ByteView message) {
  const auto n = static_cast<uint32_t>(message.size());
  Bytes out;
  out.reserve(kPrefixBytes + message.size());
  out.push_back(0);
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<uint8_t>(n >> shift));
  out.insert(out.end(), message.begin(), message.end());
  return out;
}

void GrpcMessageReader::Append(ByteView bytes) {
  if (taken_ == buffer_.size())
    buffer_.clear();
  else
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(taken_));
  taken_ = 0;
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<ByteView>> GrpcMessageReader::Next() {
  if (buffered() < kPrefixBytes) return std::optional<ByteView>();
  const uint8_t* p = buffer_.data() + taken_;
  const size_t size = size_t{p[1]} << 24 | size_t{p[2]} << 16 | size_t{p[3]} << 8 | p[4];
  if (p[0] > 1) return InvalidArgument("grpc: bad message prefix");
  if (p[0] == 1) return Unimplemented("grpc: compressed messages are not supported");
  if (size > max_message_) return ResourceExhausted("grpc: message is larger than allowed");
  if (buffered() < kPrefixBytes + size) return std::optional<ByteView>();
  taken_ += kPrefixBytes + size;
  return std::optional<ByteView>(ByteView(p + kPrefixBytes, size));
}

std::string GrpcPercentEncode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<uint8_t>(c);
    if (u >= 0x20 && u <= 0x7E && c != '%') {
      out += c;
      continue;
    }
    out += '%';
    out += kHex[u >> 4];
    out += kHex[u & 15];
  }
  return out;
}

std::string GrpcPercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high << 4 | low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

Result<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text) {
  constexpr size_t kMaxDigits = 8;
  if (text.size() < 2 || text.size() > kMaxDigits + 1) return InvalidArgument("grpc: bad timeout");
  int64_t n = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return InvalidArgument("grpc: bad timeout");
    n = n * 10 + (c - '0');
  }
  // 99,999,999 hours are more nanoseconds than 63 bits hold; a century is for ever.
  constexpr int64_t kCenturyHours = 24 * 36525;
  switch (text.back()) {
    case 'H': return std::chrono::nanoseconds(std::chrono::hours(std::min(n, kCenturyHours)));
    case 'M': return std::chrono::nanoseconds(std::chrono::minutes(std::min(n, kCenturyHours * 60)));
    case 'S': return std::chrono::nanoseconds(std::chrono::seconds(n));
    case 'm': return std::chrono::nanoseconds(std::chrono::milliseconds(n));
    case 'u': return std::chrono::nanoseconds(std::chrono::microseconds(n));
    case 'n': return std::chrono::nanoseconds(n);
    default: return InvalidArgument("grpc: bad timeout");
  }
}

}  // namespace hexr::wire
