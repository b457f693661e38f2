// Identities come from agents, peers' certificates and tokens.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/spiffe_id.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hexr;  // NOLINT: a fuzz target is a program of its own
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // What is taken has one text, and its parts are taken by themselves.
  if (const auto id = SpiffeId::Parse(text); id.ok()) {
    HEXR_CHECK(id->ToString().substr(6) == text.substr(6));  // "SPIFFE:" is the same scheme
    HEXR_CHECK(SpiffeId::Parse(id->ToString()).value() == *id);
    HEXR_CHECK(TrustDomain::Parse(id->trust_domain().name()).value() == id->trust_domain());
  }
  if (const auto td = TrustDomain::Parse(text); td.ok()) HEXR_CHECK(SpiffeId::Parse(td->Uri()).ok());
  if (const auto segment = IdSegment::Parse(text); segment.ok()) HEXR_CHECK(segment->value() == text);
  if (const auto instance = InstanceId::Parse(text); instance.ok()) HEXR_CHECK(instance->value() == text);
  return 0;
}
