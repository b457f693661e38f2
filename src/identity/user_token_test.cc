#include "identity/user_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "base/limits/identity.h"
#include "base/limits/keys.h"
#include "crypto/jws.h"
#include "identity/claims.h"
#include "identity/testing/fake_fetcher.h"
#include "wire/json.h"

namespace hexr::identity {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using wire::Json;
using wire::JsonObject;

constexpr const char* kIssuer = "https://login.example.org";
constexpr const char* kDiscovery = "https://login.example.org/.well-known/openid-configuration";
constexpr const char* kKeys = "https://keys.example.org/jwks";

class UserToken : public ::testing::Test {
 protected:
  UserToken() {
    auto created = UserTokenVerifier::Create({{kIssuer, "hexr", ""}}, clock_, fetcher_);
    EXPECT_TRUE(created.ok());
    verifier_ = std::move(*created);
    Serve({{key_.public_key(), "k1", "sig"}});
    fetcher_.pages[kDiscovery] = R"({"issuer":"https://login.example.org","jwks_uri":"https://keys.example.org/jwks"})";
  }
  void Serve(std::vector<crypto::Jwk> keys) { fetcher_.pages[kKeys] = crypto::EncodeJwkSet({.keys = std::move(keys)}); }
  JsonObject Claims() const {
    return {{"iss", kIssuer},
            {"sub", "alice"},
            {"aud", "hexr"},
            {"exp", ToUnixSeconds(clock_.Wall() + minutes(5))},
            {"iat", ToUnixSeconds(clock_.Wall())},
            {"email", "alice@example.org"}};
  }
  std::string Sign(const JsonObject& claims, const char* kid = "k1", const char* typ = "JWT") const {
    return *crypto::SignJwt(key_, crypto::SignatureAlgorithm::kEs256, kid, typ, wire::ToJson(claims));
  }
  std::string With(std::string_view name, Json value) const {
    JsonObject claims = Claims();
    claims.Set(name, std::move(value));
    return Sign(claims);
  }
  std::optional<Result<OnBehalfOf>> Start(std::string token) {
    auto out = std::make_shared<std::optional<Result<OnBehalfOf>>>();
    verifier_->Verify(std::move(token), 1000, [out](Result<OnBehalfOf> r) { out->emplace(std::move(r)); });
    fetcher_.AnswerAll();
    return *out;
  }
  Result<OnBehalfOf> Verify(std::string token) {
    auto result = Start(std::move(token));
    EXPECT_TRUE(result.has_value());
    return std::move(*result);
  }

  ManualClock clock_{WallTime{std::chrono::hours(500'000)}};
  testing::FakeFetcher fetcher_;
  crypto::PrivateKey key_ = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  std::unique_ptr<UserTokenVerifier> verifier_;
};

TEST_F(UserToken, IsBelievedFromAConfiguredIssuer) {
  const auto user = Verify(Sign(Claims()));
  ASSERT_TRUE(user.ok()) << user.error().ToString();
  EXPECT_EQ(user->subject, "alice");
  EXPECT_EQ(user->issuer, kIssuer);
  EXPECT_THAT(user->claims_json, HasSubstr("alice@example.org"));
  EXPECT_EQ(fetcher_.count, 2);
  EXPECT_TRUE(Verify(With("aud", wire::JsonArray{"other", "hexr"})).ok());
  EXPECT_EQ(fetcher_.count, 2) << "the keys are known";
}

TEST_F(UserToken, AnUnknownIssuerCausesNoRequest) {
  for (const Json& iss : {Json("https://evil.example.org"), Json("https://login.example.org/"),
                          Json("HTTPS://login.example.org"), Json(), Json(1)}) {
    EXPECT_EQ(Verify(With("iss", iss)).error().code(), ErrorCode::kUnauthenticated);
  }
  EXPECT_FALSE(Verify("rubbish").ok());
  EXPECT_FALSE(Verify(std::string(limits::kMaxJwtBytes + 1, 'a')).ok());
  EXPECT_EQ(fetcher_.count, 0);
}

TEST_F(UserToken, RefusesWrongClaims) {
  ASSERT_TRUE(Verify(Sign(Claims())).ok());
  EXPECT_FALSE(Verify(With("aud", "other")).ok());
  EXPECT_FALSE(Verify(With("aud", Json())).ok());
  EXPECT_FALSE(Verify(With("exp", ToUnixSeconds(clock_.Wall()) - 31)).ok());
  EXPECT_FALSE(Verify(With("exp", "soon")).ok());
  EXPECT_FALSE(Verify(With("nbf", ToUnixSeconds(clock_.Wall()) + 60)).ok());
  EXPECT_FALSE(Verify(With("sub", "")).ok());
  EXPECT_FALSE(Verify(With("sub", Json())).ok());
  EXPECT_FALSE(Verify(With("sub", std::string(256, 'a'))).ok());
  JsonObject without = Claims();
  without.Erase("exp");
  EXPECT_FALSE(Verify(Sign(without)).ok());
  EXPECT_FALSE(Verify(Sign(Claims(), "k1", "wit+jwt")).ok());
  const crypto::PrivateKey other = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  EXPECT_FALSE(
      Verify(*crypto::SignJwt(other, crypto::SignatureAlgorithm::kEs256, "k1", "JWT", wire::ToJson(Claims()))).ok());
  EXPECT_FALSE(Verify(Sign(Claims()) + "x").ok());
}

TEST_F(UserToken, KeysForEncryptionSignNothing) {
  Serve({{key_.public_key(), "k1", "enc"}});
  EXPECT_EQ(Verify(Sign(Claims())).error().code(), ErrorCode::kUnauthenticated);
}

TEST_F(UserToken, FollowsARotationOfKeys) {
  ASSERT_TRUE(Verify(Sign(Claims())).ok());
  Serve({{key_.public_key(), "k2", "sig"}});
  // An unknown key is asked for, but not over and over.
  EXPECT_FALSE(Verify(Sign(Claims(), "k2")).ok());
  EXPECT_EQ(fetcher_.count, 2);
  clock_.Advance(seconds(31));
  EXPECT_TRUE(Verify(Sign(Claims(), "k2")).ok());
  EXPECT_EQ(fetcher_.count, 4);
  EXPECT_FALSE(Verify(Sign(Claims(), "k1")).ok()) << "withdrawn";
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(Verify(Sign(Claims(), "k9")).ok());
  EXPECT_EQ(fetcher_.count, 4);
}

TEST_F(UserToken, KeysAreAskedForAgainAfterAWhile) {
  ASSERT_TRUE(Verify(Sign(Claims())).ok());
  clock_.Advance(minutes(16));
  fetcher_.pages.clear();
  EXPECT_EQ(Verify(Sign(Claims())).error().code(), ErrorCode::kUnavailable) << "old keys are not good for ever";
  EXPECT_EQ(Verify(Sign(Claims())).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(fetcher_.count, 3);
}

TEST_F(UserToken, ABrokenIssuerIsUnavailable) {
  const auto attempt = [this](const char* discovery, const char* keys) {
    clock_.Advance(minutes(20));
    fetcher_.pages[kDiscovery] = discovery;
    fetcher_.pages[kKeys] = keys;
    return Verify(Sign(Claims())).error().code();
  };
  const char* good = R"({"issuer":"https://login.example.org","jwks_uri":"https://keys.example.org/jwks"})";
  for (const char* discovery :
       {"", "[]", "{}", R"({"issuer":"https://evil.example.org","jwks_uri":"https://keys.example.org/jwks"})",
        R"({"issuer":"https://login.example.org","jwks_uri":"http://keys.example.org/jwks"})",
        R"({"issuer":"https://login.example.org","jwks_uri":"file:///etc/passwd"})",
        R"({"issuer":"https://login.example.org"})"}) {
    EXPECT_EQ(attempt(discovery, R"({"keys":[]})"), ErrorCode::kUnavailable) << discovery;
  }
  EXPECT_EQ(attempt(good, "rubbish"), ErrorCode::kUnavailable);
  EXPECT_EQ(attempt(good, R"({"keys":[]})"), ErrorCode::kUnauthenticated);
}

TEST_F(UserToken, WaitersAreBoundedAndShareOneRequest) {
  std::vector<ErrorCode> codes;
  size_t good = 0;
  for (size_t i = 0; i <= limits::kMaxWaitingUserTokens; ++i) {
    const auto user = static_cast<uint32_t>(i / limits::kMaxWaitingUserTokensPerUser);
    verifier_->Verify(Sign(Claims()), user, [&](Result<OnBehalfOf> r) {
      if (r.ok())
        ++good;
      else
        codes.push_back(r.error().code());
    });
  }
  EXPECT_EQ(fetcher_.count, 1);
  EXPECT_THAT(codes, ::testing::ElementsAre(ErrorCode::kResourceExhausted));
  fetcher_.AnswerAll();
  EXPECT_EQ(good, limits::kMaxWaitingUserTokens);
}

TEST_F(UserToken, TokensOfOneUserLeaveRoomForOthers) {
  std::vector<ErrorCode> codes;
  const auto start = [&](uint32_t user) {
    verifier_->Verify(Sign(Claims()), user, [&](Result<OnBehalfOf> r) {
      if (!r.ok()) codes.push_back(r.error().code());
    });
  };
  for (size_t i = 0; i < limits::kMaxWaitingUserTokensPerUser; ++i) start(1000);
  EXPECT_THAT(codes, ::testing::IsEmpty());
  start(1000);
  EXPECT_THAT(codes, ::testing::ElementsAre(ErrorCode::kResourceExhausted));
  start(1001);
  EXPECT_EQ(codes.size(), 1u);
  fetcher_.AnswerAll();
  EXPECT_EQ(codes.size(), 1u);
}

// Somebody shows a token that names a key nobody has: those whose key is known do not wait for what comes of it.
TEST_F(UserToken, AKnownKeyWaitsForNoFetch) {
  ASSERT_TRUE(Verify(Sign(Claims())).ok());
  clock_.Advance(seconds(31));
  const auto unknown = std::make_shared<std::optional<Result<OnBehalfOf>>>();
  verifier_->Verify(Sign(Claims(), "k9"), 1000, [unknown](Result<OnBehalfOf> r) { unknown->emplace(std::move(r)); });
  ASSERT_FALSE(unknown->has_value()) << "it is being asked for";
  std::optional<bool> known;
  verifier_->Verify(Sign(Claims()), 1001, [&](const Result<OnBehalfOf>& r) { known = r.ok(); });
  EXPECT_EQ(known, true);
  fetcher_.AnswerAll();
  EXPECT_FALSE((*unknown)->ok());
}

TEST_F(UserToken, ConfigurationIsChecked) {
  for (const TokenIssuer& issuer : {TokenIssuer{"http://x.org", "a", ""}, TokenIssuer{"", "a", ""},
                                    TokenIssuer{"https://x.org", "", ""}, TokenIssuer{"https://x.org?a=b", "a", ""}}) {
    EXPECT_FALSE(UserTokenVerifier::Create({issuer}, clock_, fetcher_).ok()) << issuer.issuer;
  }
  EXPECT_FALSE(
      UserTokenVerifier::Create({{"https://x.org", "a", ""}, {"https://x.org", "b", ""}}, clock_, fetcher_).ok());
}

TEST_F(UserToken, AHostThatADocumentNamesIsNotTheOperatorsChoice) {
  verifier_->Verify(Sign(Claims()), 1000, [](Result<OnBehalfOf>) {});
  EXPECT_TRUE(fetcher_.asked.at(0).request.named_by_operator);
  fetcher_.AnswerOne();
  EXPECT_EQ(fetcher_.asked.at(0).request.url, kKeys);
  EXPECT_FALSE(fetcher_.asked.at(0).request.named_by_operator);
}

}  // namespace
}  // namespace hexr::identity
