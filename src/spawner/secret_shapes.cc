#include "spawner/secret_shapes.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>

namespace hexr::spawner {
namespace {

bool IsAlnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool IsUpperDigit(char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool IsToken(char c) { return IsAlnum(c) || c == '_' || c == '-'; }  // base64url among others
bool IsBase64(char c) { return IsAlnum(c) || c == '+' || c == '/'; }

// A prefix that one issuer gives its secrets, and what follows it.
struct Shape {
  std::string_view prefix;
  bool (*rest)(char);
  size_t least;  // characters that follow
  std::string_view what;
};

// From the issuers' own documents on the formats of their keys.
constexpr std::array kShapes = {
    Shape{"AKIA", IsUpperDigit, 16, "an AWS access key"},
    Shape{"ASIA", IsUpperDigit, 16, "an AWS session's access key"},
    Shape{"AIza", IsToken, 35, "a Google API key"},
    Shape{"ya29.", IsToken, 20, "a Google access token"},
    Shape{"GOCSPX-", IsToken, 20, "a Google client secret"},
    Shape{"ghp_", IsAlnum, 30, "a GitHub token"},
    Shape{"gho_", IsAlnum, 30, "a GitHub token"},
    Shape{"ghu_", IsAlnum, 30, "a GitHub token"},
    Shape{"ghs_", IsAlnum, 30, "a GitHub token"},
    Shape{"ghr_", IsAlnum, 30, "a GitHub token"},
    Shape{"github_pat_", IsToken, 30, "a GitHub token"},
    Shape{"glpat-", IsToken, 20, "a GitLab token"},
    Shape{"xoxa-", IsToken, 10, "a Slack token"},
    Shape{"xoxb-", IsToken, 10, "a Slack token"},
    Shape{"xoxp-", IsToken, 10, "a Slack token"},
    Shape{"xoxr-", IsToken, 10, "a Slack token"},
    Shape{"xoxs-", IsToken, 10, "a Slack token"},
    Shape{"xapp-", IsToken, 10, "a Slack token"},
    Shape{"sk-", IsToken, 20, "a model provider's key"},  // OpenAI, Anthropic, OpenRouter
    Shape{"gsk_", IsAlnum, 20, "a model provider's key"},
    Shape{"xai-", IsAlnum, 20, "a model provider's key"},
    Shape{"hf_", IsAlnum, 30, "a Hugging Face token"},
    Shape{"r8_", IsAlnum, 30, "a Replicate token"},
    Shape{"sk_live_", IsAlnum, 16, "a Stripe key"},
    Shape{"sk_test_", IsAlnum, 16, "a Stripe key"},
    Shape{"rk_live_", IsAlnum, 16, "a Stripe key"},
    Shape{"whsec_", IsBase64, 20, "a webhook's secret"},
    Shape{"npm_", IsAlnum, 36, "an npm token"},
    Shape{"pypi-AgE", IsToken, 30, "a PyPI token"},
    Shape{"dckr_pat_", IsToken, 20, "a Docker token"},
    Shape{"dop_v1_", IsHex, 64, "a DigitalOcean token"},
    Shape{"hvs.", IsToken, 20, "a Vault token"},
    Shape{"dapi", IsHex, 32, "a Databricks token"},
    Shape{"SG.", IsToken, 20, "a SendGrid key"},
    Shape{"AGE-SECRET-KEY-1", IsUpperDigit, 50, "an age key"},
};

// Told by words alone, wherever they stand.
struct Word {
  std::string_view text, what;
};
constexpr std::array kSecretWords = {
    Word{"PRIVATE KEY-----", "a private key"},
    Word{"\"private_key\":", "a private key"},
    Word{"AccountKey=", "an Azure connection string"},
    Word{"SharedAccessKey=", "an Azure connection string"},
    Word{"hooks.slack.com/services/", "a webhook with its secret"},
};

bool HasShape(std::string_view value, const Shape& shape) {
  for (size_t at = value.find(shape.prefix); at != std::string_view::npos; at = value.find(shape.prefix, at + 1)) {
    // In the middle of a word it is that word's: "task-" ends in "sk-".
    if (at > 0 && IsAlnum(value[at - 1])) continue;
    const std::string_view rest = value.substr(at + shape.prefix.size());
    const auto end = std::find_if_not(rest.begin(), rest.end(), shape.rest);
    const auto length = static_cast<size_t>(end - rest.begin());
    // Keys are never words alone: "sk-learn-contrib-project-name" is no key.
    const bool mixed = std::any_of(rest.begin(), end, [](char c) { return c >= '0' && c <= '9'; });
    if (length >= shape.least && mixed) return true;
  }
  return false;
}

// RFC 7519: three parts of base64url, the first two of which are JSON objects ("{\"" encodes to "eyJ").
bool HoldsJwt(std::string_view value) {
  for (size_t at = value.find("eyJ"); at != std::string_view::npos; at = value.find("eyJ", at + 1)) {
    if (at > 0 && IsToken(value[at - 1])) continue;
    const auto part = [&](size_t from) {
      size_t to = from;
      while (to < value.size() && IsToken(value[to])) ++to;
      return to;
    };
    const size_t first = part(at);
    if (first >= value.size() || value[first] != '.' || !value.substr(first + 1).starts_with("eyJ")) continue;
    const size_t second = part(first + 1);
    if (second + 1 < value.size() && value[second] == '.' && IsToken(value[second + 1])) return true;
  }
  return false;
}

// The whole value is an AWS secret access key: 40 of base64 with all kinds of characters, which no digest in hex has.
bool IsAwsSecretKey(std::string_view value) {
  if (value.size() != 40 || !std::all_of(value.begin(), value.end(), IsBase64)) return false;
  const auto some = [&](auto kind) { return std::any_of(value.begin(), value.end(), kind); };
  const auto slashes = std::count(value.begin(), value.end(), '/');
  return value[0] != '/' && slashes <= 4 && some([](char c) { return c >= 'A' && c <= 'Z'; }) &&
         some([](char c) { return c >= 'a' && c <= 'z'; }) && some([](char c) { return c >= '0' && c <= '9'; });
}

// user:password@ before the host.
bool HoldsUrlPassword(std::string_view value) {
  for (size_t at = value.find("://"); at != std::string_view::npos; at = value.find("://", at + 3)) {
    const std::string_view rest = value.substr(at + 3);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?# \t\n\"'"));
    const size_t host = authority.rfind('@');
    const size_t colon = authority.find(':');
    if (host != std::string_view::npos && colon != std::string_view::npos && colon + 1 < host) return true;
  }
  return false;
}

}  // namespace

std::string_view SecretIn(std::string_view value) {
  for (const Shape& s : kShapes) {
    if (HasShape(value, s)) return s.what;
  }
  for (const Word& w : kSecretWords) {
    if (value.find(w.text) != std::string_view::npos) return w.what;
  }
  if (HoldsJwt(value)) return "a token";
  if (HoldsUrlPassword(value)) return "a URL with a password";
  if (IsAwsSecretKey(value)) return "an AWS secret key";
  return {};
}

}  // namespace hexr::spawner
