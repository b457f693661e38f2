// What an HTTP request of an agent asks for, read from its head alone; and the head as it goes on. Stateless.
#pragma once

#include <optional>
#include <string>

#include "base/host.h"
#include "base/result.h"
#include "gateway/denial.h"
#include "gateway/egress/names.h"
#include "wire/http1.h"

namespace hexr::gateway {

struct HttpAsk {
  bool connect = false;  // a tunnel (CONNECT); otherwise plain HTTP
  HostPort destination;
  std::string target;                 // path and query in origin form, or "*"
  std::optional<Denial> denial = {};  // the head contradicts the connection: recorded as asked, answered with this
};

// At the proxy's own port: CONNECT, or absolute form with http. The Host field is not believed: the target names the
// destination (RFC 9112 3.2.2). INVALID_ARGUMENT says what a proxy wants.
Result<HttpAsk> ReadProxyRequest(const wire::Http1Request& head);

// On a captured connection to `destination`: the Host field names the host, and has to agree with the name that the
// address was given to, or with the address itself. A disagreement is a denial.
Result<HttpAsk> ReadCapturedRequest(const wire::Http1Request& head, const Endpoint& destination, SyntheticNames& names);

// The destination of a captured connection whose content names `claimed` (SNI, Host), if it names anything: the name
// that DNS gave the address to, else the address. An address that an earlier gateway gave out is known by the claimed
// name.
HostPort CapturedDestination(SyntheticNames& names, const Endpoint& destination,
                             const std::optional<HostName>& claimed);

// The request as it is sent on: origin form, the destination as Host, nothing that belongs to one connection.
wire::Http1Request ForwardedRequest(const wire::Http1Request& head, const HttpAsk& ask);
// The response as the agent gets it.
wire::Http1Response ForwardedResponse(const wire::Http1Response& head);

}  // namespace hexr::gateway
