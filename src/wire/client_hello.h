// Reads the beginning of a TLS connection without taking part in it (RFC 8446 4.1.2, RFC 6066 3, RFC 7301 3.1): where a
// client wants to go, for traffic that is passed on unopened. Stateless, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits/tls_dns.h"
#include "base/result.h"

namespace hexr::wire {

struct ClientHello {
  std::string server_name;        // lower case; empty when the client named none
  std::vector<std::string> alpn;  // in the client's order; empty when it offered none
  // The client sent the encrypted_client_hello extension: server_name may be a cover for another one.
  bool encrypted = false;
};

// `bytes` is what has arrived so far, from the first byte on. Nothing while the hello is incomplete; INVALID_ARGUMENT
// for what is no ClientHello or a malformed one, a repeated extension, a server name that is none; RESOURCE_EXHAUSTED
// over limits::kMaxClientHelloBytes.
Result<std::optional<ClientHello>> PeekClientHello(ByteView bytes);

}  // namespace hexr::wire
