#include "guard/session/session.h"

#include <array>

#include "base/bytes.h"
#include "base/limits/guard.h"

namespace hexr::guard {
namespace {

constexpr uint32_t kLeakShingles = 4;  // eleven words in a row are no coincidence

uint64_t ShingleHash(const uint64_t* hashes, uint64_t newest) {
  uint64_t h = 0;
  for (size_t i = 0; i < kShingleWords; ++i) {
    h = (h ^ hashes[(newest + 1 + i) % kShingleWords]) * 0x9E3779B97F4A7C15ULL;
    h ^= h >> 29;
  }
  return h;
}

uint64_t NameHash(std::string_view name) {
  uint64_t h = 14695981039346656037ULL;
  for (const char c : name) h = (h ^ static_cast<uint8_t>(c >= 'A' && c <= 'Z' ? c + 32 : c)) * 1099511628211ULL;
  return h;
}

std::string_view Trimmed(std::string_view s) {
  while (!s.empty() && std::string_view(".,:;!?*_~").find(s.back()) != std::string_view::npos) s.remove_suffix(1);
  return s;
}

}  // namespace

std::string Session::PlantCanary(Random& random) {
  std::array<uint8_t, 12> bytes{};
  random.Fill(bytes);
  std::string canary = std::string(kCanaryPrefix) + HexEncode(bytes);
  canaries_.insert(canary);
  return canary;
}

bool Session::IsCanary(std::string_view text) const { return canaries_.contains(std::string(text)); }

void Session::SetSystemPrompt(std::string_view text) {
  shingles_.clear();
  uint64_t hashes[kShingleWords] = {};
  uint64_t count = 0;
  WordHasher words;
  const auto on_word = [&](uint64_t hash, uint64_t, uint64_t) {
    hashes[count % kShingleWords] = hash;
    if (++count >= kShingleWords && shingles_.size() < limits::kMaxGuardShingles) {
      shingles_.insert(ShingleHash(hashes, (count - 1) % kShingleWords));
    }
  };
  words.Feed(text, on_word);
  words.Finish(on_word);
}

void Session::Learn(std::string_view name) {
  if (names_.size() < limits::kMaxGuardNames) names_.insert(NameHash(name));
}

bool Session::Knows(std::string_view name) const { return names_.contains(NameHash(name)); }

GroundedName NameOf(std::string_view token, std::string_view before) {
  const size_t scheme = token.find("://");
  if (scheme != std::string_view::npos && scheme >= 3 && token.substr(0, 4) == "http") {
    std::string_view host = token.substr(scheme + 3);
    host = host.substr(0, host.find_first_of("/?#:"));
    if (const size_t at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
    host = Trimmed(host);
    if (host.find('.') == std::string_view::npos) return {};
    return {"UNGROUNDED_URL", std::string(host)};
  }
  // "pip install NAME", "npm i NAME", "cargo add NAME", "go get NAME", "gem install NAME"
  static constexpr std::array<std::string_view, 12> kCommands = {
      "pip install ", "pip3 install ",  "npm install ", "npm i ",       "yarn add ", "pnpm add ",
      "cargo add ",   "cargo install ", "go get ",      "gem install ", "uv add ",   "composer require "};
  for (const std::string_view c : kCommands) {
    if (!before.ends_with(c)) continue;
    std::string_view name = Trimmed(token);
    if (name.empty() || name.front() == '-' || name.front() == '.' || name.front() == '/') return {};
    name = name.substr(0, name.find_first_of("=<>~!", 1));
    if (const size_t at = name.find('@', 1); at != std::string_view::npos) name = name.substr(0, at);
    return {"UNGROUNDED_PACKAGE", std::string(name)};
  }
  return {};
}

void LeakWatch::Feed(std::string_view bytes, std::vector<Leak>& leaks) {
  words_.Feed(bytes, [&](uint64_t h, uint64_t s, uint64_t e) { Word(h, s, e, leaks); });
}

void LeakWatch::Finish(std::vector<Leak>& leaks) {
  words_.Finish([&](uint64_t h, uint64_t s, uint64_t e) { Word(h, s, e, leaks); });
}

void LeakWatch::Word(uint64_t hash, uint64_t start, uint64_t end, std::vector<Leak>& leaks) {
  const uint64_t slot = count_ % kShingleWords;
  hashes_[slot] = hash;
  starts_[slot] = start;
  if (++count_ < kShingleWords) return;
  if (!session_.InPrompt(ShingleHash(hashes_, slot))) {
    run_ = 0;
    return;
  }
  if (run_++ == 0) run_start_ = starts_[(slot + 1) % kShingleWords];
  if (run_ >= kLeakShingles) leaks.push_back({run_start_, end});
}

}  // namespace hexr::guard
