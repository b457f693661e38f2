#include "crypto/authority.h"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include <set>

#include "crypto/csr.h"
#include "crypto/openssl_ptr.h"
#include "crypto/svid.h"
#include "crypto/testing/broken_signer.h"
#include "crypto/testing/test_certificates.h"

namespace hexr::crypto {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const WallTime kNow = ParseRfc3339("2026-06-01T12:00:00Z").value();
TrustDomain Td() { return TrustDomain::Parse("example.org").value(); }
SpiffeId Id(std::string_view s) { return SpiffeId::Parse(s).value(); }

X509Ptr OpenSsl(const Certificate& c) {
  const unsigned char* at = c.der().data();
  return X509Ptr(d2i_X509(nullptr, &at, static_cast<long>(c.der().size())));
}

class Authority : public ::testing::TestWithParam<KeyType> {
 protected:
  SystemRandom random_;
  const CertificateAuthority root_ =
      CertificateAuthority::CreateRoot(Td(), PrivateKey::Generate(GetParam()), kNow, hours(24), random_).value();
  X509BundleSet Bundles() const {
    X509BundleSet set;
    set.Set(X509Bundle::Create(Td(), {root_.certificate()}).value());
    return set;
  }
};
INSTANTIATE_TEST_SUITE_P(All, Authority, ::testing::Values(KeyType::kP256, KeyType::kP384, KeyType::kRsa));

// A signature that does not verify never leaves, whatever made it wrong.
TEST_P(Authority, WhatABrokenSignerMakesIsWithheld) {
  const PrivateKey key = PrivateKey::Generate(GetParam());
  const CertificateAuthority ca = CertificateAuthority::CreateRoot(Td(), key, kNow, hours(24), random_).value();
  const SvidRequest request{Id("spiffe://example.org/agent/t/a/r"), PrivateKey::Generate(KeyType::kP256).public_key(),
                            minutes(15)};
  ASSERT_TRUE(ca.IssueSvid(request, kNow, random_).ok());
  testing::BreakSigner(key);
  EXPECT_EQ(ca.IssueSvid(request, kNow, random_).error().code(), ErrorCode::kInternal);
  EXPECT_EQ(ca.IssueAuthority(request.key, kNow, minutes(15), 0, random_).error().code(), ErrorCode::kInternal);
}

TEST_P(Authority, LeafKeepsEveryRule) {
  for (const KeyType type : {KeyType::kP256, KeyType::kRsa}) {
    const PrivateKey key = PrivateKey::Generate(type);
    const SvidRequest request{
        Id("spiffe://example.org/agent/t/a/r"), key.public_key(), minutes(15), {"db.example.org"}};
    const auto leaf = root_.IssueSvid(request, kNow, random_);
    ASSERT_TRUE(leaf.ok()) << leaf.error().ToString();
    EXPECT_EQ(leaf->uris(), std::vector<std::string>{"spiffe://example.org/agent/t/a/r"});
    EXPECT_EQ(leaf->dns_names(), std::vector<std::string>{"db.example.org"});
    EXPECT_EQ(leaf->not_before(), kNow - seconds(10));
    EXPECT_EQ(leaf->not_after(), kNow + minutes(15));
    EXPECT_EQ(leaf->key_usage(),
              type == KeyType::kRsa ? kDigitalSignature | kKeyEncipherment : kDigitalSignature | kKeyAgreement);
    EXPECT_TRUE(leaf->key_usage_critical() && leaf->allows_server_auth() && leaf->allows_client_auth() &&
                !leaf->is_ca());
    EXPECT_FALSE(leaf->subject_empty());
    EXPECT_EQ(leaf->serial().size(), 16U);
    EXPECT_TRUE(std::ranges::equal(leaf->authority_key_id(), root_.certificate().subject_key_id()));
    EXPECT_TRUE(VerifySvid({*leaf}, Bundles(), kNow).ok());

    // OpenSSL by itself, strict and for both purposes, agrees with our writer and reader.
    const X509Ptr x = OpenSsl(*leaf), ca = OpenSsl(root_.certificate());
    ASSERT_TRUE(x != nullptr && ca != nullptr);
    EXPECT_EQ(X509_get_extension_flags(x.get()) & EXFLAG_INVALID, 0U);
    EXPECT_EQ(X509_check_issued(ca.get(), x.get()), X509_V_OK);
    const X509StorePtr store(X509_STORE_new());
    X509_STORE_add_cert(store.get(), ca.get());
    for (const int purpose : {X509_PURPOSE_SSL_CLIENT, X509_PURPOSE_SSL_SERVER}) {
      const X509StoreCtxPtr ctx(X509_STORE_CTX_new());
      X509_STORE_CTX_init(ctx.get(), store.get(), x.get(), nullptr);
      X509_STORE_CTX_set_purpose(ctx.get(), purpose);
      X509_STORE_CTX_set_flags(ctx.get(), X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
      X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx.get()),
                                 std::chrono::system_clock::to_time_t(std::chrono::floor<seconds>(kNow)));
      EXPECT_EQ(X509_verify_cert(ctx.get()), 1) << X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx.get()));
    }
  }
}

TEST_P(Authority, RootKeepsTheRulesOfSigningCertificates) {
  const Certificate& c = root_.certificate();
  EXPECT_TRUE(c.is_ca() && c.key_usage_critical());
  EXPECT_EQ(c.key_usage(), kKeyCertSign | kCrlSign);
  EXPECT_EQ(c.uris(), std::vector<std::string>{"spiffe://example.org"});
  EXPECT_FALSE(c.has_extended_key_usage());
  EXPECT_TRUE(root_.intermediates().empty());
  EXPECT_FALSE(VerifySvid({c}, Bundles(), kNow).ok()) << "an authority does not authenticate";
}

TEST_P(Authority, RefusesWhatItMayNotSay) {
  const PublicKey key = PrivateKey::Generate(KeyType::kP256).public_key();
  const auto code = [&](const SvidRequest& r, WallTime now = kNow) {
    return root_.IssueSvid(r, now, random_).error().code();
  };
  EXPECT_EQ(code({Id("spiffe://other.org/a"), key, minutes(1)}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({Id("spiffe://example.org"), key, minutes(1)}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({Id("spiffe://example.org/a"), key, seconds(0)}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({Id("spiffe://example.org/a"), key, minutes(1)}, kNow + hours(24)), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(code({Id("spiffe://example.org/a"), key, minutes(1)}, kNow - hours(1)), ErrorCode::kFailedPrecondition);
  for (const char* bad : {"", "*.example.org", "a..b", "-a", "a-", "a b", "a_b", ".a", "a.", "a/b"}) {
    EXPECT_EQ(code({Id("spiffe://example.org/a"), key, minutes(1), {bad}}), ErrorCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(code({Id("spiffe://example.org/a"), key, minutes(1), {std::string(64, 'a')}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({Id("spiffe://example.org/a"), key, minutes(1), std::vector<std::string>(64, "a.b")}),
            ErrorCode::kInvalidArgument);
}

TEST_P(Authority, LeafNeverOutlivesItsAuthority) {
  const PublicKey key = PrivateKey::Generate(KeyType::kP256).public_key();
  const auto leaf = root_.IssueSvid({Id("spiffe://example.org/a"), key, hours(1000)}, kNow + hours(23), random_);
  EXPECT_EQ(leaf->not_after(), root_.certificate().not_after());
}

TEST_P(Authority, SubordinateAuthority) {
  PrivateKey key = PrivateKey::Generate(KeyType::kP256);
  const auto cert = root_.IssueAuthority(key.public_key(), kNow, hours(2), 0, random_);
  ASSERT_TRUE(cert.ok());
  const auto sub = CertificateAuthority::Load(Td(), std::move(key), {*cert, root_.certificate()});
  ASSERT_TRUE(sub.ok());
  EXPECT_EQ(sub->intermediates(), std::vector<Certificate>{*cert});
  const auto leaf = sub->IssueSvid(
      {Id("spiffe://example.org/a"), PrivateKey::Generate(KeyType::kP256).public_key(), hours(4)}, kNow, random_);
  ASSERT_TRUE(leaf.ok());
  EXPECT_EQ(leaf->not_after(), cert->not_after());
  EXPECT_TRUE(VerifySvid({*leaf, *cert}, Bundles(), kNow).ok());
  EXPECT_FALSE(VerifySvid({*leaf}, Bundles(), kNow).ok());
  EXPECT_EQ(sub->IssueAuthority(root_.key().public_key(), kNow, hours(1), 0, random_).error().code(),
            ErrorCode::kFailedPrecondition);
}

TEST_P(Authority, LoadRefusesTheWrongParts) {
  EXPECT_FALSE(CertificateAuthority::Load(Td(), PrivateKey::Generate(GetParam()), {root_.certificate()}).ok());
  EXPECT_FALSE(CertificateAuthority::Load(Td(), PrivateKey::Generate(GetParam()), {}).ok());
  const PrivateKey key = PrivateKey::Generate(KeyType::kP256);
  const Secret copy = key.ToPkcs8();
  const auto leaf = root_.IssueSvid({Id("spiffe://example.org/a"), key.public_key(), hours(1)}, kNow, random_);
  EXPECT_FALSE(CertificateAuthority::Load(Td(), PrivateKey::FromPkcs8(copy).value(), {*leaf}).ok());
}

TEST_P(Authority, SerialsDiffer) {
  std::set<Bytes> serials;
  const PublicKey key = PrivateKey::Generate(KeyType::kP256).public_key();
  for (int i = 0; i < 50; ++i) {
    const Certificate c = root_.IssueSvid({Id("spiffe://example.org/a"), key, hours(1)}, kNow, random_).value();
    serials.insert(Bytes(c.serial().begin(), c.serial().end()));
  }
  EXPECT_EQ(serials.size(), 50U);
}

TEST_P(Authority, CrlRevokesInOpenSslsEyes) {
  const PublicKey key = PrivateKey::Generate(KeyType::kP256).public_key();
  const Certificate bad = root_.IssueSvid({Id("spiffe://example.org/a"), key, hours(1)}, kNow, random_).value();
  const Certificate good = root_.IssueSvid({Id("spiffe://example.org/b"), key, hours(1)}, kNow, random_).value();
  const std::vector<RevokedCertificate> revoked = {{Bytes(bad.serial().begin(), bad.serial().end()), kNow}};
  for (const bool empty : {false, true}) {
    const Bytes der =
        root_.IssueCrl(empty ? std::span<const RevokedCertificate>() : revoked, kNow, kNow + hours(1), 7).value();
    const unsigned char* at = der.data();
    X509_CRL* const crl = d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size()));
    ASSERT_NE(crl, nullptr);
    EXPECT_EQ(at, der.data() + der.size());
    EXPECT_EQ(X509_CRL_verify(crl, root_.key().public_key().handle()), 1);
    const X509StorePtr store(X509_STORE_new());
    const X509Ptr ca = OpenSsl(root_.certificate());
    X509_STORE_add_cert(store.get(), ca.get());
    X509_STORE_add_crl(store.get(), crl);
    const auto verify = [&](const Certificate& c) {
      const X509Ptr x = OpenSsl(c);
      const X509StoreCtxPtr ctx(X509_STORE_CTX_new());
      X509_STORE_CTX_init(ctx.get(), store.get(), x.get(), nullptr);
      X509_STORE_CTX_set_flags(ctx.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_X509_STRICT);
      X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx.get()),
                                 std::chrono::system_clock::to_time_t(std::chrono::floor<seconds>(kNow)));
      return X509_verify_cert(ctx.get()) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx.get());
    };
    EXPECT_EQ(verify(bad), empty ? X509_V_OK : X509_V_ERR_CERT_REVOKED);
    EXPECT_EQ(verify(good), X509_V_OK);
    X509_CRL_free(crl);
  }
  EXPECT_FALSE(root_.IssueCrl({}, kNow, kNow, 1).ok());
}

TEST_P(Authority, RequestsProvePossession) {
  const PrivateKey key = PrivateKey::Generate(GetParam());
  const Bytes der = BuildCsr(key, Id("spiffe://example.org/a")).value();
  const auto csr = VerifiedCsr::Parse(der);
  ASSERT_TRUE(csr.ok()) << csr.error().ToString();
  EXPECT_EQ(csr->key(), key.public_key());
  EXPECT_EQ(csr->uris(), std::vector<std::string>{"spiffe://example.org/a"});
  const unsigned char* at = der.data();
  X509_REQ* const req = d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size()));
  ASSERT_NE(req, nullptr);
  EXPECT_EQ(X509_REQ_verify(req, key.public_key().handle()), 1);
  X509_REQ_free(req);

  // Somebody else's key in our request: the attack that proof of possession stops.
  const PrivateKey victim = PrivateKey::Generate(GetParam());
  der::Reader outer(der);
  der::Reader body(outer.Expect(der::kSequence).value());
  const der::Element info = body.Next().value();
  Bytes stolen(info.whole.begin(), info.whole.end());
  const auto where =
      std::search(stolen.begin(), stolen.end(), key.public_key().spki().begin(), key.public_key().spki().end());
  ASSERT_NE(where, stolen.end());
  std::ranges::copy(victim.public_key().spki(), where);
  EXPECT_EQ(VerifiedCsr::Parse(SignBody(key, stolen).value()).error().code(), ErrorCode::kUnauthenticated);
  for (size_t n = 0; n < der.size(); n += 3) EXPECT_FALSE(VerifiedCsr::Parse(ByteView(der).first(n)).ok());
  EXPECT_FALSE(VerifiedCsr::Parse(Bytes(70000)).ok());
}

TEST_P(Authority, OpenSslsRequestsParse) {
  const PrivateKey key = PrivateKey::Generate(GetParam());
  X509_REQ* const req = X509_REQ_new();
  X509_REQ_set_version(req, 0);
  X509_REQ_set_pubkey(req, key.handle());
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("x"), -1, -1, 0);
  X509_REQ_sign(req, key.handle(), EVP_sha256());
  unsigned char* out = nullptr;
  const int size = i2d_X509_REQ(req, &out);
  const auto csr = VerifiedCsr::Parse({out, static_cast<size_t>(size)});
  EXPECT_TRUE(csr.ok()) << csr.error().ToString();
  OPENSSL_free(out);
  X509_REQ_free(req);
}

}  // namespace
}  // namespace hexr::crypto
