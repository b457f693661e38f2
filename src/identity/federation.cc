#include "identity/federation.h"

#include <algorithm>

#include "base/https_url.h"
#include "base/log.h"

namespace hexr::identity {
namespace {

using std::chrono::seconds;
constexpr seconds kFirstRetry{5};
constexpr int kOk = 200;

}  // namespace

Status Federation::Add(FederationPeer peer) {
  const TrustDomain td = peer.trust_domain;
  const std::string where = "federation with " + td.name() + ": ";
  if (td == bundles_.own().trust_domain) return InvalidArgument(where + "that is our own trust domain");
  if (peers_.contains(td)) return AlreadyExists(where + "configured twice");
  const Status url = CheckHttpsUrl(peer.url);
  if (!url.ok()) return url.error().WithContext(where);
  if (peer.bootstrap.has_value() && peer.bootstrap->trust_domain != td) {
    return InvalidArgument(where + "the bootstrap bundle is of another trust domain");
  }
  // What was fetched in an earlier life is later than what the operator once wrote down.
  const TrustBundle* known = bundles_.Find(td);
  const bool use_bootstrap = known == nullptr && peer.bootstrap.has_value();
  if (peer.endpoint_id.has_value()) {
    if (!peer.endpoint_id->has_path()) return InvalidArgument(where + "the endpoint's SPIFFE ID has no path");
    const TrustBundle* first = use_bootstrap ? &*peer.bootstrap : known;
    if (peer.endpoint_id->trust_domain() == td && (first == nullptr || first->x509_authorities.empty())) {
      return InvalidArgument(where + "a server that shows an SVID of its own domain needs a bootstrap bundle");
    }
  }
  if (use_bootstrap) RETURN_IF_ERROR(bundles_.SetFederated(*peer.bootstrap));
  peers_.emplace(td, Peer{std::move(peer), {td, {}, "", kDefaultRefreshHint}, clock_.Mono()});
  return Ok();
}

void Federation::Tick() {
  const MonoTime now = clock_.Mono();
  for (auto& [td, peer] : peers_) {
    if (!peer.asking && peer.due <= now) Ask(peer);
  }
}

void Federation::Ask(Peer& peer) {
  peer.asking = true;
  FetchRequest request{.url = peer.config.url, .ca_file = peer.config.ca_file};
  if (peer.config.endpoint_id.has_value()) {
    request.server = SpiffeServer{*peer.config.endpoint_id, {}};
    if (const TrustBundle* bundle = bundles_.Find(peer.config.endpoint_id->trust_domain())) {
      for (const crypto::Certificate& authority : bundle->x509_authorities) {
        request.server->authorities.emplace_back(authority.der().begin(), authority.der().end());
      }
    }
  }
  auto done = [weak = std::weak_ptr<Federation*>(self_),
               td = peer.config.trust_domain](Result<FetchResponse> response) {
    if (const auto self = weak.lock()) (*self)->Done(td, std::move(response));
  };
  fetcher_.Fetch(std::move(request), std::move(done));
}

Status Federation::VerifyServer(const SpiffeId& expected, const std::vector<Bytes>& chain) const {
  std::vector<crypto::Certificate> certificates;
  for (const Bytes& der : chain) {
    ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::Parse(der));
    certificates.push_back(std::move(certificate));
  }
  ASSIGN_OR_RETURN(const crypto::VerifiedSvid svid, crypto::VerifySvid(certificates, bundles_.x509(), clock_.Wall()));
  if (svid.id() != expected)
    return Unauthenticated("the bundle endpoint is " + svid.id().ToString() + ", not " + expected.ToString());
  return Ok();
}

Status Federation::Take(const Peer& peer, const Result<FetchResponse>& response, seconds& refresh_hint) {
  if (!response.ok()) return response.error();
  // Checked here whatever the carrier checked, and by the latest bundle: that may be a newer one than went with the
  // question.
  if (peer.config.endpoint_id) RETURN_IF_ERROR(VerifyServer(*peer.config.endpoint_id, response->server_chain));
  if (response->status != kOk) return Unavailable("HTTP status " + std::to_string(response->status));
  ASSIGN_OR_RETURN(TrustBundle bundle, TrustBundle::Parse(peer.config.trust_domain, response->body));
  refresh_hint = bundle.refresh_hint;
  return bundles_.SetFederated(std::move(bundle));
}

void Federation::Done(const TrustDomain& td, Result<FetchResponse> response) {
  const auto it = peers_.find(td);
  if (it == peers_.end()) return;
  Peer& peer = it->second;
  peer.asking = false;
  const Status taken = Take(peer, response, peer.state.refresh_hint);
  if (taken.ok()) {
    peer.failures = 0;
    peer.state.last_success = clock_.Wall();
    peer.state.last_error.clear();
    peer.due = clock_.Mono() + peer.state.refresh_hint;
    return;
  }
  peer.state.last_error = taken.error().ToString();
  Log(LogLevel::kWarn, "federation.failed", {{"trust_domain", td.name()}, {"error", taken.error()}});
  const seconds wait = kFirstRetry * (1 << std::min(peer.failures++, 10));
  peer.due = clock_.Mono() + std::min(wait, peer.state.refresh_hint);
}

std::vector<FederationState> Federation::States() const {
  std::vector<FederationState> out;
  for (const auto& [td, peer] : peers_) {
    out.push_back(peer.state);
    if (!peer.asking) {
      const auto wait = std::max<std::chrono::nanoseconds>(peer.due - clock_.Mono(), seconds(0));
      out.back().next = clock_.Wall() + std::chrono::duration_cast<WallTime::duration>(wait);
    }
  }
  return out;
}

}  // namespace hexr::identity
