// Secrets: tokens with a mark of their own, values behind a vendor's name, and assignments to names that mean a secret.
#include <algorithm>
#include <array>

#include "guard/ascii.h"
#include "guard/patterns/rule.h"
#include "guard/patterns/validators.h"

namespace hexr::guard {
namespace {

struct TokenRow {
  const char* type;
  const char* trigger;
  const char* confirm;
  float entropy;
};
struct NamedRow {
  const char* type;
  const char* name;
  const char* value;
  float entropy;
};
#include "guard/patterns/secret_table.inc"

// name, up to 24 more characters of it, quotes, an assignment, quotes: what stands between a name and its value.
constexpr const char* kBetween = R"([ \t\w.-]{0,24}['"\s]{0,3}(?:=>|:{1,3}=|\?=|\|\||[=:>,])[\s'"`=]{0,5})";
// The window ends where the token ends; inside a token an escape or a separator ends a value.
constexpr const char* kEnd = R"((?:\\[nr]|[;&]|\\?["']|$))";

constexpr size_t kMinPassword = 4;
constexpr size_t kMinKey = 8;

// "dbMasterPassword" → db, master, password; "X-API-Key" → x, api, key.
std::vector<std::string> NameWords(std::string_view name) {
  std::vector<std::string> words;
  std::string word;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool upper = c >= 'A' && c <= 'Z';
    const bool after_lower = i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z';
    if (!IsAlnum(c) || (upper && after_lower)) {
      if (!word.empty()) words.push_back(std::move(word));
      word.clear();
    }
    if (IsAlnum(c)) word.push_back(Lower(c));
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

template <size_t N>
bool Contains(const std::array<std::string_view, N>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

constexpr std::array<std::string_view, 13> kPasswordWords = {"password",   "passwd",   "pwd",   "pass",  "passphrase",
                                                             "passcode",   "pw",       "psw",   "passw", "pasw",
                                                             "dbpassword", "userpass", "dbpass"};
constexpr std::array<std::string_view, 16> kKeyWords = {
    "secret", "token",   "apikey",    "auth",   "credential", "credentials", "creds",    "bearer",
    "nkey",   "authkey", "authtoken", "seckey", "accesskey",  "secretkey",   "apitoken", "accesstoken"};
// "key" alone is a map's key; these before it make it a secret.
constexpr std::array<std::string_view, 20> kKeyQualifiers = {
    "api", "access", "secret", "private", "auth",    "account", "encryption", "signing", "master",  "client",
    "app", "shared", "ssh",    "storage", "service", "license", "hmac",       "aes",     "webhook", "session"};
constexpr std::array<std::string_view, 14> kHarmless = {"public",    "csrf", "xsrf",         "next",    "page",
                                                        "cache",     "idx",  "foreign",      "primary", "sort",
                                                        "partition", "host", "continuation", "pub"};
constexpr std::array<std::string_view, 16> kVendorsWithFormat = {
    "meraki", "sumo",   "sumologic", "mailchimp", "databricks",  "notion",    "prefect", "grafana",
    "gitlab", "readme", "okta",      "cohere",    "sourcegraph", "infracost", "discord", "etsy"};
constexpr std::array<std::string_view, 96> kNotPasswords = {
    "password",  "passwd",  "pass",    "pwd",      "secret",    "token",     "key",       "none",         "null",
    "nil",       "true",    "false",   "string",   "str",       "int",       "integer",   "bool",         "boolean",
    "text",      "hidden",  "input",   "field",    "required",  "optional",  "undefined", "empty",        "default",
    "value",     "type",    "name",    "user",     "username",  "email",     "login",     "here",         "your",
    "yes",       "no",      "this",    "self",     "that",      "from",      "with",      "must",         "should",
    "will",      "cannot",  "enter",   "reset",    "change",    "forgot",    "confirm",   "confirmation", "invalid",
    "incorrect", "wrong",   "missing", "expired",  "valid",     "protected", "hash",      "hashed",       "bcrypt",
    "sha256",    "md5",     "base64",  "plain",    "encrypted", "basic",     "bearer",    "digest",       "var",
    "let",       "const",   "new",     "return",   "function",  "async",     "await",     "request",      "response",
    "config",    "params",  "data",    "object",   "array",     "number",    "char",      "varchar",      "xxx",
    "todo",      "example", "test",    "changeme", "redacted",  "please"};

bool IsReference(std::string_view value) {
  // obj.field, call(…), $VAR, os.environ[…], CONSTANT_NAME
  const size_t dot = value.find('.');
  if (dot != std::string_view::npos && dot > 0 && dot + 1 < value.size() && LooksLikeIdentifier(value)) return true;
  if (value.find('(') != std::string_view::npos || value.find("->") != std::string_view::npos) return true;
  return std::all_of(value.begin(), value.end(), [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; }) &&
         value.find('_') != std::string_view::npos;
}

// The assignment of something to a name. `match` starts with the name.
bool IsSecretAssignment(std::string_view value, std::string_view match) {
  size_t name_end = 0;
  while (name_end < match.size() &&
         (IsAlnum(match[name_end]) || match[name_end] == '_' || match[name_end] == '-' || match[name_end] == '.')) {
    ++name_end;
  }
  const auto words = NameWords(match.substr(0, name_end));
  if (words.empty()) return false;
  if (std::any_of(words.begin(), words.end(), [](const std::string& w) { return Contains(kHarmless, w); }))
    return false;
  const std::string& last = words.back();
  const std::string before = words.size() > 1 ? words[words.size() - 2] : "";
  // Where a vendor's rule knows what a key looks like, it alone decides.
  if (std::any_of(words.begin(), words.end(), [](const std::string& w) { return Contains(kVendorsWithFormat, w); }))
    return false;
  const bool password = Contains(kPasswordWords, last) || last.ends_with("password") || last.ends_with("passwd");
  const bool key = Contains(kKeyWords, last) || last.ends_with("token") || last.ends_with("tokens") ||
                   last.ends_with("secret") || last.ends_with("apikey") ||
                   (last == "key" && Contains(kKeyQualifiers, before)) ||
                   ((last == "sid" || last == "id" || last == "cookie") && (before == "auth" || before == "session"));
  if (!password && !key) return false;
  if (LooksLikePlaceholder(value)) return false;
  const size_t at = static_cast<size_t>(value.data() - match.data());
  const bool quoted = at > 0 && (match[at - 1] == '"' || match[at - 1] == '\'' || match[at - 1] == '`');
  const std::string low = Lowered(value);
  if (Contains(kNotPasswords, low)) return false;
  if (value.find("://") != std::string_view::npos || value.front() == '/' || value.front() == '%') return false;
  if (value.find('{') != std::string_view::npos && value.find('}') != std::string_view::npos) return false;
  const bool digit = std::any_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
  const bool sign =
      std::any_of(value.begin(), value.end(), [](char c) { return !IsAlnum(c) && c != '_' && c != '-' && c != '.'; });
  if (password) {
    if (value.size() < kMinPassword) return false;
    if (!quoted && (IsReference(value) || value.find('[') != std::string_view::npos)) return false;
    if (quoted) return !(value.find(' ') != std::string_view::npos && !digit) && value.size() <= 64;
    // Bare words: a sentence about passwords has an article, a configuration has a value.
    return value.size() <= 64 &&
           (digit || sign || match[at - 1] == ' ' || match[at - 1] == '=' || match[at - 1] == ':');
  }
  if (value.size() < kMinKey || value.find(' ') != std::string_view::npos) return false;
  if (IsReference(value) || (LooksLikeIdentifier(value) && !digit)) return false;
  if (!digit && value.size() < 16 && !(quoted && !LooksLikeIdentifier(value))) return false;
  return Entropy(value) >= (value.size() >= 20 ? 3.2 : 2.5) && !(LooksLikeIdentifier(value) && value.size() < 40);
}

bool IsUrlPassword(std::string_view value, std::string_view) {
  const std::string low = Lowered(value);
  return !LooksLikePlaceholder(value) && !Contains(kNotPasswords, low) && value.front() != '$' &&
         value.front() != '%' && value.front() != '{';
}

bool IsBasicCredential(std::string_view value, std::string_view) {
  return !LooksLikePlaceholder(value) && value.front() != '$' && value.front() != '{';
}

bool IsCurlUser(std::string_view value, std::string_view) {
  const size_t colon = value.find(':');
  if (colon == std::string_view::npos) return false;
  std::string_view user = value.substr(0, colon);
  std::string_view password = value.substr(colon + 1);
  const auto trim = [](std::string_view s) {
    while (!s.empty() && (s.front() == '"' || s.front() == '\'')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == '"' || s.back() == '\'')) s.remove_suffix(1);
    return s;
  };
  user = trim(user);
  password = trim(password);
  const std::string_view secret =
      password.empty() ? user : password;  // "key:" is how Stripe's and Elastic's keys are sent
  if (secret.size() < (password.empty() ? 12U : 4U) || secret.front() == '$' ||
      (secret.front() == '[' && secret.back() == ']'))
    return false;
  const std::string low = Lowered(secret);
  return !Contains(kNotPasswords, low) && secret != user.substr(0, password.empty() ? 0 : user.size()) &&
         !(LooksLikePlaceholder(secret) && secret.front() != '{') && value.find("${") == std::string_view::npos;
}

bool IsUnmarkedVaultToken(std::string_view value, std::string_view) {
  return std::any_of(value.begin() + 2, value.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsAwsKey(std::string_view value, std::string_view) { return !value.ends_with("EXAMPLE"); }

// Keys that Google prints in its own documentation and that ship in browsers for everyone to read.
bool IsGcpKey(std::string_view value, std::string_view) {
  constexpr std::array<std::string_view, 14> kPublic = {
      "AIzaSyAnLA7NfeLquW1tJFpx_eQCxoX-oo6YyIs", "AIzaSyCkEhVjf3pduRDt6d1yKOMitrUEke8agEM",
      "AIzaSyDMAScliyLx7F0NPDEJi1QmyCgHIAODrlU", "AIzaSyD3asb-2pEZVqMkmL6M9N6nHZRR_znhrh0",
      "AIzaSyAdOS2zB6NCsk1pCdZ4-P6GBdi_UUPwX7c", "AIzaSyASWm6HmTMdYWpgMnjRBjxcQ9CKctWmLd4",
      "AIzaSyANUvH9H9BsUccjsu2pCmEkOPjjaXeDQgY", "AIzaSyA5_iVawFQ8ABuTZNUdcwERLJv_a_p4wtM",
      "AIzaSyA4UrcGxgwQFTfaI3no3t7Lt1sjmdnP5sQ", "AIzaSyDSb51JiIcB6OJpwwMicseKRhhrOq1cS7g",
      "AIzaSyBF2RrAIm4a0mO64EShQfqfd2AFnzAvvuU", "AIzaSyBcE-OOIbhjyR83gm4r2MFCu4MJmprNXsw",
      "AIzaSyB8qGxt4ec15vitgn44duC5ucxaOi4FmqE", "AIzaSyA8vmApnrHNFE0bApF4hoZ11srVL_n0nvY"};
  return !Contains(kPublic, value);
}

bool IsMarkedToken(std::string_view value, std::string_view) { return !LooksLikePlaceholder(value); }

Rule Make(std::string type, std::string trigger, std::string confirm, float entropy, uint32_t look_back) {
  Rule r;
  r.scanner = Scanner::kSecrets;
  r.type = std::move(type);
  r.trigger = std::move(trigger);
  r.confirm = std::move(confirm);
  r.min_entropy = entropy;
  r.look_back = look_back;
  r.validate = IsMarkedToken;
  return r;
}

}  // namespace

std::vector<Rule> SecretRules() {
  std::vector<Rule> rules;
  for (const TokenRow& t : kTokens) {
    Rule r = Make(t.type, t.trigger, t.confirm, t.entropy, 96);
    const std::string_view type = t.type;
    if (type == "jwt") r.look_back = 2100;
    if (type == "vault-service-token-old") r.validate = IsUnmarkedVaultToken;
    if (type == "aws-access-key-id") r.validate = IsAwsKey;
    if (type == "gcp-api-key") r.validate = IsGcpKey;
    if (type == "openai-api-key") r.look_back = 200;
    if (type == "gcp-service-account" || type == "sidekiq-sensitive-url") r.validate = nullptr;
    rules.push_back(std::move(r));
  }
  for (const NamedRow& n : kNamed) {
    const std::string name = std::string("(?i)(?:") + n.name + ")";
    rules.push_back(
        Make(n.type, name + kBetween + "[\\w.+/=-]{6}", name + kBetween + "(" + n.value + ")" + kEnd, n.entropy, 128));
  }
  {
    // name, closing quote, assignment or comparison, perhaps a list or a call, opening quote, value
    const std::string name = R"((?:pass|pwd|secret|token|cred|auth|key|apikey)[\w.-]{0,20})";
    const std::string close = R"(\\?['"\])]{0,2}[ \t]{0,16})";
    Rule r = Make("generic-secret",
                  "(?i)" + name + close +
                      R"((?:=>|[:!=]{0,2}=|:|,[ \t]?['"`])[ \t]{0,16}\[?(?:[\w.]{0,12}\()?\\?['"`]?[^\s'"`=]{3})",
                  R"((?i)([\w.-]{0,40})" + name + ")" + close + R"((?:=>|[:!=]{0,2}=|:|,)[ \t]{0,16}\[?)" +
                      R"((?:\\?['"`]([^'"`\s\\]{4,150})|([^\s'"`,;{}\[\]()<>\\]{4,150}))$)",
                  1.5F, 160);
    r.quoted = true;
    r.score = 0.75F;
    r.validate = IsSecretAssignment;
    rules.push_back(std::move(r));
  }
  {
    Rule r = Make("url-credentials", R"(://[^\s/@:'"<>]{0,64}:[^\s/@'"<>]{3,128}@)",
                  R"(\b[a-zA-Z][a-zA-Z0-9+.-]{1,24}://[^\s/@:'"<>]{0,64}:([^\s/@'"<>]{3,128})@)", 1, 240);
    r.validate = IsUrlPassword;
    rules.push_back(std::move(r));
  }
  {
    Rule r = Make("bearer-token", R"((?i)\bbearer[ \t]{1,3}[\w.~+/=-]{16})",
                  R"((?i)\bbearer[ \t]{1,3}([\w.~+/=-]{16,}))", 3, 64);
    rules.push_back(std::move(r));
  }
  {
    Rule r =
        Make("basic-auth", R"((?i)authorization['"]?[ \t]{0,2}[:=,][ \t]{0,2}['"]?basic[ \t]{1,3}[a-z0-9+/]{8})",
             R"((?i)authorization['"]?[ \t]{0,2}[:=,][ \t]{0,2}['"]?basic[ \t]{1,3}([a-z0-9+/]{8,}={0,3}))", 2.5F, 64);
    r.validate = IsBasicCredential;
    rules.push_back(std::move(r));
  }
  {
    Rule r = Make(
        "curl-auth-header",
        R"((?i)(?:-H|--header)(?:=|[ \t]{1,5})["'](?:authorization|(?:x-)?(?:[a-z]{2,12}-)?(?:a)"
        R"(pi-?)?(?:key|token)):[ \t]{0,5}(?:(?:basic|bearer|(?:api-)?token)[ \t]{1,3})?[\w=~@.+/-]{8})",
        R"((?i)\bcurl\b[^\n]*[ \t](?:-H|--header)(?:=|[ \t]{1,5})["'](?:authorization|(?:x-)?(?:[a-z]{2,12}-)?(?:ap)"
        R"(i-?)?(?:key|token)):[ \t]{0,5}(?:(?:basic|bearer|(?:api-)?token)[ \t]{1,3})?([\w=~@.+/-]{8,}))",
        2.5F, 400);
    rules.push_back(std::move(r));
  }
  {
    Rule r = Make("curl-auth-user", R"([ \t](?:-u|--user)(?:=|[ \t]{0,5})["']?[^\s"':]{0,64}["']?:["']?[^\s"']?)",
                  R"(\bcurl\b[^\n]*[ \t](?:-u|--user)(?:=|[ \t]{0,5})["']?([^\s"':]{0,64}["']?:["']?[^\s"']{0,128}))",
                  1.5F, 400);
    r.validate = IsCurlUser;
    rules.push_back(std::move(r));
  }
  {
    Rule r = Make("private-key", R"(-----BEGIN[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)?-----)",
                  R"(-----BEGIN[ A-Z0-9_-]{0,60}P)"
                  R"(RIVATE KEY(?: BLOCK)?-----)",
                  0, 120);
    r.kind = RuleKind::kPemRegion;
    r.validate = nullptr;
    rules.push_back(std::move(r));
  }
  return rules;
}

}  // namespace hexr::guard
