// Tokens come from anybody: JWT-SVIDs, WIT-SVIDs and users' tokens. Nothing that was not signed with the one key is
// believed, and the fuzzer does not have it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "crypto/jws.h"
#include "identity/claims.h"
#include "identity/testing/fake_fetcher.h"
#include "identity/token.h"
#include "identity/user_token.h"

namespace {

using namespace hexr;            // NOLINT: a fuzz target is a program of its own
using namespace hexr::identity;  // NOLINT

struct World {
  crypto::PrivateKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  TrustBundle bundle{TrustDomain::Parse("example.org").value()};
  ManualClock clock{WallTime{std::chrono::hours(500'000)}};
  hexr::identity::testing::FakeFetcher fetcher;
  std::unique_ptr<UserTokenVerifier> users;

  World() {
    bundle.jwt_keys = {{key.public_key(), "k", "jwt-svid"}};
    bundle.wit_keys = {{key.public_key(), "w", "wit-svid"}};
    fetcher.pages["https://login.example.org/.well-known/openid-configuration"] =
        R"({"issuer":"https://login.example.org","jwks_uri":"https://login.example.org/keys"})";
    fetcher.pages["https://login.example.org/keys"] = crypto::EncodeJwkSet({.keys = {{key.public_key(), "k", "sig"}}});
    users = UserTokenVerifier::Create({{"https://login.example.org", "hexr", ""}}, clock, fetcher).value();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const FindBundle find = [](const TrustDomain& td) { return td.name() == "example.org" ? &world.bundle : nullptr; };
  HEXR_CHECK(!VerifyJwtSvid(input, "db", find, world.clock.Wall()).ok());
  HEXR_CHECK(!VerifyWitSvid(input, find, world.clock.Wall()).ok());
  world.users->Verify(std::string(input), 0, [](Result<OnBehalfOf> r) { HEXR_CHECK(!r.ok()); });
  world.fetcher.AnswerAll();
  // The input as claims, honestly signed: every check behind the signature runs, and what passes has kept the rules.
  const auto jwt = crypto::SignJwt(world.key, crypto::SignatureAlgorithm::kEs256, "k", "JWT", input);
  if (jwt.ok()) {
    const auto verified = VerifyJwtSvid(*jwt, "db", find, world.clock.Wall());
    if (verified.ok()) HEXR_CHECK(verified->id().has_path() && HasAudience(verified->claims(), "db"));
    world.users->Verify(*jwt, 0, [](Result<OnBehalfOf> r) { HEXR_CHECK(!r.ok() || !r->subject.empty()); });
    world.fetcher.AnswerAll();
  }
  return 0;
}
