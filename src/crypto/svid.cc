#include "crypto/svid.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/limits/keys.h"
#include "crypto/openssl_ptr.h"

namespace hexr::crypto {
namespace {

struct StackFree {
  void operator()(STACK_OF(X509) * s) const noexcept { sk_X509_pop_free(s, X509_free); }
};
using X509Stack = std::unique_ptr<STACK_OF(X509), StackFree>;

Error RefusedSvid(std::string_view why) { return Unauthenticated("SVID: " + std::string(why)); }

X509Ptr ToOpenSsl(const Certificate& c) {
  const unsigned char* at = c.der().data();
  X509Ptr x(d2i_X509(nullptr, &at, static_cast<long>(c.der().size())));
  if (x != nullptr && at != c.der().data() + c.der().size()) x.reset();
  return x;
}

// Validates the path at `now`; returns its earliest end.
Result<WallTime> ValidatePath(const std::vector<Certificate>& chain, const X509Bundle& bundle, WallTime now) {
  const X509Ptr leaf = ToOpenSsl(chain.front());
  const X509Stack untrusted(sk_X509_new_null());
  const X509StoreCtxPtr ctx(X509_STORE_CTX_new());
  if (leaf == nullptr || untrusted == nullptr || ctx == nullptr) {
    return OpenSslError(ErrorCode::kUnauthenticated, "SVID");
  }
  for (size_t i = 1; i < chain.size(); ++i) {
    X509Ptr x = ToOpenSsl(chain[i]);
    if (x == nullptr) return OpenSslError(ErrorCode::kUnauthenticated, "SVID: intermediate");
    if (sk_X509_push(untrusted.get(), x.get()) <= 0) return OpenSslError(ErrorCode::kInternal, "SVID");
    (void)x.release();
  }
  if (X509_STORE_CTX_init(ctx.get(), bundle.store(), leaf.get(), untrusted.get()) != 1) {
    return OpenSslError(ErrorCode::kInternal, "SVID");
  }
  X509_VERIFY_PARAM* const param = X509_STORE_CTX_get0_param(ctx.get());
  X509_VERIFY_PARAM_set_time(param,
                             std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(now)));
  X509_VERIFY_PARAM_set_depth(param, static_cast<int>(limits::kMaxChainCertificates));
  // 112 bits of strength all along the path: no SHA-1, no RSA below 2,048 bits.
  X509_VERIFY_PARAM_set_auth_level(param, 2);
  // A bundle may hold an authority that somebody else signed: being in the bundle is what makes it an anchor.
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
  if (X509_verify_cert(ctx.get()) != 1) {
    const int reason = X509_STORE_CTX_get_error(ctx.get());
    ERR_clear_error();
    return RefusedSvid(X509_verify_cert_error_string(reason));
  }
  WallTime end = WallTime::max();
  const STACK_OF(X509)* const path = X509_STORE_CTX_get0_chain(ctx.get());
  for (int i = 0; i < sk_X509_num(path); ++i) {
    std::tm tm{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(path, i)), &tm) != 1) return RefusedSvid("unreadable time");
    if (tm.tm_year < 2262 - 1900) end = std::min(end, WallTime(std::chrono::system_clock::from_time_t(timegm(&tm))));
  }
  return end;
}

}  // namespace

Result<X509Bundle> X509Bundle::Create(TrustDomain trust_domain, std::vector<Certificate> authorities) {
  if (authorities.size() > limits::kMaxBundleAuthorities) return InvalidArgument("bundle: too many authorities");
  std::shared_ptr<X509_STORE> store(X509_STORE_new(), X509_STORE_free);
  if (store == nullptr) return OpenSslError(ErrorCode::kInternal, "bundle");
  for (const Certificate& c : authorities) {
    if (!c.is_ca()) return InvalidArgument("bundle: an authority whose certificate is not a CA's");
    if (c.key_usage().has_value() && (*c.key_usage() & kKeyCertSign) == 0) {
      return InvalidArgument("bundle: an authority that may not sign certificates");
    }
    const X509Ptr x = ToOpenSsl(c);
    if (x == nullptr || X509_STORE_add_cert(store.get(), x.get()) != 1) {
      return OpenSslError(ErrorCode::kInvalidArgument, "bundle");
    }
  }
  return X509Bundle(std::move(trust_domain), std::move(authorities), std::move(store));
}

const X509Bundle* X509BundleSet::Find(const TrustDomain& td) const {
  const auto it = bundles_.find(td);
  return it == bundles_.end() ? nullptr : &it->second;
}

Result<SpiffeId> CheckSvidLeaf(const Certificate& leaf) {
  if (leaf.is_ca()) return RefusedSvid("a CA certificate does not authenticate");
  if (!leaf.key_usage().has_value()) return RefusedSvid("no key usage");
  if ((*leaf.key_usage() & (kKeyCertSign | kCrlSign)) != 0) return RefusedSvid("key usage of an authority");
  if ((*leaf.key_usage() & kDigitalSignature) == 0) return RefusedSvid("key usage without digitalSignature");
  if (leaf.has_extended_key_usage() && !(leaf.allows_server_auth() && leaf.allows_client_auth())) {
    return RefusedSvid("extended key usage without both serverAuth and clientAuth");
  }
  if (leaf.has_unknown_critical_extension()) return RefusedSvid("an unknown critical extension");
  if (leaf.uris().size() != 1) return RefusedSvid("exactly one URI is wanted");
  const Result<SpiffeId> id = SpiffeId::Parse(leaf.uris().front());
  if (!id.ok()) return RefusedSvid(id.error().message());
  if (id->ToString() != leaf.uris().front()) return RefusedSvid("the scheme is not in lower case");
  if (!id->has_path()) return RefusedSvid("the ID of a trust domain does not authenticate");
  return *id;
}

Result<VerifiedSvid> VerifySvid(const std::vector<Certificate>& chain, const X509BundleSet& bundles, WallTime now) {
  if (chain.empty()) return RefusedSvid("no certificate");
  if (chain.size() > limits::kMaxChainCertificates) return RefusedSvid("chain too long");
  const Certificate& leaf = chain.front();
  ASSIGN_OR_RETURN(SpiffeId id, CheckSvidLeaf(leaf));
  if (now < leaf.not_before()) return RefusedSvid("not valid yet");
  if (now >= leaf.not_after()) return RefusedSvid("expired");  // the instant itself is over, as OpenSSL has it
  const X509Bundle* const bundle = bundles.Find(id.trust_domain());
  if (bundle == nullptr) return RefusedSvid("no bundle for its trust domain");
  ASSIGN_OR_RETURN(const WallTime end, ValidatePath(chain, *bundle, now));
  return VerifiedSvid(std::move(id), leaf, std::min(end, leaf.not_after()));
}

}  // namespace hexr::crypto
