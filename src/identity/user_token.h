// The user that an agent acts for: an OpenID Connect token, believed only from issuers that the node's configuration
// names. Belongs to one loop.
//
// Keys come from the issuer itself (OpenID Connect Discovery 1.0), are kept for a quarter of an hour, and are asked for
// again when a token names an unknown one, but not more often than every half minute: nobody makes us hammer an issuer.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "crypto/jwk.h"
#include "identity/fetcher.h"
#include "identity/types.h"

namespace hexr::identity {

struct TokenIssuer {
  std::string issuer;  // exactly what "iss" has to say
  std::string audience;
  std::string ca_file;
};

class UserTokenVerifier {
 public:
  using Done = UniqueFunction<void(Result<OnBehalfOf>)>;

  // INVALID_ARGUMENT: an issuer that is no https URL, twice the same, or without an audience.
  static Result<std::unique_ptr<UserTokenVerifier>> Create(std::vector<TokenIssuer> issuers, const Clock& clock,
                                                           Fetcher& fetcher);

  // `done` runs once: at once when the keys are known, else when they have come. UNAUTHENTICATED: everything that is
  // wrong with the token, also an issuer that is not configured (which causes no request). UNAVAILABLE: its keys cannot
  // be had. RESOURCE_EXHAUSTED: too many are waiting, or too many of `user`, whose launch it came with.
  void Verify(std::string token, uint32_t user, Done done);

 private:
  struct Waiting {
    std::string token;
    uint32_t user;
    Done done;
  };
  struct Issuer {
    TokenIssuer config;
    std::vector<crypto::Jwk> keys;
    bool known = false;
    MonoTime fetched{};
    MonoTime asked{};
    bool ever_asked = false;
    bool asking = false;
    std::vector<Waiting> waiting;
  };

  UserTokenVerifier(const Clock& clock, Fetcher& fetcher)
      : clock_(clock), fetcher_(fetcher), self_(std::make_shared<UserTokenVerifier*>(this)) {}
  void AskDiscovery(Issuer& issuer);
  void AskKeys(const std::string& name, Result<FetchResponse> discovery);
  void TakeKeys(const std::string& name, Result<FetchResponse> response);
  void Settle(Issuer& issuer, const Status& keys);
  bool Fresh(const Issuer& issuer) const;
  Result<OnBehalfOf> Check(const Issuer& issuer, const std::string& token) const;

  const Clock& clock_;
  Fetcher& fetcher_;
  std::map<std::string, Issuer, std::less<>> issuers_;
  std::shared_ptr<UserTokenVerifier*> self_;  // what answers hold weakly
};

}  // namespace hexr::identity
