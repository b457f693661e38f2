// An AuthorityStore in memory, which can be told to fail.
#pragma once

#include <optional>

#include "base/limits/storage.h"
#include "identity/authority.h"

namespace hexr::identity::testing {

class MemoryStore final : public AuthorityStore {
 public:
  Result<std::optional<crypto::Secret>> Load() override {
    if (!state.has_value()) return std::optional<crypto::Secret>();
    return std::optional<crypto::Secret>(state->Clone());
  }
  Status Save(const crypto::Secret& s) override {
    if (fail) return Unavailable("disk full");
    if (s.size() > limits::kMaxSealedValueBytes) return InvalidArgument("too large for the sealed store");
    state = s.Clone();
    ++saves;
    return Ok();
  }

  std::optional<crypto::Secret> state;
  bool fail = false;
  int saves = 0;
};

}  // namespace hexr::identity::testing
