// Signed notes and the keys that sign them: the outer form of checkpoints and cosignatures.
// Source: C2SP signed-note (c2sp.org/signed-note), tlog-cosignature (c2sp.org/tlog-cosignature). Values;
// thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits/ledger.h"
#include "base/random.h"
#include "base/result.h"
#include "crypto/ed25519.h"

namespace hexr::ledger {

// What a signature line begins with: U+2014 and a space.
inline constexpr std::string_view kSignatureLine = "\xE2\x80\x94 ";

// What a signature line says: who (name and key id) and the bytes, not whether they are right.
struct NoteSignature {
  std::string name;
  uint32_t key_id = 0;
  Bytes bytes;

  // "— name base64(key id || bytes)\n".
  std::string ToLine() const;
  static Result<NoteSignature> ParseLine(std::string_view line);  // without the newline
  bool operator==(const NoteSignature&) const = default;
};

// A text and the lines under it. Parsing says nothing of their truth: VerifierKey does.
class Note {
 public:
  // INVALID_ARGUMENT: not a note (form, control characters, UTF-8, no signature). RESOURCE_EXHAUSTED: larger than
  // limits::kMaxNoteBytes or more than kMaxNoteSignatures lines.
  static Result<Note> Parse(std::string_view note);
  // `text` ends in a newline and has no empty line at its end.
  explicit Note(std::string text);

  const std::string& text() const { return text_; }
  const std::vector<NoteSignature>& signatures() const { return signatures_; }
  // A second signature of the same key replaces the first. RESOURCE_EXHAUSTED beyond kMaxNoteSignatures.
  Status Add(NoteSignature signature);
  std::string ToString() const;

 private:
  std::string text_;
  std::vector<NoteSignature> signatures_;
};

// The signature types of signed-note that are in use here.
enum class NoteKeyType : uint8_t {
  kEd25519 = 0x01,        // a log: signs the note's text
  kCosignatureV1 = 0x04,  // a witness: signs a time and the text
};

// A vkey: "name+hex(key id)+base64(type || public key)".
class VerifierKey {
 public:
  static Result<VerifierKey> Parse(std::string_view vkey);
  // INVALID_ARGUMENT: a name that is empty, has spaces, control characters or '+', or is not UTF-8.
  static Result<VerifierKey> Make(std::string_view name, NoteKeyType type, const crypto::Ed25519PublicKey& key);

  const std::string& name() const { return name_; }
  uint32_t key_id() const { return key_id_; }
  NoteKeyType type() const { return type_; }
  std::string ToString() const;

  // What this key says about the note.
  struct Verdict {
    enum class State : uint8_t {
      kAbsent,  // no line of this key
      kBad,     // a line with this key's name and id whose signature is not its own
      kGood,
    };
    State state = State::kAbsent;
    uint64_t cosigned_at = 0;  // seconds since 1970; cosignatures only
  };
  Verdict Check(const Note& note) const;

  bool operator==(const VerifierKey&) const = default;

 private:
  VerifierKey(std::string name, NoteKeyType type, crypto::Ed25519PublicKey key);
  std::string name_;
  NoteKeyType type_;
  crypto::Ed25519PublicKey key_;
  uint32_t key_id_;
};

// A private key with its name. Immutable: thread-safe.
class NoteSigner {
 public:
  static Result<NoteSigner> Make(std::string_view name, NoteKeyType type, crypto::Ed25519PrivateKey key);

  const VerifierKey& verifier() const { return verifier_; }
  // A signature over `text`; a cosignature takes its time from `now`.
  NoteSignature Sign(std::string_view text, WallTime now) const;

 private:
  NoteSigner(VerifierKey verifier, crypto::Ed25519PrivateKey key)
      : verifier_(std::move(verifier)), key_(std::move(key)) {}
  VerifierKey verifier_;
  crypto::Ed25519PrivateKey key_;
};

}  // namespace hexr::ledger
