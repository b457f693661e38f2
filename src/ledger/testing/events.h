// Events like the product's own, for tests.
#pragma once

#include <string>

#include "ledger/testing/test_keys.h"
#include "ledger/types.h"

namespace hexr::ledger::testing {

inline SpiffeId TestAgent() { return SpiffeId::Parse("spiffe://example.org/agent/acme/crew/researcher").value(); }

inline InstanceId TestInstance(unsigned n) {
  const std::string random = "instance" + std::to_string(1000 + n % 9000);
  return InstanceId::Make(1'780'000'000'000 + n, random);
}

inline Event TestEvent(unsigned instance, uint64_t number, RecordKind kind = RecordKind::kDecision) {
  Body body;
  body.Set("action", Code("tools.call"))
      .Set("number", number)
      .Set("tool", PublicName::Parse("files/read_file").value())
      .Set("verdict", Code("allow"));
  return Event{.time = kTestTime + std::chrono::microseconds(number),
               .kind = kind,
               .spiffe_id = TestAgent(),
               .instance = TestInstance(instance),
               .tenant = IdSegment::Parse("acme").value(),
               .call_id = PublicName::Parse("call-" + std::to_string(number)).value(),
               .body = std::move(body)};
}

inline crypto::Secret TestMaster() { return crypto::Secret::Copy(Bytes(32, 0x42)); }

}  // namespace hexr::ledger::testing
