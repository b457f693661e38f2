#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/limits/agents.h"
#include "base/limits/gateway.h"
#include "base/limits/identity.h"
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
identity: {svid_ttl: 30m, jwt_ttl: 2m, jwt_algorithm: RS256}
roles:
  - {agent: content-crew, role: researcher, exe: "python3*", user: alice, children: inherit, spawn: [content-crew/writer, "x/*"]}
  - {agent: "*", exe: ["/usr/bin/node", "true"], user: [bob, "*"], tenant: other, sub_identities: allow}
entries:
  - {id: service/db, selectors: ["unix:uid:110", "unix:path:/usr/lib/postgresql/15/bin/postgres"], ttl: 20m, hint: db}
egress: {default: deny, allow: ["example.org:443"],
  ports: [80, 443, 8080], resolve: {"files.test": "127.0.0.1:8443", "v6.test": "[::1]:443", "bare.test": "fd00::1"},
  allow_private: ["127.0.0.0/8", "10.1.2.3"]}
users: [{issuer: "https://login.example.org", audience: hexr, ca: /etc/ca.pem}]
federates_with:
  - {trust_domain: other.org, url: "https://bundle.other.org/", bundle: /etc/other.json}
  - {trust_domain: third.org, url: "https://third.org:8443/b", profile: https_web, ca: /etc/ca.pem}
  - {trust_domain: spire.org, url: "https://s/", endpoint_id: "spiffe://spire.org/spire/server", bundle: /b}
bundle_endpoint: {listen: "0.0.0.0:8443", profile: https_web, certificate: /c.pem, key: /k.pem}
oidc: {issuer: "https://id.example.org", listen: "[::1]:443", certificate: /c.pem, key: /k.pem}
metrics: {}
ledger: {sync: durable, checkpoint_interval: 500ms, text_retention: 720h,
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
  // One key of a mapping leaves the others at their defaults.
  EXPECT_THAT(ParseOrError("trust_domain: td\negress: {allow: ['a.test:443']}\n", "f")->egress.ports,
              ElementsAre(80, 443));
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
      {"tenant: a/b\n", "f:2:9: tenant: a name has 1 to 128"},
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
      {"entries: [{id: service/x, selectors: [\"uid:1\"]}]\n",
       "f:2:39: entries[0].selectors: selector uid:1: unknown kind; known are unix:{uid"},
      {"entries: [{id: service/x, selectors: [\"unix:uid:1\", \"unix:uid:01\"]}]\n", "f:2:53: entries[0].selectors: "},
      {"entries: [{id: service/x, selectors: [\"unix:sha256:AB\"]}]\n", "64 lower-case hexadecimal digits"},
      {"entries: [{id: a, selectors: [\"unix:uid:1\"]}, {id: a, selectors: [\"unix:uid:2\"]}]\n",
       "entries[1].id: 'a' is given twice"},
      {"entries: [{id: \"a//b\", selectors: [\"unix:uid:1\"]}]\n", "is not a SPIFFE path"},
      {"egress: {default: allow}\n", "'allow' is not one of: deny"},
      {"roles: [{agent: a, exe: [], user: u}]\n", "roles[0].exe: name at least one program; \"*\" is any"},
      {"roles: [{agent: a, exe: \"\", user: u}]\n", "roles[0].exe: a pattern that matches no program"},
      {"roles: [{agent: a, exe: x, user: []}]\n", "roles[0].user: name at least one user"},
      {"roles: [{agent: a, exe: x, user: \"\"}]\n", "roles[0].user: name a local user"},
      {"egress: {allow: [\"a.example:443\", b.example]}\n",
       "f:2:35: egress.allow: 'b.example': a rule is host:port, the port a number or *; write for example "
       "example.org:443"},
      {"egress: {allow: [\"10.0.0.1/8:443\"]}\n", "bits beyond its prefix"},
      {"egress: {allow: [\"https://example.org:443\"]}\n", "egress.allow: 'https://example.org:443'"},
      {"egress: {allow: [\"a.example:1\", \"a.example:1\"]}\n", "'a.example:1' is given twice"},
      {"egress: {allow_private: [10.0.0.1/8]}\n",
       "f:2:26: egress.allow_private: '10.0.0.1/8': the address of a range has bits beyond its prefix"},
      {"egress: {allow_private: [intranet]}\n", "not an IP address; write for example 10.0.0.0/8"},
      {"egress: {resolve: {files.test: \"localhost:1\"}}\n",
       "f:2:20: egress.resolve: 'localhost:1': write an address, with or without a port"},
      {"egress: {resolve: {\"1.2.3.4\": \"127.0.0.1\"}}\n", "does not end in a number"},
      {"egress: {resolve: {A.test: 127.0.0.1, a.test: 127.0.0.2}}\n", "'a.test' is given twice"},
      {"egress: {ports: [80, 80]}\n", "f:2:22: egress.ports: '80' is given twice"},
      {"egress: {ports: [53]}\n", "port 53 is hexr's own inside an agent"},
      {"egress: {ports: [15012]}\n", "hexr's own inside an agent"},
      {"egress: {ports: {a: 1}}\n", "a value or a list of values"},
      {"metrics: {}\nbundle_endpoint: {listen: \"127.0.0.1:9464\"}\n",
       "metrics: listens at 127.0.0.1:9464, as bundle_endpoint does; give it another port"},
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
      {"ledger: {text_retention: 1s}\n", "1s is outside 1m to "},
      {"a: [\n", "not YAML"},
      {"---\nb: 1\n", "one document a file"},
      {"identity: 5\n", "a mapping of keys"},
      {"identity: {jwt_algorithm: HS256}\n", "'HS256' is not one of: ES256, RS256"},
      {"identity: {svid_ttl: soon}\n", "is not a duration"},
  };
  for (const BadCase& c : cases) {
    EXPECT_THAT(Messages(td + c.yaml), testing::Contains(HasSubstr(c.expected))) << c.yaml;
  }
  EXPECT_THAT(Messages(""), ElementsAre(HasSubstr("trust_domain: is needed")));
  EXPECT_THAT(Messages("- a\n"), testing::Contains(HasSubstr("the file: a mapping")));
}

// `count` items made by `item`, as a YAML list.
template <class F>
std::string ListOf(size_t count, F item) {
  std::string out = "[";
  for (size_t i = 0; i < count; ++i) out += (i == 0 ? "" : ", ") + item(i);
  return out + "]";
}

TEST(Config, EveryListHasItsBound) {
  const auto expect_bound = [](size_t bound, const std::function<std::string(size_t)>& with) {
    EXPECT_THAT(Messages(with(bound)), testing::IsEmpty()) << bound;
    EXPECT_THAT(Messages(with(bound + 1)), ElementsAre(HasSubstr("at most " + std::to_string(bound)))) << bound;
  };
  const std::string td = "trust_domain: td\n";
  const auto word = [](size_t i) { return "w" + std::to_string(i); };
  for (const char* key : {"exe", "user"}) {
    const std::string other = std::string(key) == "exe" ? "user: u" : "exe: x";
    expect_bound(limits::kMaxRoleWords, [&](size_t n) {
      return td + "roles: [{agent: a, " + other + ", " + key + ": " + ListOf(n, word) + "}]\n";
    });
  }
  expect_bound(limits::kMaxEgressRules, [&](size_t n) {
    return td + "egress: {allow: " + ListOf(n, [&](size_t i) { return "'" + word(i) + ".test:443'"; }) + "}\n";
  });
  expect_bound(limits::kMaxCapturedPorts, [&](size_t n) {
    return td + "egress: {ports: " + ListOf(n, [](size_t i) { return std::to_string(100 + i); }) + "}\n";
  });
  const auto uid = [](size_t i) { return "'unix:uid:" + std::to_string(i) + "'"; };
  expect_bound(limits::kMaxSelectorsPerEntry,
               [&](size_t n) { return td + "entries: [{id: service/x, selectors: " + ListOf(n, uid) + "}]\n"; });
  expect_bound(limits::kMaxEntries, [&](size_t n) {
    return td +
           "entries: " + ListOf(n, [&](size_t i) { return "{id: s/" + word(i) + ", selectors: [" + uid(1) + "]}"; }) +
           "\n";
  });
  EXPECT_THAT(Messages(td + "entries: [{id: s/x, selectors: ['unix:uid:1'], hint: " +
                       std::string(limits::kMaxHintBytes + 1, 'h') + "}]\n"),
              ElementsAre(HasSubstr("a hint has at most 1024 bytes")));
}

TEST(Config, EverySelectorOfTheManualIsTaken) {
  const std::vector<std::string> all = {"unix:uid:110",
                                        "unix:user:postgres",
                                        "unix:gid:0",
                                        "unix:group:ssl-cert",
                                        "unix:supplementary_gid:4294967295",
                                        "unix:supplementary_group:adm",
                                        "unix:path:/usr/bin/a:b c",
                                        "unix:sha256:" + std::string(64, 'a'),
                                        "systemd:id:db@1.service",
                                        "cgroup:/system.slice/db.service"};
  const auto c = ParseOrError("trust_domain: td\nentries: [{id: s/x, selectors: " +
                                  ListOf(all.size(), [&](size_t i) { return "\"" + all[i] + "\""; }) + "}]\n",
                              "f");
  ASSERT_TRUE(c.ok()) << c.error().message();
  std::vector<std::string> texts;
  for (const Selector& s : c->entries[0].selectors) texts.push_back(s.ToString());
  EXPECT_EQ(texts, all);
  EXPECT_EQ(*ParseOrError(ToYaml(*c), "shown"), *c);
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
