// Where a TLS client says that it wants to go, read without opening its connection. Belongs to the loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/host.h"
#include "gateway/connection.h"
#include "gateway/denial.h"
#include "net/connection.h"
#include "runtime/loop.h"
#include "wire/client_hello.h"

namespace hexr::gateway {

// Waits for a whole ClientHello. All bytes read are given back: they are the beginning of what is relayed.
class TlsPeek {
 public:
  struct Outcome {
    Result<wire::ClientHello> hello;  // INVALID_ARGUMENT: not TLS; others: the agent went away or was too slow
    runtime::UniqueFd agent;
    std::string bytes;   // from the agent
    std::string unsent;  // to the agent
  };
  using Done = UniqueFunction<void(Outcome)>;

  // `bytes` came before; `unsent` is to be sent first. `done` runs once, never from inside the constructor.
  TlsPeek(Shared& shared, runtime::UniqueFd agent, std::string bytes, const std::string& unsent, Done done);
  // Resets the agent's side now; `done` does not run any more.
  void Cut();

 private:
  void Look();
  void Finish(Result<wire::ClientHello> hello);

  std::unique_ptr<net::Connection> stream_;
  std::string bytes_;
  size_t looked_at_ = 0;  // of them
  wire::ClientHelloReader reader_;
  Done done_;
  runtime::Timer deadline_;
  runtime::Timer first_look_;
};

// Whether what the hello names agrees with where the connection goes. A named destination wants exactly its name as
// SNI: none, or another one, is a denial. An address wants nothing. An encrypted inner hello changes nothing: the outer
// name has to agree, and no ECH key reaches an agent through our DNS, so what browsers send is a dummy; it is recorded.
std::optional<Denial> CheckHello(const HostPort& destination, const wire::ClientHello& hello);

// The name in the hello, where it is one.
std::optional<HostName> HelloName(const wire::ClientHello& hello);

// Tells a TLS client why it is refused (RFC 8446 6.2: access_denied, unrecognized_name, internal_error), and closes.
void SendTlsAlert(runtime::UniqueFd agent, const Denial& denial);

}  // namespace hexr::gateway
