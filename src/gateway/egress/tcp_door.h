// A captured connection that is neither HTTP nor TLS by its port: decided by name or address, then relayed untouched.
#pragma once

#include "gateway/connection.h"
#include "gateway/egress/relay.h"

namespace hexr::gateway {

class TcpConnection final : public Connection {
 public:
  TcpConnection(ConnectionHost& host, Accepted accepted);
  void Cut() override;
  void Report(ledger::Code how) override;
  bool idle() const override { return false; }

 private:
  void Decided(std::shared_ptr<Call> call, std::optional<Admitted> admitted);
  void Connected(Result<Upstream> upstream, const Denial* denial);

  ConnectionHost& host_;
  Accepted accepted_;
  Pipeline::Ticket ticket_;
  std::unique_ptr<OpenCall> open_;
  std::unique_ptr<Relay> relay_;
};

// The word that the record uses for the end of a relay.
ledger::Code EndCode(Relay::End end);

}  // namespace hexr::gateway
