// Candidate SPIFFE IDs in, one a line in hex; "ok TRUST_DOMAIN PATH" or "no" out: what go-spiffe is compared with.
#include <cstdio>
#include <iostream>
#include <string>

#include "base/bytes.h"
#include "base/spiffe_id.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto text = hexr::HexDecode(line);
    if (!text.ok()) return 2;
    const auto id = hexr::SpiffeId::Parse(hexr::AsText(*text));
    if (id.ok())
      std::printf("ok %s %s\n", id->trust_domain().name().c_str(), id->path().c_str());
    else
      std::puts("no");
  }
  return 0;
}
