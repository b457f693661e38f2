// Certificates and chains as anybody may send them. Where our reader and OpenSSL's both take a subject alternative
// name, they have to read the same URIs from it: a difference between two readers is how certificates have fooled
// verifiers.
#include <openssl/x509v3.h>

#include "base/check.h"
#include "crypto/openssl_ptr.h"
#include "crypto/svid.h"

using hexr::crypto::Certificate;

namespace {

// Nothing when OpenSSL cannot read them: path validation refuses such a certificate.
std::optional<std::vector<std::string>> UrisOfOpenSsl(X509* x) {
  auto* const names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x, NID_subject_alt_name, nullptr, nullptr));
  if (names == nullptr) return std::nullopt;
  std::vector<std::string> uris;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const n = sk_GENERAL_NAME_value(names, i);
    if (n->type != GEN_URI) continue;
    const ASN1_STRING* const s = n->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
                      static_cast<size_t>(ASN1_STRING_length(s)));
  }
  GENERAL_NAMES_free(names);
  return uris;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const hexr::ByteView input(data, size);
  const auto chain = Certificate::ParseChain(input);
  if (chain.ok()) HEXR_CHECK(hexr::crypto::EncodeChain(*chain).size() == size);
  const auto c = Certificate::Parse(input);
  if (!c.ok()) return 0;
  HEXR_CHECK(chain.ok() && chain->size() == 1);
  (void)hexr::crypto::CheckSvidLeaf(*c);
  (void)c->public_key();
  const unsigned char* at = data;
  const hexr::crypto::X509Ptr x(d2i_X509(nullptr, &at, static_cast<long>(size)));
  if (x != nullptr) HEXR_CHECK(UrisOfOpenSsl(x.get()).value_or(c->uris()) == c->uris());
  ERR_clear_error();
  return 0;
}
