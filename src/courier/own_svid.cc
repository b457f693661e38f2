#include "courier/own_svid.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"

namespace hexr::courier {
namespace {

constexpr std::chrono::milliseconds kFirstBackoff{500};
constexpr std::chrono::milliseconds kLongestBackoff{30'000};

}  // namespace

void OwnSvid::Renew() {
  if (std::exchange(asking_, true)) return;
  timer_.Cancel();
  auto key = std::make_shared<crypto::PrivateKey>(crypto::PrivateKey::Generate(crypto::KeyType::kP256));
  runtime::Envelope e;
  e.mutable_issue_endpoint_svid()->set_spki_der(std::string(AsText(key->public_key().spki())));
  ask_(std::move(e), [this, key](Result<runtime::Message> reply) {
    asking_ = false;
    const auto not_after = Take(*key, reply);
    if (not_after.ok()) {
      backoff_ = {};
      const auto half = (*not_after - clock_.Wall()) / 2;
      timer_ = loop_.After(std::max<std::chrono::nanoseconds>(half, std::chrono::seconds(1)), [this] { Renew(); });
      return;
    }
    Log(LogLevel::kWarn, "courier.no_svid", {{"error", not_after.error()}});
    backoff_ = std::clamp(2 * backoff_, kFirstBackoff, kLongestBackoff);
    timer_ = loop_.After(backoff_, [this] { Renew(); });
  });
}

Result<WallTime> OwnSvid::Take(crypto::PrivateKey key, const Result<runtime::Message>& reply) {
  if (!reply.ok()) return reply.error();
  if (!reply->body.has_svid()) return InvalidArgument("not an answer to IssueEndpointSvid");
  std::vector<crypto::Certificate> chain;
  for (const std::string& der : reply->body.svid().chain_der()) {
    ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::Parse(AsBytes(der)));
    chain.push_back(std::move(certificate));
  }
  if (chain.empty()) return InvalidArgument("an SVID without certificate");
  const WallTime not_after = chain.front().not_after();
  RETURN_IF_ERROR(take_({std::move(chain), std::move(key)}));
  return not_after;
}

}  // namespace hexr::courier
