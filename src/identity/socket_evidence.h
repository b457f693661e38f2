// Evidence from the node's API socket. Belongs to the socket's loop.
#pragma once

#include "identity/core.h"
#include "net/grpc_unix_server.h"

namespace hexr::identity {

// Whom a connection to it counts for: the instance that its connector is a part of, as Core::InstanceOf; empty: none.
Result<std::string> OwnerOf(Core& core, const net::PeerEvidence& connector);

// The services need evidence before there is a server: the router they are added to is what the server is made with.
class SocketEvidence final : public EvidenceSource {
 public:
  // `server` outlives every request.
  void Bind(const net::GrpcUnixServer& server) { server_ = &server; }
  // UNAVAILABLE before Bind. The pidfd is a duplicate: it outlives the connection.
  Result<ProcessEvidence> EvidenceOf(wire::WriterTag writer) const override;

 private:
  const net::GrpcUnixServer* server_ = nullptr;
};

}  // namespace hexr::identity
