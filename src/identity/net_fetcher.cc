#include "identity/net_fetcher.h"

#include <fstream>
#include <sstream>
#include <utility>

namespace hexr::identity {

Result<net::FetchRequest> NetFetcher::Prepare(FetchRequest request) const {
  RETURN_IF_ERROR(CheckHttpsUrl(request.url));
  wire::TlsContext::Client tls;
  if (request.verify_server) {
    tls.verifier = [verify = std::move(request.verify_server)](const wire::TlsPeerChain& peer) {
      return verify(peer.der);
    };
  } else if (!request.ca_file.empty()) {
    const std::ifstream in(request.ca_file);
    if (!in) return NotFound("CA file " + request.ca_file);
    std::ostringstream pem;
    pem << in.rdbuf();
    tls.roots_pem = std::move(pem).str();
  }
  net::FetchRequest out;
  out.url = std::move(request.url);
  out.timeout = request.timeout;
  out.max_bytes = request.max_bytes;
  out.check_address = check_address_;
  if (tls.verifier || !tls.roots_pem.empty()) {
    ASSIGN_OR_RETURN(out.tls, wire::TlsContext::ForClient(std::move(tls)));
  }
  return out;
}

void NetFetcher::Fetch(FetchRequest request, UniqueFunction<void(Result<FetchResponse>)> done) {
  auto prepared = Prepare(std::move(request));
  if (!prepared.ok()) return done(std::move(prepared).error());
  const uint64_t id = next_++;
  auto finished = [this, id, done = std::move(done)](Result<net::FetchResponse> response) mutable {
    running_.erase(id);  // the operation keeps itself alive while it answers
    if (!response.ok()) return done(std::move(response).error());
    done(FetchResponse{response->status, std::move(response->body)});
  };
  running_.emplace(id, fetcher_.Fetch(std::move(*prepared), std::move(finished)));
}

}  // namespace hexr::identity
