// Request targets as agents write them to the proxy: what is asked for has a port, and a path where it has no tunnel.
#include <cstdlib>

#include "gateway/egress/http_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* method : {"GET", "CONNECT"}) {
    const auto ask = hexr::gateway::ReadProxyRequest({method, text, 1, {{"Host", "a.example"}}});
    if (ask.ok() && ask->destination.port == 0) abort();
    if (ask.ok() && !ask->connect && !ask->target.starts_with('/')) abort();
  }
  return 0;
}
