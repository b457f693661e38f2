// Synthetic addresses: what the gateway's DNS answers, one address of each family per name and instance. A captured
// connection to such an address carries its name. Belongs to the loop's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "base/host.h"
#include "base/limits/gateway.h"
#include "base/result.h"
#include "base/spiffe_id.h"

namespace hexr::gateway {

class SyntheticNames {
 public:
  struct Addresses {
    IpAddress v4;  // in 198.18.0.0/15 (RFC 2544: never on the Internet)
    IpAddress v6;  // in fd00:6865:7872:d::/64
  };

  explicit SyntheticNames(const InstanceId& instance) : instance_(instance) {}

  // The addresses of `name`, the same for the life of the instance, and (but for a rare collision) the same again in
  // a gateway that was restarted. RESOURCE_EXHAUSTED beyond limits::kMaxSyntheticNames.
  Result<Addresses> Assign(const HostName& name);
  // The name that was given this address; null when none was.
  const HostName* Find(const IpAddress& address) const;
  // Whether Assign(name) would give `address` without changing anything.
  bool WouldGive(const HostName& name, const IpAddress& address) const;
  // Whether `address` is one that Assign could give.
  static bool IsSynthetic(const IpAddress& address);
  size_t size() const { return by_slot_.size(); }

 private:
  static Addresses AddressesOf(uint32_t slot);
  uint32_t FreeSlotFor(const HostName& name) const;
  static std::optional<uint32_t> SlotOf(const IpAddress& address);

  InstanceId instance_;
  std::unordered_map<uint32_t, HostName> by_slot_;
  std::unordered_map<std::string, uint32_t> by_name_;
};

}  // namespace hexr::gateway
