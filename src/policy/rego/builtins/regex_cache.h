// Compiled patterns by text, so that a pattern built at run time is compiled once. RE2: linear time, whatever the
// pattern.
#pragma once

#include <re2/re2.h>

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

namespace hexr::rego {

class RegexCache {
 public:
  // Null when `pattern` is no regular expression; then `error` says why. Owned by the cache, valid until the next call.
  const re2::RE2* Get(std::string_view pattern, std::string* error);
  // What stands under `key` already, or null; Put compiles `pattern` for it.
  const re2::RE2* Find(std::string_view key);
  const re2::RE2* Put(std::string_view key, std::string_view pattern, std::string* error);

 private:
  static constexpr size_t kMax = 256;
  struct Entry {
    std::string pattern;
    std::unique_ptr<re2::RE2> regex;
  };
  std::list<Entry> entries_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_pattern_;
};

}  // namespace hexr::rego
