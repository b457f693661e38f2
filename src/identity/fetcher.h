// How documents of other trust domains and issuers get here: an interface, so that this room does no network I/O of its
// own. Whoever carries them is not believed: what comes back is checked by the one who asked.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits/keys.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "base/unique_function.h"

namespace hexr::identity {

// Who the server has to be instead of somebody of the Web PKI, and the certificates (DER) that alone can say so.
struct SpiffeServer {
  SpiffeId id;
  std::vector<Bytes> authorities;
};

struct FetchRequest {
  std::string url;  // https://…, checked
  std::optional<SpiffeServer> server = {};
  std::string ca_file = {};  // PEM of the Web PKI roots for this server; empty: the system's
  // The host stands in the configuration. Otherwise it came from the network, and only public addresses are asked.
  bool named_by_operator = true;
  size_t max_bytes = limits::kMaxJwkSetBytes;
  std::chrono::milliseconds timeout{10'000};
};

struct FetchResponse {
  int status = 0;
  std::string body;
  // Where `server` was asked for: the chain the server showed, leaf first, with the leaf's key proved in the handshake.
  std::vector<Bytes> server_chain = {};
};

class Fetcher {
 public:
  virtual ~Fetcher() = default;
  // GET, without following redirects. `done` runs once, on the caller's loop, perhaps before this returns; never after
  // the fetcher is gone.
  virtual void Fetch(FetchRequest request, UniqueFunction<void(Result<FetchResponse>)> done) = 0;
};

}  // namespace hexr::identity
