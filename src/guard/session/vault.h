// Placeholders for what was redacted, and the way back. One vault a session; values live in memory only and end with
// it. Not thread-safe: a session belongs to one loop.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/limits/guard.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace hexr::guard {

class Vault {
 public:
  // `key` is the tenant's: placeholders are looked up by a keyed digest, so that no table of values is kept in clear
  // order.
  explicit Vault(crypto::Secret key) : key_(std::move(key)) {}

  // "[REDACTED_EMAIL_ADDRESS_1]": the same value of the same type gets the same placeholder. RESOURCE_EXHAUSTED at
  // limits::kMaxGuardPlaceholders; the caller then redacts without a way back.
  Result<std::string> Placeholder(std::string_view type, std::string_view value);
  // The value behind a placeholder; null when it is not one of this vault's.
  const std::string* Find(std::string_view placeholder) const;
  size_t size() const { return values_.size(); }

 private:
  crypto::Secret key_;
  std::unordered_map<std::string, std::string> by_digest_;  // HMAC of type and value → placeholder
  std::unordered_map<std::string, std::string> values_;
  std::map<std::string, uint32_t, std::less<>> counts_;
};

// Puts values back into a stream for whoever may see them. Holds back only what may still become a placeholder. With
// `json`, a value is written as the inside of a JSON string. Bytes in, bytes out; the result does not depend on the
// cuts.
class Restorer {
 public:
  Restorer(const Vault& vault, bool json) : vault_(vault), json_(json) {}
  std::string Feed(std::string_view bytes);
  std::string Finish();

 private:
  const Vault& vault_;
  bool json_;
  std::string held_;
};

}  // namespace hexr::guard
