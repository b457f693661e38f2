#include "gateway/egress/system_resolver.h"

#include <chrono>
#include <utility>

namespace hexr::gateway {
namespace {

constexpr std::chrono::seconds kLookUpTimeout{10};

Result<std::vector<IpAddress>> ToIpAddresses(const Result<net::Addresses>& found) {
  if (!found.ok()) return found.error();
  std::vector<IpAddress> out;
  for (const Bytes& bytes : *found) {
    ASSIGN_OR_RETURN(const IpAddress address, IpAddress::FromBytes(bytes));
    out.push_back(address);
  }
  return out;
}

}  // namespace

SystemResolver::SystemResolver(runtime::Loop& loop, net::Resolver::LookUp look_up)
    : resolver_(loop, kLookUpTimeout, std::move(look_up)) {}

std::shared_ptr<void> SystemResolver::Resolve(const InstanceId& asker, const HostName& name, Done done) {
  return resolver_.Resolve(asker.value(), name.value(), [done = std::move(done)](Result<net::Addresses> found) mutable {
    done(ToIpAddresses(found));
  });
}

}  // namespace hexr::gateway
