#include "gateway/instance.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/limits/gateway.h"
#include "base/log.h"
#include "gateway/egress/http_door.h"
#include "gateway/egress/http_request.h"
#include "gateway/egress/tcp_door.h"
#include "gateway/egress/tls_door.h"

namespace hexr::gateway {

Result<ListenerKind> ParseListenerKind(std::string_view text) {
  if (text == "proxy") return ListenerKind::kProxy;
  if (text == "capture") return ListenerKind::kCapture;
  if (text == "dns_udp") return ListenerKind::kDnsUdp;
  if (text == "dns_tcp") return ListenerKind::kDnsTcp;
  return InvalidArgument("unknown kind of listener");
}

Instance::Instance(Shared& shared, InstanceFacts facts)
    : shared_(shared),
      facts_(std::make_shared<const InstanceFacts>(std::move(facts))),
      names_(facts_->id),
      dns_(*this),
      self_(std::make_shared<Instance*>(this)) {}

Instance::~Instance() { CloseAll("ended"); }

Status Instance::Serve(ListenerKind kind, uint16_t port, runtime::UniqueFd socket) {
  if (kind == ListenerKind::kDnsUdp) {
    dns_udp_.push_back(std::make_unique<DnsUdpServer>(*this, dns_, std::move(socket)));
    return Ok();
  }
  auto listener = std::make_unique<Listener>(Listener{kind, port, nullptr});
  listener->socket = std::make_unique<net::Listener>(
      shared_.loop, std::move(socket), facts_->id.value(),
      [this, raw = listener.get()](runtime::UniqueFd accepted) { OnAccepted(*raw, std::move(accepted)); });
  listeners_.push_back(std::move(listener));
  return Ok();
}

void Instance::OnAccepted(const Listener& listener, runtime::UniqueFd socket) {
  const Result<Endpoint> agent = Endpoint::OfPeer(socket.get());
  const Result<Endpoint> destination = Endpoint::OfSocket(socket.get());
  if (!agent.ok() || !destination.ok()) return;  // gone already
  ++shared_.metrics.connections_accepted;
  if (connections_.size() >= limits::kMaxConnectionsPerInstance)
    return Refuse(listener, std::move(socket), *destination);
  net::SendAtOnce(socket.get());
  auto lookup = std::make_shared<ProcessLookup>();
  // Asked before the first byte is read: once the agent has closed, nobody owns the socket.
  shared_.owners.Find(facts_->id, *agent, *destination, lookup);
  auto connection = Open(listener, {std::move(socket), *agent, *destination, std::move(lookup)});
  Connection* key = connection.get();
  connections_.emplace(key, std::move(connection));
  ++shared_.metrics.connections_open;
}

// Over the bound: an HTTP client is told, others are reset. Nothing is kept for it, so nothing waits for it either.
void Instance::Refuse(const Listener& listener, runtime::UniqueFd socket, const Endpoint& destination) {
  Door door = Door::kCapturedTcp;
  if (SpeaksHttp(listener))
    door = listener.kind == ListenerKind::kProxy ? Door::kProxyHttp : Door::kCapturedHttp;
  else if (listener.kind == ListenerKind::kDnsTcp)
    door = Door::kDns;
  else if (listener.port == 443)
    door = Door::kCapturedTls;
  const Denial denial{DenialKind::kLimit, "connections", "this agent has too many connections open; close some first"};
  const bool captured = listener.kind == ListenerKind::kCapture;
  auto call =
      MakeCall(*this, door, captured ? CapturedDestination(names_, destination, std::nullopt) : Nowhere(), "", nullptr);
  shared_.metrics.Denied(denial.kind);
  RecordRefusal(*this, *call, denial);
  if (SpeaksHttp(listener)) {
    const std::string answer = HttpAnswer(*call->denial);
    if (send(socket.get(), answer.data(), answer.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(answer.size())) {
      shutdown(socket.get(), SHUT_WR);
      return;
    }
  }
  net::ResetOnClose(socket.get());
}

bool Instance::SpeaksHttp(const Listener& listener) {
  return listener.kind == ListenerKind::kProxy || (listener.kind == ListenerKind::kCapture && listener.port == 80);
}

std::unique_ptr<Connection> Instance::Open(const Listener& listener, Accepted accepted) {
  if (SpeaksHttp(listener)) {
    const auto kind =
        listener.kind == ListenerKind::kProxy ? HttpConnection::Kind::kProxy : HttpConnection::Kind::kCaptured;
    return std::make_unique<HttpConnection>(*this, std::move(accepted), kind);
  }
  if (listener.kind == ListenerKind::kDnsTcp)
    return std::make_unique<DnsTcpConnection>(*this, dns_, std::move(accepted));
  if (listener.port == 443) return std::make_unique<TlsConnection>(*this, std::move(accepted));
  return std::make_unique<TcpConnection>(*this, std::move(accepted));
}

void Instance::Quarantine(bool on) {
  quarantined_ = on;
  if (on) CloseAll("quarantined");
}

void Instance::CloseAll(ledger::Code how) {
  // First every socket, then the records: how fast an agent is cut off does not hang on the disk.
  auto closing = std::move(connections_);
  connections_.clear();
  shared_.metrics.connections_open -= closing.size();
  shared_.metrics.connections_revoked += closing.size();
  for (auto& [key, connection] : closing) connection->Cut();
  for (auto& [key, connection] : closing) connection->Report(how);
  for (auto& [key, connection] : closing) dead_.push_back(std::move(connection));
  BuryLater();
}

void Instance::Drain() {
  listeners_.clear();
  dns_udp_.clear();
  std::vector<Connection*> idle;
  for (const auto& [key, connection] : connections_) {
    if (connection->idle()) idle.push_back(key);
  }
  for (Connection* c : idle) {
    c->Cut();
    c->Report("drained");
    Ended(*c);
  }
}

void Instance::Ended(Connection& connection) {
  auto node = connections_.extract(&connection);
  if (node.empty()) return;
  --shared_.metrics.connections_open;
  dead_.push_back(std::move(node.mapped()));
  BuryLater();
}

void Instance::BuryLater() {
  shared_.loop.Post([weak = std::weak_ptr<Instance*>(self_)] {
    if (const auto self = weak.lock()) (*self)->dead_.clear();
  });
}

}  // namespace hexr::gateway
