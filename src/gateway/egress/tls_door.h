// A captured connection to port 443: the ClientHello names the host, which has to agree with where the connection goes;
// then the bytes are relayed untouched. Belongs to the loop's thread.
#pragma once

#include "gateway/connection.h"
#include "gateway/egress/relay.h"
#include "gateway/egress/tls_peek.h"

namespace hexr::gateway {

class TlsConnection final : public Connection {
 public:
  TlsConnection(ConnectionHost& host, Accepted accepted);
  void Cut() override;
  void Report(ledger::Code how) override;
  bool idle() const override { return !relay_ && !open_; }

 private:
  void Peeked(TlsPeek::Outcome outcome);
  void Decided(std::shared_ptr<Call> call, std::optional<Admitted> admitted);
  void Connected(Result<Upstream> upstream, const Denial* denial);

  ConnectionHost& host_;
  Accepted accepted_;  // its socket is in use by the peek or the relay meanwhile
  std::string hello_bytes_;
  std::unique_ptr<TlsPeek> peek_;
  Pipeline::Ticket ticket_;
  std::unique_ptr<OpenCall> open_;
  std::unique_ptr<Relay> relay_;
};

}  // namespace hexr::gateway
