// One HTTP request to somewhere else, bounded in time and size: for trust bundles, keys of token issuers and the like.
// Built on our own codecs, so that the address that was checked is the address that is dialled, and no library
// resolves, redirects, decompresses or reuses anything behind our back. Belongs to the loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits/net.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "net/resolver.h"
#include "runtime/loop.h"
#include "wire/http_fields.h"
#include "wire/tls_session.h"

namespace hexr::net {

struct FetchRequest {
  std::string url;  // "https://host[:port]/path"; http:// only with allow_http
  std::string method = "GET";
  std::vector<wire::HttpField> fields;  // besides Host, Connection and the framing
  std::string body;
  bool allow_http = false;
  std::chrono::milliseconds timeout = std::chrono::seconds(15);  // for all of it
  size_t max_bytes = limits::kMaxFetchBytes;                     // of the response's body
  // Null: the web's rules with the system's roots. Must offer no protocol, or "http/1.1".
  std::shared_ptr<const wire::TlsContext> tls;
  // Asked for each address (4 or 16 bytes) before it is dialled; an error passes it over. Required: there is no
  // default.
  std::function<Status(ByteView address)> check_address;
};

struct FetchResponse {
  int status = 0;
  std::vector<wire::HttpField> fields;
  std::string body;
};

class Fetcher {
 public:
  using Done = UniqueFunction<void(Result<FetchResponse>)>;

  // Both outlive the fetcher and its requests.
  Fetcher(runtime::Loop& loop, Resolver& resolver) : loop_(loop), resolver_(resolver) {}

  // Redirects are answers like any other. `done` runs once on the loop, never from inside this call; not at all once
  // the handle is dropped. INVALID_ARGUMENT: the request makes no sense. PERMISSION_DENIED: no address passed the
  // check. RESOURCE_EXHAUSTED: the body is too large. UNAUTHENTICATED: the peer's certificate. DEADLINE_EXCEEDED,
  // UNAVAILABLE.
  [[nodiscard]] std::shared_ptr<void> Fetch(FetchRequest request, Done done);

 private:
  class Operation;
  runtime::Loop& loop_;
  Resolver& resolver_;
};

}  // namespace hexr::net
