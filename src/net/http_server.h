// An HTTP/1.1 server on the loop, with or without TLS, for endpoints of our own: whole requests in, answers out, now or
// later, whole or as a stream. Belongs to the loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "base/limits/net.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "net/listener.h"
#include "runtime/loop.h"
#include "wire/http1.h"
#include "wire/tls_session.h"

namespace hexr::net {

struct HttpRequest {
  wire::Http1Request head;
  std::string body;
  // What the client proved by TLS; empty without a client certificate.
  wire::TlsPeerChain peer;
};

// The way back. Held by the handler for as long as it likes; does nothing once the connection is gone. Every request is
// answered: a responder that is dropped unused says 500, one that is dropped inside a stream cuts the connection.
class HttpResponder {
 public:
  ~HttpResponder();
  // A whole answer. Content-Length is written here.
  void Send(int status, std::vector<wire::HttpField> fields, std::string_view body);
  // An answer in pieces: Begin, any number of Write, End.
  void Begin(int status, std::vector<wire::HttpField> fields);
  void Write(std::string_view piece);
  void End();
  bool open() const { return connection_ != nullptr; }
  // The client takes pieces slower than they are written: stop for a while.
  bool congested() const;

 private:
  friend class HttpServer;
  class HttpServerConnection* connection_ = nullptr;
  bool begun_ = false;
};

using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<HttpResponder> responder)>;

struct HttpServerOptions {
  std::shared_ptr<const wire::TlsContext> tls;  // null: none
  size_t max_body_bytes = limits::kMaxHttpRequestBytes;
  size_t max_unsent_bytes = limits::kMaxHttpUnsentBytes;  // of one connection: more than that ends it
  // When they are all there, the one that has waited longest for its client gives way.
  size_t max_connections = limits::kMaxHttpConnections;
  size_t max_connections_per_source = limits::kMaxHttpConnectionsPerSource;  // an IPv4 address, or an IPv6 /64
  size_t max_requests = limits::kMaxHttpRequestsPerConnection;               // of one connection; then it is closed
  std::chrono::milliseconds max_age = limits::kMaxHttpConnectionAge;         // likewise, with its next answer
  // From the first byte that is awaited to the last of the request: slow senders and idle connections end here.
  std::chrono::milliseconds request_timeout = std::chrono::seconds(30);
};

// Whom a connection is counted for: one site may have a whole IPv6 /64 to itself.
std::string SourceOf(const IpAddress& peer);

class HttpServer {
 public:
  // `handler` is called once per complete request, one at a time per connection.
  HttpServer(runtime::Loop& loop, runtime::UniqueFd listener, HttpHandler handler, HttpServerOptions options = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // For connections accepted from now on: a certificate that was renewed.
  void UseTls(std::shared_ptr<const wire::TlsContext> tls) { options_.tls = std::move(tls); }
  size_t connections() const { return connections_.size(); }

 private:
  friend class HttpServerConnection;
  void Accepted(runtime::UniqueFd socket);
  // Ends the connection of `source` (of any, where it is null) that has waited longest for its client.
  bool MakeRoom(const std::string* source);
  void Forget(HttpServerConnection& connection);
  static void Attach(HttpResponder& responder, HttpServerConnection* connection) { responder.connection_ = connection; }

  runtime::Loop& loop_;
  HttpHandler handler_;
  HttpServerOptions options_;
  std::map<HttpServerConnection*, std::unique_ptr<HttpServerConnection>> connections_;
  std::map<std::string, size_t> sources_;  // how many of them each has
  uint64_t waits_ = 0;                     // counts: who began to wait before whom
  std::unique_ptr<Listener> listener_;
};

}  // namespace hexr::net
