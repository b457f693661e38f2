#include "crypto/jws.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/limits/keys.h"
#include "base/log.h"
#include "crypto/jose_json.h"

namespace hexr::crypto {
namespace {

Error Refused(std::string_view why) { return Unauthenticated("JWT: " + std::string(why)); }
Error Malformed(std::string_view why) { return InvalidArgument("JWT: " + std::string(why)); }

}  // namespace

std::span<const SignatureAlgorithm> AllAlgorithms() {
  using enum SignatureAlgorithm;
  static constexpr std::array kAll = {kEs256, kEs384, kEs512, kRs256, kRs384, kRs512, kPs256, kPs384, kPs512};
  return kAll;
}

Result<RawJwt> RawJwt::Parse(std::string_view compact) {
  if (compact.size() > limits::kMaxJwtBytes) return Malformed("too large");
  const size_t first = compact.find('.');
  const size_t second = first == std::string_view::npos ? first : compact.find('.', first + 1);
  if (second == std::string_view::npos || compact.find('.', second + 1) != std::string_view::npos) {
    return Malformed("not three parts with dots between them");
  }
  const Result<Bytes> header = Base64UrlDecode(compact.substr(0, first));
  const Result<Bytes> payload = Base64UrlDecode(compact.substr(first + 1, second - first - 1));
  Result<Bytes> signature = Base64UrlDecode(compact.substr(second + 1));
  if (!header.ok() || !payload.ok() || !signature.ok()) return Malformed("not base64url");
  if (!IsUtf8(AsText(*payload))) return Malformed("the payload is not UTF-8");

  ASSIGN_OR_RETURN(const JsonObject members, JsonObject::Parse(AsText(*header)));
  // Extensions that have to be understood: we understand none (RFC 7515 4.1.11).
  if (members.Find("crit") != nullptr) return Malformed("critical header extensions");
  RawJwt jwt;
  ASSIGN_OR_RETURN(const std::string* const alg, members.FindString("alg"));
  if (alg == nullptr) return Malformed("no alg");
  ASSIGN_OR_RETURN(jwt.algorithm_, ParseAlgorithm(*alg));
  ASSIGN_OR_RETURN(const std::string* const kid, members.FindString("kid"));
  if (kid != nullptr) jwt.key_id_ = *kid;
  ASSIGN_OR_RETURN(const std::string* const typ, members.FindString("typ"));
  if (typ != nullptr) jwt.type_ = *typ;
  jwt.other_members_ = !std::ranges::all_of(
      members.members(), [](const JsonMember& m) { return m.name == "alg" || m.name == "kid" || m.name == "typ"; });
  jwt.signing_input_ = compact.substr(0, second);
  jwt.payload_ = AsText(*payload);
  jwt.signature_ = std::move(signature).value();
  return jwt;
}

Result<VerifiedJwt> VerifyJwt(const RawJwt& token, std::span<const Jwk> keys,
                              std::span<const SignatureAlgorithm> allowed) {
  const SignatureAlgorithm algorithm = token.algorithm();
  if (std::ranges::find(allowed, algorithm) == allowed.end()) return Refused("an algorithm that is not allowed here");
  bool known = false;
  size_t tried = 0;
  for (const Jwk& jwk : keys) {
    if (jwk.key_id != token.key_id()) continue;
    known = true;
    if (!Fits(algorithm, jwk.key.type()) || jwk.algorithm.value_or(algorithm) != algorithm) continue;
    if (token.key_id().empty() && ++tried > limits::kMaxUnnamedKeys) break;
    if (jwk.key.Verify(algorithm, AsBytes(token.signing_input_), token.signature_)) return VerifiedJwt(token);
  }
  return Refused(known ? "the signature is not valid" : "its key is not known");
}

Result<std::string> SignJwt(const PrivateKey& key, SignatureAlgorithm algorithm, std::string_view key_id,
                            std::string_view type, std::string_view payload) {
  std::string header = fmt::format(R"({{"alg":"{}")", AlgorithmName(algorithm));
  if (!key_id.empty()) header += R"(,"kid":)" + JsonQuote(key_id);
  if (!type.empty()) header += R"(,"typ":)" + JsonQuote(type);
  header += '}';
  std::string token = Base64UrlEncode(AsBytes(header)) + "." + Base64UrlEncode(AsBytes(payload));
  ASSIGN_OR_RETURN(const Bytes signature, key.Sign(algorithm, AsBytes(token)));
  token += "." + Base64UrlEncode(signature);
  if (token.size() > limits::kMaxJwtBytes) return Malformed("too large");
  return token;
}

}  // namespace hexr::crypto
