#include <arpa/inet.h>

#include <charconv>

#include "config/config.h"

namespace hexr::config {

Result<ListenAddress> ListenAddress::Parse(const std::string& text) {
  const auto bad = [&] {
    return InvalidArgument("'" + text + "': write ADDRESS:PORT, for example 127.0.0.1:8443 or [::1]:8443");
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return bad();
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  in6_addr ignored{};
  if (inet_pton(bracketed ? AF_INET6 : AF_INET, host.c_str(), &ignored) != 1) return bad();
  uint16_t port = 0;
  const auto r = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size() || port == 0) return bad();
  return ListenAddress{std::move(host), port};
}

std::string ListenAddress::ToString() const {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

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
