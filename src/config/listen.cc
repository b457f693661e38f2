#include "config/config.h"

namespace hexr::config {

Result<ListenAddress> ListenAddress::Parse(const std::string& text) {
  const Result<HostPort> place = HostPort::Parse(text);
  if (!place.ok() || place->host.address() == nullptr)
    return InvalidArgument("'" + text + "': write ADDRESS:PORT, for example 127.0.0.1:8443 or [::1]:8443");
  return ListenAddress{place->host.address()->ToString(), place->port};
}

std::string ListenAddress::ToString() const {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

Result<DialPlace> DialPlace::Parse(const std::string& text) {
  if (const Result<IpAddress> bare = IpAddress::Parse(text); bare.ok()) return DialPlace{*bare, 0};
  const Result<HostPort> place = HostPort::Parse(text);
  if (!place.ok() || place->host.address() == nullptr)
    return InvalidArgument("'" + text + "': write an address, with or without a port: 127.0.0.1:8443, [::1]:443");
  return DialPlace{*place->host.address(), place->port};
}

std::string DialPlace::ToString() const { return port == 0 ? address.ToString() : Endpoint{address, port}.ToString(); }

std::vector<Listener> Listeners(const Config& config) {
  std::vector<Listener> out;
  if (config.bundle_endpoint) out.push_back({"bundle", config.bundle_endpoint->listen});
  if (config.oidc && config.oidc->listen) out.push_back({"oidc", *config.oidc->listen});
  if (config.metrics) out.push_back({"metrics", config.metrics->listen});
  return out;
}

bool NeedsCourier(const Config& config) {
  return !Listeners(config).empty() || !config.users.empty() || !config.federates_with.empty() ||
         !config.ledger.witnesses.empty();
}

}  // namespace hexr::config
