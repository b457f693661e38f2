#include "spawner/environment.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

namespace hexr::spawner {
namespace {

// Words of a name, between underscores, that make it a secret's: OPENAI_API_KEY, GH_TOKEN, PGPASSWORD (as a suffix).
constexpr std::array<std::string_view, 14> kWords = {"KEY",    "APIKEY",     "TOKEN",  "SECRET",     "PASSWORD",
                                                     "PASSWD", "PASSPHRASE", "PASS",   "CREDENTIAL", "CREDENTIALS",
                                                     "PAT",    "PWD",        "COOKIE", "AUTH"};
constexpr std::array<std::string_view, 5> kSuffixes = {"PASSWORD", "PASSWD", "TOKEN", "SECRET", "APIKEY"};
// Hold such a word and nothing secret.
constexpr std::array<std::string_view, 4> kHarmless = {"PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY"};

std::string Upper(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

bool HoldsUrlPassword(std::string_view value) {
  const size_t scheme = value.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view authority = value.substr(scheme + 3, value.find_first_of("/?#", scheme + 3) - scheme - 3);
  const size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return false;
  const size_t colon = authority.find(':');
  return colon != std::string_view::npos && colon + 1 < at;
}

}  // namespace

bool LooksLikeSecret(std::string_view name, std::string_view value) {
  if (value.empty()) return false;
  const std::string upper = Upper(name);
  if (std::find(kHarmless.begin(), kHarmless.end(), upper) != kHarmless.end()) return false;
  size_t begin = 0;
  while (begin <= upper.size()) {
    const size_t end = std::min(upper.find('_', begin), upper.size());
    const std::string_view word(upper.data() + begin, end - begin);
    if (std::find(kWords.begin(), kWords.end(), word) != kWords.end()) return true;
    begin = end + 1;
  }
  if (std::any_of(kSuffixes.begin(), kSuffixes.end(), [&](std::string_view s) { return upper.ends_with(s); }))
    return true;
  return HoldsUrlPassword(value);
}

EnvironmentResult BuildEnvironment(const EnvironmentRequest& request) {
  EnvironmentResult out;
  std::set<std::string, std::less<>> ours;
  for (const auto& [name, value] : request.set) {
    ours.insert(name);
    out.variables.push_back(name + "=" + value);
  }
  const std::set<std::string, std::less<>> keep(request.keep.begin(), request.keep.end());
  std::set<std::string> dropped;
  for (const std::string& variable : request.caller) {
    const size_t equals = variable.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    const std::string_view name = std::string_view(variable).substr(0, equals);
    if (ours.contains(name) || name.starts_with("HEXR_")) continue;
    if (!keep.contains(name) && LooksLikeSecret(name, std::string_view(variable).substr(equals + 1))) {
      dropped.emplace(name);
      continue;
    }
    out.variables.push_back(variable);
  }
  out.dropped.assign(dropped.begin(), dropped.end());
  return out;
}

}  // namespace hexr::spawner
