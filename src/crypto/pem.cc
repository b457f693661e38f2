#include "crypto/pem.h"

#include <algorithm>

#include "base/limits/keys.h"

namespace hexr::crypto {
namespace {

constexpr size_t kLine = 64;
constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr std::string_view kDashes = "-----";

std::string Encode(std::string_view label, ByteView der, std::string& base64) {
  base64 = Base64Encode(der);
  std::string out;
  out.reserve(base64.size() + base64.size() / kLine + 2 * label.size() + 48);
  out.append(kBegin).append(label).append(kDashes).append("\n");
  for (size_t i = 0; i < base64.size(); i += kLine) out.append(base64, i, kLine).append("\n");
  out.append(kEnd).append(label).append(kDashes).append("\n");
  return out;
}

std::span<uint8_t> Memory(std::string& s) { return {reinterpret_cast<uint8_t*>(s.data()), s.size()}; }

// Calls `take` with the base64 text of each block, its line ends removed; that text is wiped afterwards.
template <class Take>
Status ForEachBlock(std::string_view text, std::string_view label, Take&& take) {
  if (text.size() > limits::kMaxPemBytes) return InvalidArgument("PEM: too large");
  const std::string begin = std::string(kBegin).append(label).append(kDashes);
  const std::string end = std::string(kEnd).append(label).append(kDashes);
  bool any = false;
  for (;;) {
    const size_t at = text.find(kBegin);
    if (at == std::string_view::npos) break;
    if (at > 0 && text[at - 1] != '\n') return InvalidArgument("PEM: a BEGIN line starts the line");
    text.remove_prefix(at);
    if (!text.starts_with(begin)) return InvalidArgument("PEM: a block that is no " + std::string(label));
    text.remove_prefix(begin.size());
    const size_t stop = text.find(kEnd);
    if (stop == std::string_view::npos || !text.substr(stop).starts_with(end)) {
      return InvalidArgument("PEM: no END line for " + std::string(label));
    }
    std::string base64;
    base64.reserve(stop);
    for (const char c : text.substr(0, stop)) {
      if (c != '\n' && c != '\r' && c != ' ' && c != '\t') base64 += c;
    }
    Result<Bytes> der = Base64Decode(base64);
    WipeMemory(Memory(base64));
    if (!der.ok()) return der.error().WithContext("PEM");
    if (der->empty()) return InvalidArgument("PEM: an empty block");
    take(*der);
    text.remove_prefix(stop + end.size());
    any = true;
  }
  if (!any) return InvalidArgument("PEM: no block of " + std::string(label));
  return Ok();
}

}  // namespace

std::string PemEncode(std::string_view label, ByteView der) {
  std::string base64;
  return Encode(label, der, base64);
}

Secret PemEncodeSecret(std::string_view label, const Secret& der) {
  std::string base64;
  std::string text = Encode(label, der.Reveal(RevealToken::For("PEM of a private key")), base64);
  WipeMemory(Memory(base64));
  return Secret::Take(text);
}

Result<std::vector<Bytes>> PemDecode(std::string_view text, std::string_view label) {
  std::vector<Bytes> out;
  RETURN_IF_ERROR(ForEachBlock(text, label, [&out](Bytes& der) { out.push_back(std::move(der)); }));
  return out;
}

Result<Secret> PemDecodeSecret(std::string_view text, std::string_view label) {
  std::vector<Secret> out;
  RETURN_IF_ERROR(ForEachBlock(text, label, [&out](Bytes& der) {
    out.push_back(Secret::Copy(der));
    WipeMemory(der);
  }));
  if (out.size() != 1) return InvalidArgument("PEM: one key a file");
  return std::move(out.front());
}

}  // namespace hexr::crypto
