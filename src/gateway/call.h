// One thing an agent wants to do, as the steps of the pipeline see it and fill it in. Belongs to the loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/host.h"
#include "base/spiffe_id.h"
#include "gateway/attribution.h"
#include "gateway/decision.h"
#include "gateway/denial.h"
#include "identity/types.h"
#include "ledger/types.h"

namespace hexr::gateway {

// For whom an instance acts, and what its records commit to: one text each for the instance's life, so that its records
// name the same digests and the texts are kept once.
struct ActsFor {
  identity::OnBehalfOf user;
  ledger::SaltedText subject;
  ledger::SaltedText issuer;
  ActsFor(identity::OnBehalfOf u, Random& random)
      : user(std::move(u)), subject(user.subject, random), issuer(user.issuer, random) {}
};

// What the spawner and the keeper say of an instance when it starts. Nothing here comes from the agent.
struct InstanceFacts {
  InstanceId id;
  IdSegment tenant;
  IdSegment agent;
  IdSegment role;
  SpiffeId spiffe_id;
  std::vector<SpiffeId> lineage = {};  // root first
  std::vector<InstanceId> shares = {};
  std::optional<ActsFor> on_behalf_of = {};
};

// What an instance has asked for so far: every call that was decided, and those of them that were refused.
struct CallCounts {
  uint64_t calls = 0;
  uint64_t denials = 0;
};

// By which listener, and in which form, a call came.
enum class Door : uint8_t {
  kConnect,       // HTTP proxy, CONNECT
  kProxyHttp,     // HTTP proxy, absolute form
  kCapturedHttp,  // captured port 80
  kCapturedTls,   // captured port 443
  kCapturedTcp,   // another captured port
  kDns,
};

// What kind of thing is asked for (docs/policy/input.md: `service`).
enum class Service : uint8_t { kEgress, kDns };

// The destination of a call that has not come as far as naming one; left out of its record.
inline HostPort Nowhere() { return {IpAddress::FromBytes(std::array<uint8_t, 4>{}).value(), 0}; }

struct Call {
  std::string id;  // decision_id: names this call in answers, records and logs
  std::shared_ptr<const InstanceFacts> instance;
  std::shared_ptr<CallCounts> counts;      // of the instance; null: nobody counts
  std::shared_ptr<ProcessLookup> process;  // null where no connection is behind the call (DNS over UDP)

  // Asked for, by the agent.
  Door door = Door::kConnect;
  HostPort destination;
  std::string action;           // CONNECT, GET, …; A or AAAA for DNS
  std::string target;           // path and query; recorded as a salted digest only
  std::optional<HostName> sni;  // what the ClientHello names
  bool ech = false;             // the ClientHello carries an encrypted inner one

  std::optional<bool> recorded_as;  // this very question was allowed, or denied, before, and that is recorded

  // Found, by the steps.
  std::optional<Service> service;
  std::optional<Decision> decision;
  std::optional<Denial> denial;  // set: the call ends here
};

}  // namespace hexr::gateway
