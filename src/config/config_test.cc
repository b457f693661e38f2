#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/paths.h"

namespace hexr::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kWhole[] = R"(
trust_domain: example.org
tenant: acme
machine_key: passphrase
passphrase_file: /run/secrets/hexr
identity: {svid_ttl: 30m, jwt_ttl: 2m}
roles:
  - {agent: content-crew, role: researcher, exe: "python3*", user: alice, children: inherit, spawn: [content-crew/writer, "x/*"]}
  - {agent: "*", exe: ["/usr/bin/node", "true"], user: [bob, "*"], tenant: other, sub_identities: allow}
entries:
  - {id: service/db, selectors: ["unix:uid:110", "unix:path:/usr/lib/postgresql/15/bin/postgres"], ttl: 20m, hint: db}
egress: {default: deny, allow: ["example.org:443"],
  ports: [80, 443, 8080], resolve: {"files.test": "127.0.0.1:8443"}, allow_private: ["127.0.0.0/8"]}
users: [{issuer: "https://login.example.org", audience: hexr, ca: /etc/ca.pem}]
federates_with:
  - {trust_domain: other.org, url: "https://bundle.other.org/", bundle: /etc/other.json}
  - {trust_domain: third.org, url: "https://third.org:8443/b", profile: https_web, ca: /etc/ca.pem}
  - {trust_domain: spire.org, url: "https://s/", endpoint_id: "spiffe://spire.org/spire/server", bundle: /b}
bundle_endpoint: {listen: "0.0.0.0:8443", profile: https_web, certificate: /c.pem, key: /k.pem}
oidc: {issuer: "https://id.example.org", listen: "[::1]:443", certificate: /c.pem, key: /k.pem}
metrics: {}
ledger: {sync: durable, checkpoint_interval: 500ms,
  witnesses: [{url: "https://w.example/", key: "w+00000000+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}
log: {level: debug}
)";

TEST(Config, ReadsEveryKeyAndWritesItBack) {
  const auto c = ParseOrError(kWhole, "hexr.yaml");
  ASSERT_TRUE(c.ok()) << c.error().message();
  EXPECT_EQ(c->trust_domain.name(), "example.org");
  ASSERT_EQ(c->roles.size(), 2u);
  EXPECT_EQ(c->roles[0].tenant.ToString(), "acme");
  EXPECT_EQ(c->roles[0].children, Children::kInherit);
  EXPECT_EQ(c->roles[0].spawn[1].role.ToString(), "*");
  EXPECT_EQ(c->roles[1].role.ToString(), "main");
  EXPECT_THAT(c->roles[1].exe, ElementsAre("/usr/bin/node", "true"));
  EXPECT_EQ(c->egress.ports.size(), 3u);
  EXPECT_EQ(c->ledger.checkpoint_interval, milliseconds(500));
  EXPECT_EQ(c->federates_with[0].endpoint_id.ToString(), "spiffe://other.org/service/hexr-bundle-endpoint");
  EXPECT_EQ(c->federates_with[2].endpoint_id.ToString(), "spiffe://spire.org/spire/server");
  std::vector<std::string> listeners;
  for (const Listener& l : Listeners(*c)) listeners.push_back(l.name + " " + l.address.ToString());
  EXPECT_THAT(listeners, ElementsAre("bundle 0.0.0.0:8443", "oidc [::1]:443", "metrics 127.0.0.1:9464"));
  EXPECT_TRUE(NeedsCourier(*c));
  const auto again = ParseOrError(ToYaml(*c), "shown");
  ASSERT_TRUE(again.ok()) << again.error().message() << ToYaml(*c);
  EXPECT_EQ(*again, *c);
}

TEST(Config, DefaultsAndStarterParse) {
  const auto c = ParseOrError("trust_domain: td\n", "f");
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->identity.svid_ttl, std::chrono::minutes(15));
  EXPECT_FALSE(NeedsCourier(*c));
  EXPECT_TRUE(Listeners(*c).empty());
  EXPECT_EQ(*ParseOrError(ToYaml(*c), "shown"), *c);
  const auto s = ParseOrError(StarterYaml("alice"), "f");
  ASSERT_TRUE(s.ok()) << s.error().message();
  EXPECT_THAT(s->roles[0].users, ElementsAre("alice"));
}

std::vector<std::string> Messages(const std::string& text) {
  std::vector<std::string> out;
  for (const Problem& p : Parse(text, "f").problems) out.push_back(p.ToString());
  return out;
}

TEST(Config, EveryProblemWithPlaceAndNextStep) {
  EXPECT_THAT(Messages("trust_domain: TD\negres: {}\nidentity: {svid_ttl: 2h, svid_tll: 1m}\n"),
              ElementsAre(HasSubstr("f:1:15: trust_domain: trust domain: lower-case"),
                          HasSubstr("f:2:1: egres: unknown key; did you mean 'egress'?"),
                          HasSubstr("f:3:22: identity.svid_ttl: 2h is outside 1m to 1h"),
                          HasSubstr("f:3:26: identity.svid_tll: unknown key; did you mean 'svid_ttl'?")));
}

struct BadCase {
  const char* yaml;
  const char* expected;
};

TEST(Config, RefusesEachMistakeByItself) {
  const std::string td = "trust_domain: td\n";
  const BadCase cases[] = {
      {"tenant: a/b\n", "f:2:9: tenant: SPIFFE ID"},
      {"tenant: [a]\n", "one value is expected"},
      {"tenant: a\ntenant: b\n", "f:3:1: tenant: given twice"},
      {"machine_key: hsm\n", "'hsm' is not one of: auto, tpm"},
      {"machine_key: passphrase\n", "passphrase_file: is needed"},
      {"roles: {}\n", "roles: a list is expected"},
      {"roles: [{agent: a}]\n", "roles[0].exe: is needed here"},
      {"roles: [{agent: a, exe: x, user: u, spawn: [b]}]\n", "write AGENT/ROLE"},
      {"roles: [{agent: a, exe: x, user: u, children: maybe}]\n", "is not one of: deny, inherit"},
      {"entries: [{id: agent/x, selectors: [\"unix:uid:1\"]}]\n", "belongs to what hexr launches"},
      {"entries: [{id: service/x, selectors: []}]\n", "would match everyone"},
      {"entries: [{id: service/x, selectors: [\"uid:1\"]}]\n", "write TYPE:KEY:VALUE"},
      {"entries: [{id: \"a//b\", selectors: [\"unix:uid:1\"]}]\n", "is not a SPIFFE path"},
      {"egress: {default: allow}\n", "'allow' is not one of: deny"},
      {"egress: {ports: [0]}\n", "number from 1 to 65535"},
      {"egress: {ports: [80x]}\n", "number from 1 to 65535"},
      {"egress: {resolve: [a]}\n", "a mapping of keys"},
      {"ledger: {sync: never}\n", "not one of: written, durable"},
      {"policy: {}\n", "policy.bundle: is needed"},
      {"policy: {bundle: /p}\n", "policy.verification_key: is needed to check"},
      {"policy: {bundle: p, require_signature: false}\n", "policy.bundle: write an absolute path"},
      {"policy: {bundle: /p, require_signature: false, verification_key: /k}\n", "keep one of the two"},
      {"policy: {bundle: /p, verification_key: /k, mode: off}\n", "not one of: enforce, audit"},
      {"model: {}\n", "model: unknown key"},
      {"users: [{issuer: \"http://a\", audience: x}]\n", "f:2:18: users[0].issuer: a URL has to begin with https://"},
      {"users: [{issuer: \"https://a\"}]\n", "users[0].audience: is needed"},
      {"users: [{issuer: \"https://a\", audience: \"\"}]\n", "tokens for anybody"},
      {"users: [{issuer: \"https://a\", audience: x}, {issuer: \"https://a\", audience: y}]\n", "given twice"},
      {"federates_with: [{trust_domain: td, url: \"https://a\", bundle: b}]\n", "another one than the node's own"},
      {"federates_with: [{trust_domain: o, url: \"https://a\"}]\n", "bundle: is needed with https_spiffe"},
      {"federates_with: [{trust_domain: o, url: \"https://u@a\", bundle: b}]\n", "no user"},
      {"federates_with: [{trust_domain: o, url: \"https://a\", profile: https}]\n",
       "not one of: https_spiffe, https_web"},
      {"federates_with: [{trust_domain: o, url: \"https://a\", profile: https_web, endpoint_id: \"spiffe://o/x\"}]\n",
       "endpoint_id: belongs to https_spiffe"},
      {"bundle_endpoint: {profile: https_web, listen: \"127.0.0.1:1\"}\n", "bundle_endpoint.certificate: is needed"},
      {"bundle_endpoint: {listen: \"localhost:1\"}\n", "write ADDRESS:PORT"},
      {"bundle_endpoint: {listen: \"127.0.0.1:0\"}\n", "write ADDRESS:PORT"},
      {"bundle_endpoint: {listen: \"::1:80\"}\n", "write ADDRESS:PORT"},
      {"bundle_endpoint: {listen: \"127.0.0.1:1\", key: /k}\n", "key: belongs to an endpoint of the web"},
      {"oidc: {issuer: \"https://a\"}\n", "oidc.listen: is needed here"},
      {"metrics: {port: 1}\n", "metrics.port: unknown key"},
      {"ledger: {witnesses: [{url: \"https://w\", key: x}]}\n", "a witness's key is name+id+base64"},
      {"ledger: {witnesses: [{url: \"ftp://w\"}]}\n", "https:// or http://"},
      {"a: [\n", "not YAML"},
      {"---\nb: 1\n", "one document a file"},
      {"identity: 5\n", "a mapping of keys"},
      {"identity: {svid_ttl: soon}\n", "is not a duration"},
  };
  for (const BadCase& c : cases) {
    EXPECT_THAT(Messages(td + c.yaml), testing::Contains(HasSubstr(c.expected))) << c.yaml;
  }
  EXPECT_THAT(Messages(""), ElementsAre(HasSubstr("trust_domain: is needed")));
  EXPECT_THAT(Messages("- a\n"), testing::Contains(HasSubstr("the file: a mapping")));
}

TEST(Paths, FollowHomeThenRootThenXdg) {
  EXPECT_EQ(Paths::From(true, {{"HEXR_HOME", "/h"}})->ApiSocket(), "/h/run/api.sock");
  EXPECT_EQ(Paths::From(true, {})->config_file, "/etc/hexr/hexr.yaml");
  const auto p = Paths::From(false, {{"HOME", "/home/a"}, {"XDG_RUNTIME_DIR", "/run/user/7"}});
  EXPECT_EQ(p->config_file, "/home/a/.config/hexr/hexr.yaml");
  EXPECT_EQ(p->AdminSocket(), "/run/user/7/hexr/private/admin.sock");
  EXPECT_EQ(Paths::From(false, {{"HOME", "/home/a"}})->run_dir, "/home/a/.local/state/hexr/run");
  EXPECT_FALSE(Paths::From(false, {}).ok());
  EXPECT_FALSE(Paths::From(false, {{"HEXR_HOME", "rel"}}).ok());
}

}  // namespace
}  // namespace hexr::config
