// Digests and message authentication codes.
#include "base/bytes.h"
#include "policy/rego/builtins/keys.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

Value HexDigest(Call& c, std::string_view algorithm) {
  std::string_view s;
  return TakeString(c, 0, s) ? c.Text(HexEncode(AsBytes(Digest(algorithm, s)))) : Value();
}
Value Md5(Call& c) { return HexDigest(c, "md5"); }
Value Sha1(Call& c) { return HexDigest(c, "sha1"); }
Value Sha256(Call& c) { return HexDigest(c, "sha256"); }

Value MacText(Call& c, std::string_view algorithm) {
  std::string_view message, key;
  if (!TakeString(c, 0, message) || !TakeString(c, 1, key)) return Value();
  return c.Text(HexEncode(AsBytes(Hmac(algorithm, key, message))));
}
Value HmacMd5(Call& c) { return MacText(c, "md5"); }
Value HmacSha1(Call& c) { return MacText(c, "sha1"); }
Value HmacSha256(Call& c) { return MacText(c, "sha256"); }
Value HmacSha512(Call& c) { return MacText(c, "sha512"); }
Value HmacEqual(Call& c) {
  std::string_view a, b;
  return TakeString(c, 0, a) && TakeString(c, 1, b) ? Value::Bool(SameBytes(a, b)) : Value();
}

}  // namespace

std::span<const Builtin> CryptoBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "crypto.md5", .arity = 1, .fn = Md5},
      {.name = "crypto.sha1", .arity = 1, .fn = Sha1},
      {.name = "crypto.sha256", .arity = 1, .fn = Sha256},
      {.name = "crypto.hmac.md5", .arity = 2, .fn = HmacMd5},
      {.name = "crypto.hmac.sha1", .arity = 2, .fn = HmacSha1},
      {.name = "crypto.hmac.sha256", .arity = 2, .fn = HmacSha256},
      {.name = "crypto.hmac.sha512", .arity = 2, .fn = HmacSha512},
      {.name = "crypto.hmac.equal", .arity = 2, .fn = HmacEqual},
  };
  return kTable;
}

}  // namespace hexr::rego
