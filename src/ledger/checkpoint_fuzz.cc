// Notes, checkpoints, verifier keys, histories and proofs of records: all that others send or hand over as text.
#include "ledger/checkpoint.h"
#include "ledger/log_reader.h"
#include "ledger/prove.h"
#include "ledger/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace std::string_view_literals;
  static const auto key =
      hexr::ledger::VerifierKey::Parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"sv).value();
  const std::string_view text = hexr::AsText({data, size});
  if (const auto note = hexr::ledger::Note::Parse(text); note.ok()) {
    HEXR_CHECK(note->ToString() == text);
    (void)key.Check(*note);
    if (const auto checkpoint = hexr::ledger::Checkpoint::Parse(note->text()); checkpoint.ok()) {
      HEXR_CHECK(checkpoint->ToText() == note->text());
    }
  }
  if (const auto vkey = hexr::ledger::VerifierKey::Parse(text); vkey.ok()) {
    HEXR_CHECK(hexr::ledger::VerifierKey::Parse(vkey->ToString()).ok());
  }
  size_t covered = 0;
  for (const std::string_view note : hexr::ledger::SplitHistory(text).notes) covered += note.size();
  HEXR_CHECK(covered <= size);
  (void)hexr::ledger::ParseKeyFile(text);
  (void)hexr::ledger::VerifyProof(text, key, {key}, 1);
  return 0;
}
