// Keys and clocks that are the same in every test.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "ledger/note.h"

namespace hexr::ledger::testing {

inline NoteSigner TestSigner(std::string_view name, NoteKeyType type = NoteKeyType::kEd25519, uint64_t seed = 1) {
  SeededRandom random(seed);
  return NoteSigner::Make(name, type, crypto::Ed25519PrivateKey::Generate(random)).value();
}

inline constexpr WallTime kTestTime{std::chrono::seconds(1'780'000'000)};

}  // namespace hexr::ledger::testing
