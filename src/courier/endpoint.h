// Documents on one TLS listener: GET and HEAD of the paths that the keeper has published, and nothing else. Connections
// wait in the socket's queue until there is a certificate. Belongs to the loop.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "net/http_server.h"
#include "runtime/channel.h"
#include "wire/tls_session.h"

namespace hexr::courier {

inline constexpr char kPlainText[] = "text/plain; charset=utf-8";

// What every endpoint of the courier holds its clients to.
net::HttpServerOptions EndpointBounds();

class Endpoint {
 public:
  Endpoint(runtime::Loop& loop, runtime::UniqueFd socket) : loop_(loop), socket_(std::move(socket)) {}

  // In place of all that was shown before.
  void Show(const ::hexr::node::v1::Published& published);
  // From the next connection on. INVALID_ARGUMENT: the key is not the certificate's; what was there stays.
  Status UseCertificate(wire::TlsIdentity identity);
  bool serving() const { return server_ != nullptr; }

 private:
  struct Shown {
    std::string content_type;
    std::string body;
    uint32_t max_age_s = 0;
  };
  void Answer(const net::HttpRequest& request, net::HttpResponder& responder) const;

  runtime::Loop& loop_;
  runtime::UniqueFd socket_;  // until there is a server to take it
  std::map<std::string, Shown, std::less<>> documents_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace hexr::courier
