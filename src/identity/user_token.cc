#include "identity/user_token.h"

#include <algorithm>
#include <utility>

#include "base/https_url.h"
#include "base/limits/identity.h"
#include "base/limits/keys.h"
#include "crypto/jws.h"
#include "identity/claims.h"
#include "wire/json.h"

namespace hexr::identity {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr minutes kKeysLife{15};
constexpr seconds kAskAgain{30};
constexpr seconds kLeeway{30};
constexpr std::chrono::milliseconds kTimeout{2000};  // for each of two: a launch waits for them
constexpr int kHttpOk = 200;
constexpr size_t kMaxSubjectBytes = 255;  // OpenID Connect Core 2

Error BadUserToken(std::string_view what) { return Unauthenticated("user token: " + std::string(what)); }

std::string WellKnown(const std::string& issuer) {
  return issuer + (issuer.ends_with('/') ? "" : "/") + ".well-known/openid-configuration";
}

// Signatures are made with keys for signatures.
bool ForSigning(const crypto::Jwk& key) { return key.use.empty() || key.use == "sig"; }

}  // namespace

Result<std::unique_ptr<UserTokenVerifier>> UserTokenVerifier::Create(std::vector<TokenIssuer> issuers,
                                                                     const Clock& clock, Fetcher& fetcher) {
  std::unique_ptr<UserTokenVerifier> verifier(new UserTokenVerifier(clock, fetcher));
  for (TokenIssuer& issuer : issuers) {
    const Status url = CheckHttpsUrl(issuer.issuer);
    if (!url.ok()) return url.error().WithContext("users: issuer");
    if (issuer.issuer.find('?') != std::string::npos) return InvalidArgument("users: an issuer has no query");
    if (issuer.audience.empty()) return InvalidArgument("users: an issuer needs an audience");
    const std::string name = issuer.issuer;
    if (!verifier->issuers_.emplace(name, Issuer{std::move(issuer)}).second) {
      return InvalidArgument("users: issuer " + name + " is there twice");
    }
  }
  return verifier;
}

bool UserTokenVerifier::Fresh(const Issuer& issuer) const {
  return issuer.known && clock_.Mono() - issuer.fetched < kKeysLife;
}

void UserTokenVerifier::Verify(std::string token, uint32_t user, Done done) {
  const auto raw = crypto::RawJwt::Parse(token);
  if (!raw.ok()) return done(BadUserToken(raw.error().message()));
  const auto claims = ParseClaims(raw->unverified_payload());
  if (!claims.ok()) return done(BadUserToken("the payload is no JSON object"));
  const auto it = issuers_.find(claims->FindString("iss").value_or(std::string_view()));
  if (it == issuers_.end()) return done(BadUserToken("its issuer is none of those that this node takes tokens of"));
  Issuer& issuer = it->second;

  const bool has_key = std::any_of(issuer.keys.begin(), issuer.keys.end(),
                                   [&raw](const crypto::Jwk& k) { return k.key_id == raw->key_id(); });
  const bool may_ask = !issuer.ever_asked || clock_.Mono() - issuer.asked >= kAskAgain;
  // Whatever is being asked for meanwhile: a token of an unknown key makes nobody else wait.
  if (Fresh(issuer) && (has_key || (!issuer.asking && !may_ask))) return done(Check(issuer, token));
  if (!issuer.asking && !may_ask)
    return done(Unavailable("the keys of " + issuer.config.issuer + " could not be fetched just now"));
  if (issuer.waiting.size() >= limits::kMaxWaitingUserTokens)
    return done(ResourceExhausted("too many user tokens wait for their issuer"));
  if (std::ranges::count(issuer.waiting, user, &Waiting::user) >=
      static_cast<std::ptrdiff_t>(limits::kMaxWaitingUserTokensPerUser))
    return done(ResourceExhausted("too many user tokens of your launches wait for their issuer: try again"));
  issuer.waiting.push_back({std::move(token), user, std::move(done)});
  if (!issuer.asking) AskDiscovery(issuer);
}

void UserTokenVerifier::AskDiscovery(Issuer& issuer) {
  issuer.asking = issuer.ever_asked = true;
  issuer.asked = clock_.Mono();
  fetcher_.Fetch(
      {.url = WellKnown(issuer.config.issuer), .ca_file = issuer.config.ca_file, .timeout = kTimeout},
      [weak = std::weak_ptr<UserTokenVerifier*>(self_), name = issuer.config.issuer](Result<FetchResponse> response) {
        if (const auto self = weak.lock()) (*self)->AskKeys(name, std::move(response));
      });
}

void UserTokenVerifier::AskKeys(const std::string& name, Result<FetchResponse> discovery) {
  Issuer& issuer = issuers_.at(name);
  const auto keys_url = [&]() -> Result<std::string> {
    if (!discovery.ok()) return Unavailable("discovery: " + discovery.error().message());
    if (discovery->status != kHttpOk) return Unavailable("discovery: HTTP status " + std::to_string(discovery->status));
    const auto document =
        wire::ParseJson(discovery->body, {.max_bytes = limits::kMaxJwkSetBytes, .max_depth = 16, .max_values = 4096});
    if (!document.ok()) return Unavailable("discovery: no JSON");
    // OpenID Connect Discovery 4.3: a document that speaks for another issuer is somebody else's.
    if (document->FindString("issuer") != name) return Unavailable("discovery: the document is of another issuer");
    const std::string url(document->FindString("jwks_uri").value_or(std::string_view()));
    if (!CheckHttpsUrl(url).ok()) return Unavailable("discovery: jwks_uri is no https URL");
    return url;
  };
  auto url = keys_url();
  if (!url.ok()) return Settle(issuer, url.error());
  // A document must not send us to a machine of our own network; the issuer's own is the operator's choice.
  const bool same = UrlAuthority(*url) == UrlAuthority(name);
  fetcher_.Fetch(
      {.url = std::move(*url), .ca_file = issuer.config.ca_file, .named_by_operator = same, .timeout = kTimeout},
      [weak = std::weak_ptr<UserTokenVerifier*>(self_), name](Result<FetchResponse> response) {
        if (const auto self = weak.lock()) (*self)->TakeKeys(name, std::move(response));
      });
}

void UserTokenVerifier::TakeKeys(const std::string& name, Result<FetchResponse> response) {
  Issuer& issuer = issuers_.at(name);
  const auto take = [&]() -> Status {
    if (!response.ok()) return Unavailable("keys: " + response.error().message());
    if (response->status != kHttpOk) return Unavailable("keys: HTTP status " + std::to_string(response->status));
    auto set = crypto::ParseJwkSet(response->body);
    if (!set.ok()) return Unavailable("keys: " + set.error().message());
    std::erase_if(set->keys, [](const crypto::Jwk& k) { return !ForSigning(k); });
    issuer.keys = std::move(set->keys);
    issuer.known = true;
    issuer.fetched = clock_.Mono();
    return Ok();
  };
  Settle(issuer, take());
}

void UserTokenVerifier::Settle(Issuer& issuer, const Status& keys) {
  issuer.asking = false;
  std::vector<Waiting> waiting = std::exchange(issuer.waiting, {});
  for (Waiting& w : waiting) {
    // Keys that we still have are good until their time is over, whatever the last attempt brought.
    if (keys.ok() || Fresh(issuer))
      w.done(Check(issuer, w.token));
    else
      w.done(Unavailable(issuer.config.issuer + ": " + keys.error().message()));
  }
}

Result<OnBehalfOf> UserTokenVerifier::Check(const Issuer& issuer, const std::string& token) const {
  ASSIGN_OR_RETURN(const crypto::RawJwt raw, crypto::RawJwt::Parse(token));
  const std::string& type = raw.type();
  if (!type.empty() && type != "JWT" && type != "at+jwt")
    return BadUserToken("\"typ\" is not one of a token for users");
  auto verified = crypto::VerifyJwt(raw, issuer.keys, crypto::AllAlgorithms());
  if (!verified.ok()) return BadUserToken(verified.error().message());
  ASSIGN_OR_RETURN(const wire::Json claims, ParseClaims(verified->payload()));
  if (claims.FindString("iss") != issuer.config.issuer) return BadUserToken("another issuer");
  if (!HasAudience(claims, issuer.config.audience))
    return BadUserToken("it is for another audience than " + issuer.config.audience);
  RETURN_IF_ERROR(CheckTimes(claims, clock_.Wall(), kLeeway));
  const std::string subject(claims.FindString("sub").value_or(std::string_view()));
  if (subject.empty() || subject.size() > kMaxSubjectBytes) return BadUserToken("\"sub\" is missing or too long");
  return OnBehalfOf{subject, issuer.config.issuer, wire::ToJson(claims)};
}

}  // namespace hexr::identity
