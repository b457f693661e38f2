#include "courier/endpoint.h"

#include <algorithm>
#include <utility>

#include "base/limits/courier.h"

namespace hexr::courier {
net::HttpServerOptions EndpointBounds() {
  net::HttpServerOptions options;
  options.max_body_bytes = limits::kMaxEndpointRequestBytes;
  options.max_connections = limits::kMaxCourierConnections;
  options.max_connections_per_source = limits::kMaxCourierConnectionsPerSource;
  options.request_timeout = limits::kEndpointRequestTimeout;
  return options;
}

void Endpoint::Show(const ::hexr::node::v1::Published& published) {
  documents_.clear();
  for (const auto& d : published.documents()) documents_[d.path()] = {d.content_type(), d.body(), d.max_age_s()};
}

Status Endpoint::UseCertificate(wire::TlsIdentity identity) {
  if (identity.chain.empty() || !std::ranges::equal(identity.chain.front().spki(), identity.key.public_key().spki())) {
    return InvalidArgument("the key is not that of the certificate");
  }
  ASSIGN_OR_RETURN(auto tls, wire::TlsContext::ForServer(
                                 {std::move(identity), {"http/1.1"}, wire::TlsClientCertificate::kNone, {}}));
  if (server_) {
    server_->UseTls(std::move(tls));
    return Ok();
  }
  net::HttpServerOptions options = EndpointBounds();
  options.tls = std::move(tls);
  server_ = std::make_unique<net::HttpServer>(
      loop_, std::move(socket_),
      [this](net::HttpRequest request, std::shared_ptr<net::HttpResponder> responder) { Answer(request, *responder); },
      std::move(options));
  return Ok();
}

void Endpoint::Answer(const net::HttpRequest& request, net::HttpResponder& responder) const {
  if (request.head.method != "GET" && request.head.method != "HEAD") {
    return responder.Send(405, {{"Allow", "GET, HEAD"}, {"Content-Type", kPlainText}}, "only GET and HEAD\n");
  }
  const auto it = documents_.find(request.head.target);
  if (it == documents_.end()) return responder.Send(404, {{"Content-Type", kPlainText}}, "not found\n");
  const Shown& shown = it->second;
  responder.Send(200,
                 {{"Content-Type", shown.content_type},
                  {"Cache-Control", "public, max-age=" + std::to_string(shown.max_age_s)},
                  {"X-Content-Type-Options", "nosniff"}},
                 shown.body);
}

}  // namespace hexr::courier
