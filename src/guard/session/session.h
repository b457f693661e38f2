// What a guard knows of one session: placeholders, planted canaries, the system prompt, and the names that its inputs
// held. One object a session, not thread-safe. Text is kept as digests only, but for the vault's values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/random.h"
#include "guard/session/vault.h"
#include "guard/types.h"

namespace hexr::guard {

// Letters, digits and bytes beyond ASCII, lower-cased, one word after the other: called with each word's hash and
// place.
class WordHasher {
 public:
  template <class F>
  void Feed(std::string_view bytes, F&& on_word);
  template <class F>
  void Finish(F&& on_word);

 private:
  uint64_t hash_ = 14695981039346656037ULL;
  uint64_t start_ = 0;
  uint64_t offset_ = 0;
  uint32_t size_ = 0;
};

class Session {
 public:
  explicit Session(crypto::Secret tenant_key) : vault_(std::move(tenant_key)) {}

  Vault& vault() { return vault_; }
  const Vault& vault() const { return vault_; }

  // A new canary: text to plant in a prompt or a vault entry. Whoever sends it anywhere has read it there.
  std::string PlantCanary(Random& random);
  bool IsCanary(std::string_view text) const;
  bool has_canaries() const { return !canaries_.empty(); }

  // The prompt whose repetition in an output is a leak (OWASP LLM07).
  void SetSystemPrompt(std::string_view text);
  bool has_prompt() const { return !shingles_.empty(); }
  // True when the eight words that hash to `shingle` stand in the system prompt.
  bool InPrompt(uint64_t shingle) const { return shingles_.contains(shingle); }

  // Names that inputs of this session held, and whether a name was among them (OWASP LLM09).
  void Learn(std::string_view name);
  bool Knows(std::string_view name) const;

 private:
  Vault vault_;
  std::unordered_set<std::string> canaries_;
  std::unordered_set<uint64_t> shingles_;
  std::unordered_set<uint64_t> names_;
};

inline constexpr size_t kShingleWords = 8;
inline constexpr std::string_view kCanaryPrefix = "hexr-canary-";

// The name in a token that grounding asks about: host of a URL, package of an install command. Empty when there is
// none.
struct GroundedName {
  const char* type = nullptr;  // UNGROUNDED_URL or UNGROUNDED_PACKAGE
  std::string name;
};
GroundedName NameOf(std::string_view token, std::string_view before);

template <class F>
void WordHasher::Feed(std::string_view bytes, F&& on_word) {
  for (const char ch : bytes) {
    const auto c = static_cast<uint8_t>(ch);
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
    if (word) {
      if (size_++ == 0) start_ = offset_;
      hash_ = (hash_ ^ (c >= 'A' && c <= 'Z' ? c + 32U : c)) * 1099511628211ULL;
    } else if (size_ > 0) {
      Finish(on_word);
    }
    ++offset_;
  }
}

template <class F>
void WordHasher::Finish(F&& on_word) {
  if (size_ > 0) on_word(hash_, start_, offset_);
  hash_ = 14695981039346656037ULL;
  size_ = 0;
}

// Watches an output for runs of words out of the system prompt.
class LeakWatch {
 public:
  explicit LeakWatch(const Session& session) : session_(session) {}
  struct Leak {
    uint64_t start;
    uint64_t end;
  };
  void Feed(std::string_view bytes, std::vector<Leak>& leaks);
  void Finish(std::vector<Leak>& leaks);

 private:
  void Word(uint64_t hash, uint64_t start, uint64_t end, std::vector<Leak>& leaks);
  const Session& session_;
  WordHasher words_;
  uint64_t hashes_[kShingleWords] = {};
  uint64_t starts_[kShingleWords] = {};
  uint64_t count_ = 0;
  uint64_t run_start_ = 0;
  uint32_t run_ = 0;  // consecutive shingles of the prompt
};

}  // namespace hexr::guard
