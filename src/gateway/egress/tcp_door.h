// Captured connections whose bytes are not ours to read: decided by where they go, then relayed untouched. Belongs to
// the loop's thread.
#pragma once

#include "gateway/connection.h"
#include "gateway/egress/relay.h"

namespace hexr::gateway {

// What every such connection does once its call is known.
class RelayedConnection : public Connection {
 public:
  void Cut() override;
  void Report(ledger::Code how) override;

 protected:
  RelayedConnection(ConnectionHost& host, Accepted accepted) : host_(host), accepted_(std::move(accepted)) {}
  // Takes the call through the pipeline, then relays; `first` was read from the agent before.
  void Ask(std::shared_ptr<Call> call, std::string first);
  bool asked() const { return ticket_ || open_; }
  // Tells the agent, and closes.
  virtual void Refuse(runtime::UniqueFd agent, const Denial& denial) = 0;

  ConnectionHost& host_;
  Accepted accepted_;  // its socket is in use elsewhere meanwhile

 private:
  void Decided(std::shared_ptr<Call> call, std::optional<Admitted> admitted);
  void Connected(Result<Upstream> upstream, const Denial* denial);
  void End(ledger::Code how, const Denial& denial);

  std::string first_;
  Pipeline::Ticket ticket_;
  std::unique_ptr<OpenCall> open_;
  std::unique_ptr<Relay> relay_;
};

// Neither HTTP nor TLS by its port: decided by name or address. Who is refused is reset.
class TcpConnection final : public RelayedConnection {
 public:
  TcpConnection(ConnectionHost& host, Accepted accepted);
  bool idle() const override { return false; }

 private:
  void Refuse(runtime::UniqueFd agent, const Denial&) override { net::ResetOnClose(agent.get()); }
};

// The word that the record uses for the end of a relay.
ledger::Code EndCode(Relay::End end);

}  // namespace hexr::gateway
