// Tokens and key sets from the network: as a token, and as a set whose encoding has to parse to the same.
#include "base/check.h"
#include "crypto/jws.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto token = hexr::crypto::RawJwt::Parse(text);
  const auto set = hexr::crypto::ParseJwkSet(text);
  if (set.ok()) {
    const std::string encoded = hexr::crypto::EncodeJwkSet(*set);
    HEXR_CHECK(hexr::crypto::EncodeJwkSet(hexr::crypto::ParseJwkSet(encoded).value()) == encoded);
  }
  if (token.ok()) (void)hexr::crypto::VerifyJwt(*token, {}, hexr::crypto::AllAlgorithms());
  return 0;
}
