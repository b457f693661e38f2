// gRPC on a Unix socket whose every request carries the kernel's word on which process wrote it.
//
// With SO_PASSCRED and SO_PASSPIDFD each recvmsg names the writer of exactly those bytes, and the kernel never joins
// bytes of two writers in one. Equal writers of a connection share a tag; the tag and its pidfd live as long as the
// connection. Belongs to the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/limits/identity.h"
#include "base/log.h"
#include "base/result.h"
#include "net/listener.h"
#include "net/unix_peer.h"
#include "runtime/loop.h"
#include "wire/grpc_server.h"

namespace hexr::net {

// What the kernel said about a writer.
struct WriterEvidence {
  int64_t pid = 0;  // in our PID namespace; 0: not visible from here
  uint32_t uid = 0;
  uint32_t gid = 0;
  int pidfd = -1;  // borrowed: valid while the connection is; -1 on kernels before 6.5
};

struct GrpcUnixServerOptions {
  wire::GrpcOptions grpc;
  bool use_pidfd = true;  // false: as on kernels without SO_PASSPIDFD, for tests
  size_t max_connections = limits::kMaxApiConnections;
  // Whom a connection counts for: an agent with all its processes. Empty: its user. An error closes it: who cannot be
  // told apart from an agent must not have a user's share.
  std::function<Result<std::string>(const PeerEvidence& connector)> owner = {};
  size_t max_connections_per_owner = limits::kMaxApiConnectionsPerInstance;
  // What follows is for connections that no owner has. All of them, so that there is always room for owners:
  size_t max_connections_outside = limits::kMaxApiConnectionsOutside;
  size_t max_connections_per_user = limits::kMaxApiConnectionsPerUser;
  // Where there is `owner`: those that are not known (Known). They last for idle_timeout, calls or not.
  size_t max_connections_unknown = limits::kMaxApiConnectionsUnknown;
  size_t max_connections_unknown_per_user = limits::kMaxApiConnectionsUnknownPerUser;
  std::chrono::milliseconds idle_timeout = std::chrono::minutes(10);  // of a connection without calls
  // Protocol tests that need TCP: requests have no evidence then.
  bool insecure_tcp_for_tests = false;
};

class GrpcUnixServer {
 public:
  // `listener` is bound and listening, non-blocking. `router` and `clock` outlive the server. CHECK-fails for a socket
  // of another kind: a server that cannot say who asks must not start.
  GrpcUnixServer(runtime::Loop& loop, const Clock& clock, runtime::UniqueFd listener, const wire::GrpcRouter& router,
                 GrpcUnixServerOptions options = {});
  ~GrpcUnixServer();
  GrpcUnixServer(const GrpcUnixServer&) = delete;
  GrpcUnixServer& operator=(const GrpcUnixServer&) = delete;

  // NOT_FOUND once the writer's connection is gone.
  Result<WriterEvidence> EvidenceOf(wire::WriterTag writer) const;
  // This writer has shown that it is somebody: its connection lasts for as long as it has calls.
  void Known(wire::WriterTag writer);
  // Accepts nothing more, lets calls finish, says so to the clients.
  void Drain();
  size_t connections() const { return connections_.size(); }

 private:
  class Connection;

  void Accepted(runtime::UniqueFd socket);
  void Remove(Connection* connection);
  void NoteTooMany(std::initializer_list<LogField> who);
  void Sweep();
  PeerTier BestTier() const;

  runtime::Loop& loop_;
  const Clock& clock_;
  const wire::GrpcRouter& router_;
  GrpcUnixServerOptions options_;
  bool tcp_ = false;
  uint64_t next_tag_ = 1;
  std::map<Connection*, std::unique_ptr<Connection>> connections_;
  std::map<wire::WriterTag, Connection*> writers_;
  struct Count {
    size_t all = 0;
    size_t unknown = 0;  // among them
  };
  void Uncount(const Connection& connection);
  Count outside_;                       // connections without an owner
  std::map<uint32_t, Count> per_user_;  // the same by user
  std::map<std::string, size_t> per_owner_;
  std::optional<MonoTime> noted_;  // when the log last heard of too many connections
  runtime::Timer sweep_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace hexr::net
