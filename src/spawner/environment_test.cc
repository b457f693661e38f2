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

TEST(EnvironmentTest, SecretsAreKnownByTheShapeOfTheirValuesWhateverTheirNames) {
  const std::string mixed = Of(64, "aB3dE6gH9"), upper = Of(64, "A1B2C3"), hex = Of(64, "0a1b2c");
  const std::vector<std::string> secrets = {
      "AKIA" + upper.substr(0, 16),
      "ASIA" + upper.substr(0, 16),
      "AIza" + mixed.substr(0, 35),
      "ya29." + mixed,
      "ghp_" + mixed.substr(0, 36),
      "github_pat_" + mixed,
      "glpat-" + mixed.substr(0, 20),
      "xoxb-" + mixed,
      "sk-" + mixed.substr(0, 48),
      "sk-ant-api03-" + mixed,
      "hf_" + mixed.substr(0, 34),
      "sk_live_" + mixed.substr(0, 24),
      "npm_" + mixed.substr(0, 36),
      "pypi-AgE" + mixed,
      "dop_v1_" + hex,
      "hvs." + mixed,
      "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0." + mixed,
      "-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----",
      "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl",
      "{\"type\": \"service_account\", \"private_key\": \"x\"}",
      "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + mixed + "==;EndpointSuffix=core.windows.net",
      "postgres://app:hunter2@db.internal/x",
      "first http://plain.test/ then redis://:pw@cache:6379",
      "https://hooks.slack.com/services/T0/B0/x",
      Of(40, "aB3/dE6+gH9"),
      // Inside of something longer.
      "-H 'Authorization: Bearer ghp_" + mixed.substr(0, 36) + "' -s",
      "a=1,k=AKIA" + upper.substr(0, 16) + ",b=2",
  };
  for (const std::string& value : secrets) {
    EXPECT_FALSE(SecretIn(value).empty()) << value;
    EXPECT_FALSE(SecretOf("SOMETHING", value).empty()) << value;
    // Cut in the middle it is nothing, but for what a word tells.
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
