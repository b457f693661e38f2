// Hand-made HTTP/2 client bytes for tests and fuzzers: what no honest client would send.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hexr::wire::testing {

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kWindowUpdate = 8,
  kContinuation = 9
};
enum : uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4 };

inline std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  const auto n = static_cast<uint32_t>(payload.size());
  std::string out;
  for (const int shift : {16, 8, 0}) out += static_cast<char>(n >> shift);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
  return out.append(payload);
}

// Literal fields without indexing or Huffman coding (RFC 7541 6.2.2).
inline std::string Fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string out;
  const auto text = [&out](const std::string& s) {
    if (s.size() < 127) {
      out += static_cast<char>(s.size());
    } else {
      out += '\x7f';
      size_t rest = s.size() - 127;
      for (; rest >= 128; rest /= 128) out += static_cast<char>(rest % 128 + 128);
      out += static_cast<char>(rest);
    }
    out += s;
  };
  for (const auto& [name, value] : fields) {
    out += '\0';
    text(name);
    text(value);
  }
  return out;
}

inline std::string GrpcFields(const std::string& path) {
  return Fields({{":method", "POST"},
                 {":scheme", "http"},
                 {":path", path},
                 {":authority", "a"},
                 {"content-type", "application/grpc"},
                 {"te", "trailers"}});
}

inline std::string Start() { return std::string(kPreface) + Frame(kSettings, 0, 0, ""); }

}  // namespace hexr::wire::testing
