#include "spawner/environment.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

#include "spawner/secret_shapes.h"

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

bool NamesSecret(std::string_view name) {
  const std::string upper = Upper(name);
  if (std::find(kHarmless.begin(), kHarmless.end(), upper) != kHarmless.end()) return false;
  size_t begin = 0;
  while (begin <= upper.size()) {
    const size_t end = std::min(upper.find('_', begin), upper.size());
    const std::string_view word(upper.data() + begin, end - begin);
    if (std::find(kWords.begin(), kWords.end(), word) != kWords.end()) return true;
    begin = end + 1;
  }
  return std::any_of(kSuffixes.begin(), kSuffixes.end(), [&](std::string_view s) { return upper.ends_with(s); });
}

}  // namespace

std::string_view SecretOf(std::string_view name, std::string_view value) {
  if (value.empty()) return {};
  return NamesSecret(name) ? "a secret" : SecretIn(value);
}

EnvironmentResult BuildEnvironment(const EnvironmentRequest& request) {
  EnvironmentResult out;
  std::set<std::string, std::less<>> ours;
  for (const auto& [name, value] : request.set) {
    ours.insert(name);
    out.variables.push_back(name + "=" + value);
  }
  const std::set<std::string, std::less<>> keep(request.keep.begin(), request.keep.end());
  std::map<std::string, std::string_view> dropped;
  for (const std::string& variable : request.caller) {
    const size_t equals = variable.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    const std::string_view name = std::string_view(variable).substr(0, equals);
    if (ours.contains(name) || name.starts_with("HEXR_")) continue;
    const std::string_view secret =
        keep.contains(name) ? std::string_view() : SecretOf(name, std::string_view(variable).substr(equals + 1));
    if (!secret.empty()) {
      dropped.emplace(name, secret);
      continue;
    }
    out.variables.push_back(variable);
  }
  for (const auto& [name, what] : dropped) out.dropped.push_back({name, std::string(what)});
  return out;
}

}  // namespace hexr::spawner
