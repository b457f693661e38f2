// What the log holds. A process describes what happened as an Event; numbered and put in its place it is a Record.
// No type here can carry a prompt, an argument or a secret in clear into a record: texts enter as SaltedText, whose
// digest alone is written; every other value is a name, a number, a digest or a constant of our own.
// Values; thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "crypto/digest.h"

namespace hexr::ledger {

enum class RecordKind : uint8_t {
  kIdentity,       // ID: svid issued, rotated, revoked
  kDecision,       // AZ: allow, deny, modify
  kScan,           // SC
  kCredential,     // CR
  kExecution,      // EX: sandbox
  kEgress,         // EG
  kToolPin,        // TP
  kApproval,       // HA
  kBudget,         // BU
  kKill,           // KS: kill, quarantine, revoke
  kPolicyChange,   // PC
  kLog,            // LG: the log about itself: writers, gaps, witnesses
  kFlow,           // IF: labels
  kConfiguration,  // CF
};
// "ID", "AZ", …
std::string_view RecordKindName(RecordKind kind);
std::optional<RecordKind> FindRecordKind(std::string_view name);

// A name that may be read by everyone who reads the log: host, tool, model, rule, route. 1 to 256 visible ASCII
// characters without space, quote and backslash. Whoever parses one vouches that it is no content: `grep
// PublicName::Parse` lists them.
class PublicName {
 public:
  static Result<PublicName> Parse(std::string_view text);
  const std::string& value() const { return value_; }
  auto operator<=>(const PublicName&) const = default;

 private:
  explicit PublicName(std::string value) : value_(std::move(value)) {}
  std::string value_;
};

// A word of our own, known when the program is compiled: Code("allow"). Lower case, digits, '_', '.', '-'.
class Code {
 public:
  consteval Code(const char* text) : text_(text) {  // NOLINT: implicit by design, literals only
    for (const char c : text_) {
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-')) NotACode();
    }
    if (text_.empty() || text_.size() > 64) NotACode();
  }
  constexpr std::string_view text() const { return text_; }

 private:
  static void NotACode() {}  // not constexpr: reaching it does not compile
  std::string_view text_;
};

// A text that the log commits to without holding it: SHA-256(salt || text), the salt 32 random bytes, so that nobody
// can guess a short text from its digest. Salt and text go to the text store and can be erased there.
class SaltedText {
 public:
  static constexpr size_t kSaltBytes = 32;
  using Salt = std::array<uint8_t, kSaltBytes>;

  SaltedText(std::string text, Random& random);
  SaltedText(std::string text, const Salt& salt);

  const std::string& text() const { return text_; }
  const Salt& salt() const { return salt_; }
  const crypto::Sha256Digest& digest() const { return digest_; }

 private:
  std::string text_;
  Salt salt_;
  crypto::Sha256Digest digest_;
};

// The `body` of a record: an object with sorted keys. Set overwrites.
class Body {
 public:
  Body& Set(Code key, Code value);
  Body& Set(Code key, const PublicName& value);
  Body& Set(Code key, const SpiffeId& value);
  Body& Set(Code key, const InstanceId& value);
  Body& Set(Code key, const IdSegment& value);
  Body& Set(Code key, const crypto::Sha256Digest& value);  // hexadecimal
  Body& Set(Code key, WallTime value);
  Body& Set(Code key, const std::vector<PublicName>& value);
  Body& Set(Code key, Body value);
  // {"bytes": n, "sha256": hex}; the text travels beside the record.
  Body& Set(Code key, SaltedText value);
  template <class T>
  requires std::is_integral_v<T> Body& Set(Code key, T value) {
    if constexpr (std::is_same_v<T, bool>)
      return SetJson(key, value ? "true" : "false");
    else if constexpr (std::is_signed_v<T>)
      return SetSigned(key, value);
    else
      return SetUnsigned(key, value);
  }

  // Canonical JSON (RFC 8785).
  std::string ToJson() const;
  // Every SaltedText that was set, here and in bodies inside.
  const std::vector<SaltedText>& texts() const { return texts_; }

 private:
  Body& SetJson(Code key, std::string json);
  Body& SetSigned(Code key, int64_t value);     // held to ±(2^53-1), what JSON numbers keep exactly
  Body& SetUnsigned(Code key, uint64_t value);  // held to 2^53-1

  std::vector<std::pair<std::string_view, std::string>> members_;  // sorted
  std::vector<SaltedText> texts_;
};

// What a process has to say. The journal adds its own name and a counter, the sequencer the place in the log.
struct Event {
  WallTime time;
  RecordKind kind;
  SpiffeId spiffe_id;  // whom it is about; the trust domain itself where no workload is
  std::optional<InstanceId> instance = {};
  std::optional<IdSegment> tenant = {};  // absent in the node's log
  std::optional<PublicName> call_id = {};
  Body body = {};
};

// One entry of a log, as read back. `writer` names the journal it came through; `instance_seq` counts, from 1 and
// without holes, what one writer recorded about one instance (or about none, where `instance` is absent).
struct Record {
  static constexpr uint64_t kVersion = 1;
  static constexpr size_t kWriterBytes = 16;

  uint64_t seq = 0;
  WallTime time{};
  RecordKind kind = RecordKind::kLog;
  SpiffeId spiffe_id;
  std::optional<InstanceId> instance;
  uint64_t instance_seq = 0;
  std::optional<IdSegment> tenant;
  std::optional<PublicName> call_id;
  std::string writer;
  std::string body;  // canonical JSON object

  // INVALID_ARGUMENT unless `json` is a record in canonical form: `ToJson` of the result is `json`, byte for byte.
  static Result<Record> Parse(std::string_view json);
  std::string ToJson() const;
};

}  // namespace hexr::ledger
