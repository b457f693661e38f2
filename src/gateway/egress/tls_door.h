// A captured connection to port 443: the ClientHello names the host, which has to agree with where the connection goes;
// then the bytes are relayed untouched. Belongs to the loop's thread.
#pragma once

#include "gateway/egress/tcp_door.h"
#include "gateway/egress/tls_peek.h"

namespace hexr::gateway {

class TlsConnection final : public RelayedConnection {
 public:
  TlsConnection(ConnectionHost& host, Accepted accepted);
  void Cut() override;
  bool idle() const override { return !asked(); }

 private:
  void Peeked(TlsPeek::Outcome outcome);
  void Refuse(runtime::UniqueFd agent, const Denial& denial) override { SendTlsAlert(std::move(agent), denial); }

  std::unique_ptr<TlsPeek> peek_;
};

}  // namespace hexr::gateway
