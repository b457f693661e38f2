#include "base/exe_pattern.h"

#include <fnmatch.h>

#include <algorithm>

namespace hexr {

bool MatchesExePattern(const std::string& pattern, const std::string& path) {
  if (pattern.empty() || path.empty()) return false;
  // A NUL would end the C string early and match on a part.
  if (pattern.find('\0') != std::string::npos || path.find('\0') != std::string::npos) return false;
  const bool whole = pattern.find('/') != std::string::npos;
  const std::string base = whole ? path : path.substr(path.rfind('/') + 1);
  return ::fnmatch(pattern.c_str(), base.c_str(), FNM_PATHNAME) == 0;
}

bool MatchesAnyExePattern(std::span<const std::string> patterns, const std::string& path) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&path](const std::string& p) { return MatchesExePattern(p, path); });
}

}  // namespace hexr
