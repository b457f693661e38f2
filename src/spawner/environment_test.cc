// Which of a caller's variables an agent gets. Values that look like secrets are put together here, so that no scanner
// of sources takes them for real ones.
#include "spawner/environment.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "spawner/secret_shapes.h"

namespace hexr::spawner {
namespace {

std::string Of(size_t length, std::string_view from) {
  std::string text;
  while (text.size() < length) text += from;
  return text.substr(0, length);
}

// What issuers begin their secrets with, and how many characters of which kind follow at least.
struct Form {
  std::string_view begin;
  size_t least;
  std::string_view from = "aB3dE6gH9";
};
constexpr Form kForms[] = {
    {"AKIA", 16, "A1B2C3"}, {"ASIA", 16, "A1B2C3"}, {"AIza", 35},        {"ya29.", 20},
    {"GOCSPX-", 20},        {"ghp_", 30},           {"gho_", 30},        {"ghu_", 30},
    {"ghs_", 30},           {"ghr_", 30},           {"github_pat_", 30}, {"glpat-", 20},
    {"xoxa-", 10},          {"xoxb-", 10},          {"xoxp-", 10},       {"xoxr-", 10},
    {"xoxs-", 10},          {"xapp-", 10},          {"sk-", 20},         {"sk-ant-api03-", 20},
    {"gsk_", 20},           {"xai-", 20},           {"hf_", 30},         {"r8_", 30},
    {"sk_live_", 16},       {"sk_test_", 16},       {"rk_live_", 16},    {"whsec_", 20},
    {"npm_", 36},           {"pypi-AgE", 30},       {"dckr_pat_", 20},   {"dop_v1_", 64, "0a1b2c"},
    {"hvs.", 20},           {"dapi", 32, "0a1b2c"}, {"SG.", 20},         {"AGE-SECRET-KEY-1", 50, "A1B2C3"},
};

TEST(EnvironmentTest, SecretsAreKnownByTheShapeOfTheirValuesWhateverTheirNames) {
  for (const Form& form : kForms) {
    const std::string value = std::string(form.begin) + Of(form.least, form.from);
    EXPECT_FALSE(SecretIn(value).empty()) << value;
    EXPECT_FALSE(SecretOf("SOMETHING", value).empty()) << value;
    EXPECT_FALSE(SecretIn("-H 'x: " + value + "' -s").empty()) << value << " inside of something longer";
    if (form.begin == "sk-ant-api03-") continue;  // one of "sk-", and longer than those have to be
    EXPECT_TRUE(SecretIn(value.substr(0, value.size() - 1)).empty()) << value << " is one character too short";
  }
  const std::string mixed = Of(64, "aB3dE6gH9"), upper = Of(64, "A1B2C3");
  const std::vector<std::string> secrets = {
      "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0." + mixed,
      "-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----",
      "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl",
      "{\"type\": \"service_account\", \"private_key\": \"x\"}",
      "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + mixed + "==;EndpointSuffix=core.windows.net",
      "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=" + mixed + "=",
      "postgres://app:hunter2@db.internal/x",
      "first http://plain.test/ then redis://:pw@cache:6379",
      "https://hooks.slack.com/services/T0/B0/x",
      Of(40, "aB3/dE6+gH9"),
      "a=1,k=AKIA" + upper.substr(0, 16) + ",b=2",
  };
  for (const std::string& value : secrets) {
    EXPECT_FALSE(SecretIn(value).empty()) << value;
    EXPECT_FALSE(SecretOf("SOMETHING", value).empty()) << value;
  }
}

TEST(EnvironmentTest, WhatIsNoSecretIsPassedOn) {
  const std::vector<std::string> harmless = {
      "",
      "C.UTF-8",
      "/usr/local/bin:/usr/bin:/bin",
      Of(40, "0a1b2c"),                               // a commit
      "sha256:" + Of(64, "0a1b2c"),                   // an image
      "3fa85f64-5717-4562-b3fc-2c963f66afa6",         // a UUID
      "/home/user/projects/Alpha1/with/long/path/x",  // 40 and more of base64's characters
      "/opt/Alpha1/lib/python3.11/site-packages",
      "https://user@example.test/path",  // no password
      "http://127.0.0.1:15001",
      "https://example.test/a:b@c",     // beyond the authority
      "sk-learn-contrib-project-name",  // words
      "risk-a1b2c3d4e5f6a7b8c9d0e1f2",  // "sk-" inside of a word
      "AKIA",
      "ghp_short1",
      "eyJhbGciOiJub25lIn0",  // one part of a token
      "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
      "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
  };
  for (const std::string& value : harmless) EXPECT_EQ(SecretIn(value), "") << value;
}

TEST(EnvironmentTest, NamesTellOfSecretsTooAndThePathOfTheWorkingFolderIsNone) {
  for (const char* name : {"OPENAI_API_KEY", "GH_TOKEN", "PGPASSWORD", "X_PAT", "gh_token", "DB_PASS",
                           "AWS_ACCESS_KEY_ID", "aws_secret_access_key", "npm_config__auth"})
    EXPECT_EQ(SecretOf(name, "x"), "a secret") << name;
  for (const char* name : {"PWD", "OLDPWD", "SSH_AUTH_SOCK", "KEYBOARD", "PATH", "COMPASS_DIR", "HOME",
                           "TOKENIZERS_PARALLELISM", "PATTERN"})
    EXPECT_EQ(SecretOf(name, "/home/u"), "") << name;
  EXPECT_EQ(SecretOf("API_KEY", ""), "") << "an empty one is none";
  EXPECT_EQ(SecretOf("PWD", "ghp_" + Of(36, "aB3dE6gH9")), "a GitHub token") << "a harmless name vouches for no value";
}

TEST(EnvironmentTest, DroppedIsSaidWithoutTheValueAndKeptWhereAskedFor) {
  const std::string token = "ghp_" + Of(36, "aB3dE6gH9");
  EnvironmentRequest r;
  r.caller = {"LANG=C",         "GH=" + token,     "ALSO=" + token, "MY_TOKEN=x",
              "HEXR_ROLE=boss", "HTTP_PROXY=mine", "=odd",          "odd"};
  r.keep = {"ALSO"};
  r.set = {{"HTTP_PROXY", "ours"}};
  const EnvironmentResult out = BuildEnvironment(r);
  EXPECT_EQ(out.variables, (std::vector<std::string>{"HTTP_PROXY=ours", "LANG=C", "ALSO=" + token}));
  ASSERT_EQ(out.dropped.size(), 2u);
  EXPECT_EQ(out.dropped[0].name + ": " + out.dropped[0].what, "GH: a GitHub token");
  EXPECT_EQ(out.dropped[1].name + ": " + out.dropped[1].what, "MY_TOKEN: a secret");
}

}  // namespace
}  // namespace hexr::spawner
