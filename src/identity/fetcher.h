// How documents of other trust domains and issuers get here: an interface, so that this room does no network I/O of its
// own.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits/keys.h"
#include "base/result.h"
#include "base/unique_function.h"

namespace hexr::identity {

struct FetchRequest {
  std::string url;  // https://…, checked
  // Set: the server proves itself to this function instead of the Web PKI. Certificates in DER, leaf first; the
  // handshake has shown that the server holds the leaf's key. An error ends the connection before anything is sent.
  std::function<Status(const std::vector<Bytes>& chain)> verify_server;
  std::string ca_file;  // PEM of further Web PKI roots for this server; empty: the system's alone
  size_t max_bytes = limits::kMaxJwkSetBytes;
  std::chrono::milliseconds timeout{10'000};
};

struct FetchResponse {
  int status = 0;
  std::string body;
};

class Fetcher {
 public:
  virtual ~Fetcher() = default;
  // GET, without following redirects. `done` runs once, on the caller's loop, perhaps before this returns; never after
  // the fetcher is gone.
  virtual void Fetch(FetchRequest request, UniqueFunction<void(Result<FetchResponse>)> done) = 0;
};

// "https://host[:port][/path]" without user, fragment, white space or control characters. INVALID_ARGUMENT otherwise.
Status CheckHttpsUrl(std::string_view url);

}  // namespace hexr::identity
