// "Did you mean": for messages about words that people type. Stateless; thread-safe.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace hexr {

// The candidate nearest to `word` by edit distance, or "" when none is near enough to be meant.
std::string Nearest(std::string_view word, const std::set<std::string>& candidates);

}  // namespace hexr
