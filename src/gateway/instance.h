// One live instance as the gateway sees it: its listeners, its connections, its names. A connection that a listener of
// an instance accepts is that instance's, whatever it says. Belongs to the loop's thread.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/connection.h"
#include "gateway/egress/dns_door.h"
#include "net/listener.h"

namespace hexr::gateway {

enum class ListenerKind : uint8_t { kProxy, kCapture, kDnsUdp, kDnsTcp };
// "proxy", "capture", "dns_udp", "dns_tcp" (node.proto, Listener.kind).
Result<ListenerKind> ParseListenerKind(std::string_view text);

class Instance final : public ConnectionHost {
 public:
  Instance(Shared& shared, InstanceFacts facts);
  ~Instance() override;

  // Serves `socket`, a listening (TCP) or bound (UDP) socket inside the instance's network namespace, from now on.
  Status Serve(ListenerKind kind, uint16_t port, runtime::UniqueFd socket);

  // Quarantined: every connection is closed at once, new ones are refused with the reason, DNS answers nothing.
  void Quarantine(bool on);
  bool quarantined() const { return quarantined_; }
  // Closes every connection now. `how` goes into their records.
  void CloseAll(ledger::Code how);
  // Stops accepting and closes connections that wait for a request; the others may end by themselves.
  void Drain();
  size_t connections() const { return connections_.size(); }

  Shared& shared() override { return shared_; }
  const std::shared_ptr<const InstanceFacts>& facts() const override { return facts_; }
  SyntheticNames& names() override { return names_; }
  const std::shared_ptr<CallCounts>& counts() override { return counts_; }
  void Ended(Connection& connection) override;

 private:
  struct Listener {
    ListenerKind kind;
    uint16_t port;
    std::unique_ptr<net::Listener> socket;
  };

  void OnAccepted(const Listener& listener, runtime::UniqueFd socket);
  std::unique_ptr<Connection> Open(const Listener& listener, Accepted accepted);
  void Refuse(const Listener& listener, runtime::UniqueFd socket, const Endpoint& destination);
  static bool SpeaksHttp(const Listener& listener);
  void BuryLater();

  Shared& shared_;
  std::shared_ptr<const InstanceFacts> facts_;
  const std::shared_ptr<CallCounts> counts_ = std::make_shared<CallCounts>();
  SyntheticNames names_;
  DnsResponder dns_;
  std::vector<std::unique_ptr<DnsUdpServer>> dns_udp_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> dead_;
  bool quarantined_ = false;
  std::shared_ptr<Instance*> self_;
};

}  // namespace hexr::gateway
