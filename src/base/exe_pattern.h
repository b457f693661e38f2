// Globs over executables, as roles name them. Stateless; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace hexr {

// `pattern` holds a '/': it is matched against the whole path, and '*' stops at '/'. Otherwise against the base name.
// '*', '?' and '[…]' as in glob(7). An empty pattern or path matches nothing.
bool MatchesExePattern(const std::string& pattern, const std::string& path);

// Whether any of them matches. No patterns: nothing matches.
bool MatchesAnyExePattern(std::span<const std::string> patterns, const std::string& path);

}  // namespace hexr
