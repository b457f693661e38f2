// Names through the machine's own resolver (net/resolver.h), as the addresses that egress decides on.
#pragma once

#include <memory>

#include "base/limits/gateway.h"
#include "gateway/egress/connector.h"
#include "net/resolver.h"
#include "runtime/loop.h"

namespace hexr::gateway {

// Belongs to the loop's thread. Destroying it waits for look-ups that run.
class SystemResolver final : public Resolver {
 public:
  explicit SystemResolver(runtime::Loop& loop, net::Resolver::LookUp look_up = net::LookUpAddresses);

  // Errors as net::Resolver: NOT_FOUND, UNAVAILABLE, DEADLINE_EXCEEDED, and RESOURCE_EXHAUSTED when too much waits
  // already.
  std::shared_ptr<void> Resolve(const InstanceId& asker, const HostName& name, Done done) override;

 private:
  net::Resolver resolver_;
};

}  // namespace hexr::gateway
