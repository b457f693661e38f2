// Places as agents and operators write them: hosts, addresses, rules. What parses has one text, and that text parses
// to the same value; a name never reads as an address.
#include <arpa/inet.h>

#include <cstdlib>

#include "base/allow_rule.h"
#include "base/host.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto place = hexr::HostPort::Parse(text, 80); place.ok()) {
    const auto again = hexr::HostPort::Parse(place->ToString());
    if (!again.ok() || *again != *place) abort();
    in_addr legacy;
    if (place->host.name() != nullptr && inet_aton(place->host.ToString().c_str(), &legacy) != 0) abort();
  }
  if (const auto range = hexr::IpRange::Parse(text); range.ok()) {
    const auto again = hexr::IpRange::Parse(range->ToString());
    if (!again.ok() || again->ToString() != range->ToString()) abort();
  }
  if (const auto rule = hexr::AllowRule::Parse(text); rule.ok() && rule->text() != text) abort();
  return 0;
}
