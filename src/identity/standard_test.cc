// What others accept and refuse as bundles and tokens: the sentences of SPIFFE_Trust_Domain_and_Bundle.md, X509-SVID.md
// 6, JWT-SVID.md and WIT-SVID.md, and the cases that go-spiffe and SPIRE test themselves with. What bundle_test.cc and
// token_test.cc have already is not repeated.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "crypto/authority.h"
#include "crypto/digest.h"
#include "crypto/jws.h"
#include "crypto/pem.h"
#include "identity/bundle.h"
#include "identity/bundle_set.h"
#include "identity/claims.h"
#include "identity/token.h"
#include "wire/json.h"

namespace hexr::identity {
namespace {

using crypto::KeyType;
using crypto::PrivateKey;
using std::chrono::minutes;

const TrustDomain kHere = *TrustDomain::Parse("example.org");
const TrustDomain kThere = *TrustDomain::Parse("there.org");
const WallTime kThen{std::chrono::hours(500'000)};

std::string JwkWith(const PrivateKey& key, const std::string& more) {
  std::string jwk = crypto::EncodeJwk({.key = key.public_key()});
  jwk.pop_back();
  return jwk + more + "}";
}

class BundleStandard : public ::testing::Test {
 protected:
  static crypto::Certificate Authority(const PrivateKey& key) {
    SystemRandom random;
    return crypto::CertificateAuthority::CreateRoot(kHere, PrivateKey::FromPkcs8(key.ToPkcs8()).value(), kThen,
                                                    std::chrono::hours(24), random)
        ->certificate();
  }
  // Keys by use, "" where the document is refused.
  static std::string Taken(const std::string& document) {
    const auto bundle = TrustBundle::Parse(kHere, document);
    if (!bundle.ok()) return "refused";
    return std::to_string(bundle->x509_authorities.size()) + " x509, " + std::to_string(bundle->jwt_keys.size()) +
           " jwt, " + std::to_string(bundle->wit_keys.size()) + " wit";
  }
  static std::string Set(const std::string& keys, const std::string& more = "") {
    return R"({"keys":[)" + keys + "]" + more + "}";
  }

  const PrivateKey ca_ = PrivateKey::Generate(KeyType::kP256), key_ = PrivateKey::Generate(KeyType::kP256);
  const std::string x5c_ = R"(,"use":"x509-svid","x5c":[")" + Base64Encode(Authority(ca_).der()) + "\"]";
  const std::string good_ = JwkWith(key_, R"(,"use":"jwt-svid","kid":"good")");
};

TEST_F(BundleStandard, EntriesThatCountAndEntriesThatDoNot) {
  const std::string other = Base64Encode(Authority(key_).der());
  std::string url_safe = x5c_;
  for (char& c : url_safe) c = c == '+' ? '-' : c;
  const std::vector<std::tuple<const char*, std::string, const char*>> cases{
      {"the rest of the tests rest on this one", Set(JwkWith(ca_, x5c_) + "," + good_), "1 x509, 1 jwt, 0 wit"},
      {"4.1.3: keys have to be there (SPIRE reads {} as an empty bundle)", "{}", "refused"},
      {"4.1.3: none of them usable is none", Set(""), "0 x509, 0 jwt, 0 wit"},
      {"4.2.2: an entry without use is passed over (SPIRE refuses it)",
       Set(JwkWith(key_, R"(,"kid":"a")") + "," + good_), "0 x509, 1 jwt, 0 wit"},
      {"4.2.2: an unknown use is passed over (SPIRE refuses it)",
       Set(JwkWith(key_, R"(,"use":"bad stuff","kid":"a")") + "," + good_), "0 x509, 1 jwt, 0 wit"},
      {"4.2.2: uses have one case",
       Set(JwkWith(ca_, x5c_ + R"(,"kid":"a")") + "," + JwkWith(key_, R"(,"use":"Jwt-Svid","kid":"b")")),
       "1 x509, 0 jwt, 0 wit"},
      {"4.2.2: a use that is no text", Set(JwkWith(key_, R"(,"use":["jwt-svid"],"kid":"a")") + "," + good_),
       "0 x509, 1 jwt, 0 wit"},
      {"the words of an older draft", Set(JwkWith(key_, R"(,"use":"spiffe-jwt","kid":"a")")), "0 x509, 0 jwt, 0 wit"},
      {"4.2.1: an unknown kind of key is passed over",
       Set(R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"jwt-svid","kid":"a"},)" +
           good_),
       "0 x509, 1 jwt, 0 wit"},
      {"4.2.1: no kind at all", Set(R"({"use":"jwt-svid","kid":"a"},)" + good_), "0 x509, 1 jwt, 0 wit"},
      {"4.2.1: a curve that we do not use",
       Set(R"({"kty":"EC","crv":"secp256k1","x":"AA","y":"AA","use":"jwt-svid","kid":"a"},)" + good_),
       "0 x509, 1 jwt, 0 wit"},
      {"X509 6.2: an authority without x5c is passed over (SPIRE refuses it)",
       Set(JwkWith(ca_, R"(,"use":"x509-svid")") + "," + good_), "0 x509, 1 jwt, 0 wit"},
      {"X509 6.2: nor with an empty one", Set(JwkWith(ca_, R"(,"use":"x509-svid","x5c":[])") + "," + good_),
       "0 x509, 1 jwt, 0 wit"},
      {"X509 6.2: all but the first are ignored (go-spiffe and SPIRE refuse two)",
       Set(JwkWith(ca_,
                   R"(,"use":"x509-svid","x5c":[")" + Base64Encode(Authority(ca_).der()) + "\",\"" + other + "\"]")),
       "1 x509, 0 jwt, 0 wit"},
      {"X509 6.1: a kid is not wanted, and harms nobody", Set(JwkWith(ca_, x5c_ + R"(,"kid":"good")") + "," + good_),
       "1 x509, 1 jwt, 0 wit"},
      {"the same authority twice is one", Set(JwkWith(ca_, x5c_) + "," + JwkWith(ca_, x5c_)), "1 x509, 0 jwt, 0 wit"},
      {"x5c of no certificate", Set(JwkWith(ca_, R"(,"use":"x509-svid","x5c":["AAAA"])") + "," + good_),
       "0 x509, 1 jwt, 0 wit"},
      {"x5c of another key's certificate",
       Set(JwkWith(ca_, R"(,"use":"x509-svid","x5c":[")" + other + "\"]") + "," + good_), "0 x509, 1 jwt, 0 wit"},
      {"x5c in base64url (RFC 7517 4.7 wants the other one)", Set(JwkWith(ca_, url_safe) + "," + good_),
       url_safe == x5c_ ? "1 x509, 1 jwt, 0 wit" : "0 x509, 1 jwt, 0 wit"},
      {"JWT 6: a key without kid names itself to nobody (so go-spiffe and SPIRE)",
       Set(good_ + "," + JwkWith(ca_, R"(,"use":"jwt-svid")")), "refused"},
      {"JWT 6: an empty kid is none", Set(JwkWith(ca_, R"(,"use":"jwt-svid","kid":"")")), "refused"},
      {"WIT 6.1: the same", Set(JwkWith(ca_, R"(,"use":"wit-svid")")), "refused"},
      {"WIT 6.1: a kid is there once (SPIRE keeps one of two)", Set(good_ + "," + good_), "refused"},
      {"WIT 6.1: of tokens of both kinds", Set(good_ + "," + JwkWith(ca_, R"(,"use":"wit-svid","kid":"good")")),
       "refused"},
      {"kids differ by case", Set(good_ + "," + JwkWith(ca_, R"(,"use":"jwt-svid","kid":"Good")")),
       "0 x509, 2 jwt, 0 wit"},
      {"one key under two kids", Set(good_ + "," + JwkWith(key_, R"(,"use":"jwt-svid","kid":"b")")),
       "0 x509, 2 jwt, 0 wit"},
      {"an algorithm that is not the key's",
       Set(JwkWith(ca_, R"(,"use":"jwt-svid","kid":"a","alg":"RS256")") + "," + good_), "0 x509, 1 jwt, 0 wit"},
      {"4.1: members that nobody knows", Set(good_, R"(,"anything":{"keys":[]},"SPIFFE_SEQUENCE":"x")"),
       "0 x509, 1 jwt, 0 wit"},
      {"a name twice in one entry", Set(JwkWith(ca_, R"(,"use":"jwt-svid","use":"wit-svid","kid":"a")")), "refused"},
      {"a name twice, once escaped", Set(good_, ",\"k\\u0065ys\":[]"), "refused"},
      {"4.1.1: a sequence is a number of 64 bits", Set(good_, R"(,"spiffe_sequence":18446744073709551615)"),
       "0 x509, 1 jwt, 0 wit"},
      {"4.1.1: null is none", Set(good_, R"(,"spiffe_sequence":null)"), "refused"},
      {"4.1.1: with an exponent", Set(good_, R"(,"spiffe_sequence":1e3)"), "refused"},
      {"4.1.2: a hint is a number of seconds", Set(good_, R"(,"spiffe_refresh_hint":"300")"), "refused"},
      {"4.1.2: whole ones", Set(good_, R"(,"spiffe_refresh_hint":0.5)"), "refused"},
      {"4.1.2: not negative", Set(good_, R"(,"spiffe_refresh_hint":-1)"), "refused"},
      {"more behind the end", Set(good_) + Set(good_), "refused"},
      {"a mark of byte order", "\xef\xbb\xbf" + Set(good_), "refused"},
      {"a comment", "// keys\n" + Set(good_), "refused"},
  };
  for (const auto& [what, document, taken] : cases) EXPECT_EQ(Taken(document), taken) << what << "\n" << document;
}

TEST_F(BundleStandard, WithoutAHintItIsAskedForEveryFiveMinutes) {
  EXPECT_EQ(TrustBundle::Parse(kHere, Set(good_))->refresh_hint, minutes(5));
  EXPECT_EQ(TrustBundle::Parse(kHere, Set(good_, R"(,"spiffe_refresh_hint":60)"))->refresh_hint, minutes(1));
}

// 4.1.1, read by who takes bundles from outside: a later document has a later number.
TEST_F(BundleStandard, SequencesDecideBetweenTwoDocuments) {
  const auto there = [&](const std::string& keys, const std::string& sequence) {
    return TrustBundle::Parse(kThere, Set(keys, sequence)).value();
  };
  const std::string other = JwkWith(ca_, R"(,"use":"jwt-svid","kid":"other")");
  const struct {
    const char* what;
    std::string first, second;
    bool taken;
  } cases[] = {
      {"a later one", R"(,"spiffe_sequence":7)", R"(,"spiffe_sequence":8)", true},
      {"an earlier one", R"(,"spiffe_sequence":8)", R"(,"spiffe_sequence":7)", false},
      {"one that has lost its number", R"(,"spiffe_sequence":8)", "", false},
      {"one that has got a number", "", R"(,"spiffe_sequence":0)", true},
      {"where nobody counts", "", "", true},
      {"numbers that a double cannot tell apart", R"(,"spiffe_sequence":9007199254740993)",
       R"(,"spiffe_sequence":9007199254740992)", false},
  };
  for (const auto& c : cases) {
    BundleSet set(kHere, [] {});
    ASSERT_TRUE(set.SetFederated(there(good_, c.first)).ok());
    EXPECT_EQ(set.SetFederated(there(other, c.second)).ok(), c.taken) << c.what;
    EXPECT_EQ(set.Find(kThere)->jwt_keys.front().key_id, c.taken ? "other" : "good") << c.what;
  }
}

class TokenStandard : public ::testing::Test {
 protected:
  TokenStandard() {
    for (auto& [type, key] : keys_) {
      here_.jwt_keys.push_back({key.public_key(), KidOf(type), "jwt-svid"});
      here_.wit_keys.push_back({wit_.at(type).public_key(), "w" + KidOf(type), "wit-svid"});
    }
  }
  static std::string KidOf(KeyType type) { return std::to_string(static_cast<int>(type)); }
  static std::map<KeyType, PrivateKey> EachKind() {
    std::map<KeyType, PrivateKey> out;
    for (const KeyType type : {KeyType::kP256, KeyType::kP384, KeyType::kP521, KeyType::kRsa})
      out.emplace(type, PrivateKey::Generate(type));
    return out;
  }
  static int64_t At(std::chrono::seconds from_now) { return ToUnixSeconds(kThen + from_now); }
  static std::string Text(std::string_view header, std::string_view payload) {
    return Base64UrlEncode(AsBytes(header)) + "." + Base64UrlEncode(AsBytes(payload));
  }
  static std::string Sign(const PrivateKey& key, crypto::SignatureAlgorithm algorithm, const std::string& header,
                          const std::string& payload) {
    const std::string text = Text(header, payload);
    return text + "." + Base64UrlEncode(*key.Sign(algorithm, AsBytes(text)));
  }
  std::string With(const std::string& header, const std::string& payload) const {
    return Sign(keys_.at(KeyType::kP256), crypto::SignatureAlgorithm::kEs256, header, payload);
  }
  static std::string Claims(const std::string& more = R"("aud":["reports"])") {
    return R"({"sub":"spiffe://example.org/workload","exp":)" + std::to_string(At(minutes(5))) +
           (more.empty() ? "" : "," + more) + "}";
  }
  std::string Header(const std::string& more = "") const {
    return R"({"alg":"ES256","kid":")" + KidOf(KeyType::kP256) + "\"" + more + "}";
  }
  bool Believes(const std::string& token) const {
    const auto jwt = VerifyJwtSvid(token, "reports", find_, kThen);
    if (!jwt.ok()) {
      EXPECT_EQ(jwt.error().code(), ErrorCode::kUnauthenticated);
    }
    return jwt.ok();
  }
  bool BelievesWit(const std::string& token) const { return VerifyWitSvid(token, find_, kThen).ok(); }

  std::map<KeyType, PrivateKey> keys_ = EachKind(), wit_ = EachKind();
  TrustBundle here_{kHere};
  FindBundle find_ = [this](const TrustDomain& td) { return td == kHere ? &here_ : nullptr; };
};

// JWT-SVID.md 2.1: the nine of its table, each with keys of its own kind, and no others.
TEST_F(TokenStandard, AlgorithmsAndTheKeysThatTheyGoWith) {
  for (const crypto::SignatureAlgorithm algorithm : crypto::AllAlgorithms()) {
    const std::string name(crypto::AlgorithmName(algorithm));
    size_t fitting = 0;
    for (const auto& [type, key] : keys_) {
      const std::string header = R"({"alg":")" + name + R"(","kid":")" + KidOf(type) + "\"}";
      if (crypto::Fits(algorithm, type)) {
        ++fitting;
        EXPECT_TRUE(Believes(Sign(key, algorithm, header, Claims()))) << name;
        const std::string wit = R"({"alg":")" + name + R"(","kid":"w)" + KidOf(type) + R"(","typ":"wit+jwt"})";
        const std::string cnf =
            R"("cnf":{"jwk":)" + crypto::EncodeJwk({.key = key.public_key(), .algorithm = algorithm}) + "}";
        EXPECT_TRUE(BelievesWit(Sign(wit_.at(type), algorithm, wit, Claims(cnf)))) << name;
        continue;
      }
      // The header says one thing, the key is of another kind.
      const auto own = crypto::DefaultAlgorithm(type);
      EXPECT_FALSE(Believes(Sign(key, own, header, Claims()))) << name << " with key " << KidOf(type);
    }
    EXPECT_EQ(fitting, 1u) << name;
  }
  EXPECT_EQ(crypto::AllAlgorithms().size(), 9u);
}

// A public key is known to everybody: taken for the secret of an HMAC, it would sign for everybody.
TEST_F(TokenStandard, AnHmacUnderAPublicKeyIsNoSignature) {
  for (const auto& [type, key] : keys_) {
    const Bytes spki = key.public_key().spki();
    for (const std::string& secret : {std::string(AsText(spki)), crypto::PemEncode("PUBLIC KEY", spki),
                                      crypto::EncodeJwk({.key = key.public_key()})}) {
      for (const char* algorithm : {"HS256", "hs256", "HS384", "HS512", "none", "ES256", "RS256"}) {
        const std::string text =
            Text(R"({"alg":")" + std::string(algorithm) + R"(","kid":")" + KidOf(type) + "\"}", Claims());
        EXPECT_FALSE(Believes(text + "." + Base64UrlEncode(crypto::HmacSha256(AsBytes(secret), AsBytes(text)))));
      }
    }
  }
  EXPECT_FALSE(Believes(Text(R"({"alg":"none"})", Claims()) + "."));
}

TEST_F(TokenStandard, HeadersAndClaimsOfJwtSvids) {
  const std::string soon = std::to_string(At(minutes(5))), past = std::to_string(At(-minutes(5)));
  const std::string sub = R"("sub":"spiffe://example.org/workload")", aud = R"("aud":"reports")";
  const struct {
    const char* what;
    bool accepted;
    std::string header, payload;
  } cases[] = {
      {"2.3: typ JWT", true, Header(R"(,"typ":"JWT")"), Claims()},
      {"2.3: typ JOSE", true, Header(R"(,"typ":"JOSE")"), Claims()},
      {"2.3: no typ", true, Header(), Claims()},
      {"2.3: an empty typ is none", true, Header(R"(,"typ":"")"), Claims()},
      {"2.3: another typ", false, Header(R"(,"typ":"at+jwt")"), Claims()},
      {"2.3: typ is a text", false, Header(R"(,"typ":["JWT"])"), Claims()},
      {"2: b64 is not described there", false, Header(R"(,"b64":false)"), Claims()},
      {"2: nor x5u, x5t, zip", false, Header(R"(,"x5t":"AA")"), Claims()},
      {"RFC 7515 4.1.11: crit", false, Header(R"(,"crit":["b64"],"b64":true)"), Claims()},
      {"2.2: kid of another case", false, R"({"alg":"ES256","kid":"K"})", Claims()},
      {"2.2: kid is a text", false, R"({"alg":"ES256","kid":0})", Claims()},
      {"3.2: one audience as text", true, Header(), Claims(aud)},
      {"3.2: ours among several", true, Header(), Claims(R"("aud":["other","reports"])")},
      {"3.2: another case", false, Header(), Claims(R"("aud":"Reports")")},
      {"3.2: with a slash behind", false, Header(), Claims(R"("aud":"reports/")")},
      {"3.2: a part of it", false, Header(), Claims(R"("aud":["report","reports2"])")},
      {"3.2: several in one text", false, Header(), Claims(R"("aud":"other reports")")},
      {"3.2: none at all", false, Header(), Claims("")},
      {"3.2: null", false, Header(), Claims(R"("aud":null)")},
      {"3.2: lists in lists", false, Header(), Claims(R"("aud":[["reports"]])")},
      {"3.2: aud twice", false, Header(), Claims(R"("aud":"other","aud":"reports")")},
      {"3.3: no exp", false, Header(), "{" + sub + "," + aud + "}"},
      {"3.3: exp as text", false, Header(), "{" + sub + "," + aud + R"(,"exp":")" + soon + "\"}"},
      {"3.3: exp with a fraction (RFC 7519 2)", true, Header(), "{" + sub + "," + aud + R"(,"exp":)" + soon + ".5}"},
      {"3.3: exp with an exponent beyond any clock", false, Header(), "{" + sub + "," + aud + R"(,"exp":1e18})"},
      {"3.3: exp in the past", false, Header(), "{" + sub + "," + aud + R"(,"exp":)" + past + "}"},
      {"3.3: exp is now: within the leeway", true, Header(),
       "{" + sub + "," + aud + R"(,"exp":)" + std::to_string(At(minutes(0))) + "}"},
      {"RFC 7519 4.1.5: nbf to come", false, Header(), Claims(aud + R"(,"nbf":)" + soon)},
      {"RFC 7519 4.1.5: nbf in the past", true, Header(), Claims(aud + R"(,"nbf":)" + past)},
      {"RFC 7519 4.1.5: nbf as text", false, Header(), Claims(aud + R"(,"nbf":")" + past + "\"")},
      {"3.1: no sub", false, Header(), "{" + aud + R"(,"exp":)" + soon + "}"},
      {"3.1: sub is no text", false, Header(),
       "{" + aud + R"(,"sub":["spiffe://example.org/workload"],"exp":)" + soon + "}"},
      {"3.1: sub of a trust domain", false, Header(),
       R"({"sub":"spiffe://example.org",)" + aud + R"(,"exp":)" + soon + "}"},
      {"3.1: sub with a trailing slash", false, Header(),
       R"({"sub":"spiffe://example.org/workload/",)" + aud + R"(,"exp":)" + soon + "}"},
      {"3.1: sub with a space", false, Header(),
       R"({"sub":"spiffe://example.org/workload ",)" + aud + R"(,"exp":)" + soon + "}"},
      {"3: other claims are whoever's they are", true, Header(),
       Claims(aud + R"(,"iss":"issuer","jti":1,"x":{"y":[]})")},
      {"a payload that is no object", false, Header(), "[]"},
      {"a payload with more behind", false, Header(), Claims() + "{}"},
  };
  for (const auto& c : cases) EXPECT_EQ(Believes(With(c.header, c.payload)), c.accepted) << c.what;
}

// JWT-SVID.md 6.2, Trust Domain and Bundle 4.2.2: a key is for the tokens of its use.
TEST_F(TokenStandard, AKeyOfAnotherUseSignsNothing) {
  const PrivateKey& key = keys_.at(KeyType::kP256);
  const auto believed = [&](const std::string& use) {
    here_ = TrustBundle::Parse(
                kHere, R"({"keys":[)" +
                           JwkWith(key, R"(,"use":")" + use + R"(","kid":")" + KidOf(KeyType::kP256) + "\"") + "]}")
                .value();
    return Believes(With(Header(), Claims()));
  };
  EXPECT_TRUE(believed("jwt-svid"));
  for (const char* use : {"wit-svid", "x509-svid", "sig", ""}) EXPECT_FALSE(believed(use)) << use;
  here_ = TrustBundle(kHere);
  EXPECT_FALSE(Believes(With(Header(), Claims()))) << "an empty bundle believes nothing";
}

TEST_F(TokenStandard, HeadersAndClaimsOfWitSvids) {
  const PrivateKey holder = PrivateKey::Generate(KeyType::kP256);
  const std::string kid = "w" + KidOf(KeyType::kP256);
  const auto header = [&](const std::string& more) { return R"({"alg":"ES256")" + more + "}"; };
  const std::string right = R"(,"kid":")" + kid + R"(","typ":"wit+jwt")";
  std::string jwk = crypto::EncodeJwk({.key = holder.public_key()});
  jwk.pop_back();
  const auto cnf = [&](const std::string& more) { return R"("cnf":{"jwk":)" + jwk + more + "}}"; };
  const std::string good = cnf(R"(,"alg":"ES256")"), soon = std::to_string(At(minutes(5)));
  const struct {
    const char* what;
    bool accepted;
    std::string header, payload;
  } cases[] = {
      {"as it should be", true, header(right), Claims(good)},
      {"2.1: no kid", false, header(R"(,"typ":"wit+jwt")"), Claims(good)},
      {"2.1: an empty kid", false, header(R"(,"kid":"","typ":"wit+jwt")"), Claims(good)},
      {"2.1: the kid of a JWT key", false, header(R"(,"kid":")" + KidOf(KeyType::kP256) + R"(","typ":"wit+jwt")"),
       Claims(good)},
      {"2.2: no typ", false, header(R"(,"kid":")" + kid + "\""), Claims(good)},
      {"2.2: typ of a JWT-SVID", false, header(R"(,"kid":")" + kid + R"(","typ":"JWT")"), Claims(good)},
      {"3.1: no sub", false, header(right), R"({"exp":)" + soon + "," + good + "}"},
      {"3.1: sub without a path", false, header(right),
       R"({"sub":"spiffe://example.org","exp":)" + soon + "," + good + "}"},
      {"3.2: no cnf", false, header(right), Claims("")},
      {"3.2: a thumbprint is no key", false, header(right), Claims(R"("cnf":{"jkt":"AA"})")},
      {"3.2: a key without alg", false, header(right), Claims(cnf(""))},
      {"3.2: alg of another kind of key", false, header(right), Claims(cnf(R"(,"alg":"RS256")"))},
      {"3.2: alg outside the table", false, header(right), Claims(cnf(R"(,"alg":"HS256")"))},
      {"3.2: a private key", false, header(right), Claims(cnf(R"(,"alg":"ES256","d":"AAAA")"))},
      {"3.2: a secret key", false, header(right), Claims(R"("cnf":{"jwk":{"kty":"oct","alg":"HS256","k":"AAAA"}})")},
      {"3.3: no exp", false, header(right), R"({"sub":"spiffe://example.org/workload",)" + good + "}"},
      {"3.5: nbf to come", false, header(right), Claims(good + R"(,"nbf":)" + soon)},
      {"3.7, 3.8: iss, and claims that nobody knows", true, header(right), Claims(good + R"(,"iss":"x","y":1)")},
      {"3.8: aud makes it another token", false, header(right), Claims(good + R"(,"aud":"reports")")},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(BelievesWit(Sign(wit_.at(KeyType::kP256), crypto::SignatureAlgorithm::kEs256, c.header, c.payload)),
              c.accepted)
        << c.what;
  }
}

}  // namespace
}  // namespace hexr::identity
