#include "courier/fetches.h"

#include <algorithm>
#include <utility>

#include "crypto/svid.h"

namespace hexr::courier {

using runtime::Channel;
using runtime::Envelope;

namespace {

// The server shows an X509-SVID of one ID, by the authorities of its trust domain alone. The keeper looks at the chain
// again; here it decides whether anything is sent at all.
Result<wire::TlsVerifier> ExpectSvid(const ::hexr::node::v1::Fetch& ask, const Clock& clock,
                                     std::shared_ptr<std::vector<Bytes>> shown) {
  ASSIGN_OR_RETURN(SpiffeId id, SpiffeId::Parse(ask.server_id()));
  std::vector<crypto::Certificate> authorities;
  for (const std::string& der : ask.server_authorities_der()) {
    ASSIGN_OR_RETURN(crypto::Certificate authority, crypto::Certificate::Parse(AsBytes(der)));
    authorities.push_back(std::move(authority));
  }
  ASSIGN_OR_RETURN(crypto::X509Bundle bundle, crypto::X509Bundle::Create(id.trust_domain(), std::move(authorities)));
  auto bundles = std::make_shared<crypto::X509BundleSet>();
  bundles->Set(std::move(bundle));
  return wire::TlsVerifier(
      [id = std::move(id), bundles, &clock, shown = std::move(shown)](const wire::TlsPeerChain& peer) -> Status {
        std::vector<crypto::Certificate> chain;
        for (const Bytes& der : peer.der) {
          ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::Parse(der));
          chain.push_back(std::move(certificate));
        }
        ASSIGN_OR_RETURN(const crypto::VerifiedSvid svid, crypto::VerifySvid(chain, *bundles, clock.Wall()));
        if (svid.id() != id) return Unauthenticated("the server is " + svid.id().ToString() + ", not " + id.ToString());
        *shown = peer.der;
        return Ok();
      });
}

}  // namespace

Result<net::FetchRequest> PrepareFetch(const ::hexr::node::v1::Fetch& ask, const Clock& clock,
                                       const CheckAddress& check_address, std::shared_ptr<std::vector<Bytes>> chain) {
  net::FetchRequest out;
  out.url = ask.url();
  if (!ask.body().empty()) {
    out.method = "POST";
    out.body = ask.body();
  }
  out.allow_http = ask.allow_http();
  out.timeout = std::min(std::chrono::milliseconds(ask.timeout_ms()), limits::kMaxFetchTime);
  out.max_bytes = std::min<size_t>(ask.max_bytes(), limits::kMaxFetchBytes);
  out.check_address = [check = check_address, named = ask.named_by_operator()](ByteView address) {
    return check(address, named);
  };
  wire::TlsContext::Client tls;
  if (!ask.server_id().empty()) {
    ASSIGN_OR_RETURN(tls.verifier, ExpectSvid(ask, clock, std::move(chain)));
  }
  tls.roots_pem = ask.roots_pem();
  if (tls.verifier || !tls.roots_pem.empty()) {
    ASSIGN_OR_RETURN(out.tls, wire::TlsContext::ForClient(std::move(tls)));
  }
  return out;
}

Fetches::Fetches(runtime::Loop& loop, const Clock& clock, CheckAddress check_address)
    : clock_(clock), check_address_(std::move(check_address)), resolver_(loop), fetcher_(loop, resolver_) {}

void Fetches::Serve(const ::hexr::node::v1::Fetch& ask, Channel::Reply reply) {
  if (running_.size() >= limits::kMaxCourierFetches) return reply.Fail(ResourceExhausted("too many requests are out"));
  const auto chain = std::make_shared<std::vector<Bytes>>();
  auto prepared = PrepareFetch(ask, clock_, check_address_, chain);
  if (!prepared.ok()) return reply.Fail(prepared.error());
  const uint64_t id = next_++;
  auto done = [this, id, chain, reply = std::move(reply)](Result<net::FetchResponse> response) mutable {
    running_.erase(id);  // the operation keeps itself alive while it answers
    if (!response.ok()) return reply.Fail(response.error());
    Envelope e;
    auto& fetched = *e.mutable_fetched();
    fetched.set_status(response->status);
    fetched.set_body(std::move(response->body));
    for (const Bytes& der : *chain) fetched.add_server_chain_der(der.data(), der.size());
    reply.Send(std::move(e));
  };
  running_.emplace(id, fetcher_.Fetch(std::move(*prepared), std::move(done)));
}

}  // namespace hexr::courier
