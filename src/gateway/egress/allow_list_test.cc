#include "gateway/egress/allow_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/limits/gateway.h"
#include "base/random.h"

namespace hexr::gateway {
namespace {

AllowList Rules(const std::vector<std::string>& texts) {
  std::vector<AllowRule> rules;
  for (const std::string& text : texts) {
    Result<AllowRule> rule = AllowRule::Parse(text);
    EXPECT_TRUE(rule.ok()) << text;
    rules.push_back(*rule);
  }
  return AllowList(std::move(rules));
}

const char* Verdict(const std::vector<std::string>& rules, std::string_view destination) {
  const AllowList list = Rules(rules);
  Result<HostPort> parsed = HostPort::Parse(destination);
  EXPECT_TRUE(parsed.ok()) << destination;
  return list.Find(*parsed) != nullptr ? "allow" : "deny";
}

TEST(AllowList, DeniesByDefault) { EXPECT_STREQ(Verdict({}, "example.org:443"), "deny"); }

TEST(AllowList, NamesAndTheirPorts) {
  const std::vector<std::string> rules = {"Example.org:443", "*.example.net:*", "[2001:db8::/32]:443",
                                          "192.0.2.0/24:5432", "192.0.2.7:22"};
  EXPECT_STREQ(Verdict(rules, "EXAMPLE.ORG:443"), "allow");
  EXPECT_STREQ(Verdict(rules, "example.org.:443"), "allow");
  EXPECT_STREQ(Verdict(rules, "example.org:80"), "deny");
  EXPECT_STREQ(Verdict(rules, "www.example.org:443"), "deny");
  EXPECT_STREQ(Verdict(rules, "evilexample.org:443"), "deny");
  EXPECT_STREQ(Verdict(rules, "example.net:443"), "deny");
  EXPECT_STREQ(Verdict(rules, "a.example.net:1"), "allow");
  EXPECT_STREQ(Verdict(rules, "a.b.example.net:65535"), "allow");
  EXPECT_STREQ(Verdict(rules, "evilexample.net:443"), "deny");
  EXPECT_STREQ(Verdict(rules, "a.example.net.evil.org:443"), "deny");
  EXPECT_STREQ(Verdict(rules, "192.0.2.200:5432"), "allow");
  EXPECT_STREQ(Verdict(rules, "192.0.2.200:22"), "deny");
  EXPECT_STREQ(Verdict(rules, "192.0.2.7:22"), "allow");
  EXPECT_STREQ(Verdict(rules, "[2001:db8::9]:443"), "allow");
  EXPECT_STREQ(Verdict(rules, "[2001:db9::9]:443"), "deny");
}

TEST(AllowList, AnyNameIsNotAnyAddress) {
  EXPECT_STREQ(Verdict({"*:443"}, "example.org:443"), "allow");
  EXPECT_STREQ(Verdict({"*:443"}, "8.8.8.8:443"), "deny");
  EXPECT_STREQ(Verdict({"0.0.0.0/0:443"}, "example.org:443"), "deny");
  EXPECT_STREQ(Verdict({"0.0.0.0/0:443"}, "8.8.8.8:443"), "allow");
}

TEST(AllowList, RefusesWhatIsNoRule) {
  for (const char* rule :
       {"example.org", "example.org:", "example.org:https", "exa*mple.org:443", "*example.org:443", "*.*:443",
        "10.0.0.1/8:443", "2001:db8::1:443", "https://example.org:443", "example.org:443/path", ":443", "*.:443", ""}) {
    EXPECT_FALSE(AllowRule::Parse(rule).ok()) << rule;
  }
}

TEST(AllowList, DnsKnowsANameThatSomePortIsOpenFor) {
  const AllowList list = Rules({"example.org:8443", "10.0.0.0/8:443"});
  EXPECT_NE(list.FindHost(*Host::Parse("example.org")), nullptr);
  EXPECT_EQ(list.FindHost(*Host::Parse("example.com")), nullptr);
}

// However rules are looked up, the answer is that of the first one that allows, as the log names it.
TEST(AllowList, TheFirstRuleThatAllowsIsTheOne) {
  const std::vector<std::string> hosts = {"a.b.test", "b.test",     "*.b.test",     "*.test",    "*",
                                          "10.0.0.1", "10.0.0.0/8", "192.0.2.0/24", "c.a.b.test"};
  const std::vector<std::string> asked = {"a.b.test", "b.test",   "c.a.b.test", "x.test",    "test",
                                          "xb.test",  "10.0.0.1", "10.9.9.9",   "192.0.2.1", "[::1]"};
  SeededRandom random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> texts;
    for (uint64_t n = random.Below(8); n > 0; --n) {
      const std::string port = random.Below(3) == 0 ? "*" : std::to_string(80 + random.Below(2));
      texts.push_back(hosts[random.Below(hosts.size())] + ":" + port);
    }
    const AllowList list = Rules(texts);
    std::vector<AllowRule> rules;
    for (const std::string& t : texts) rules.push_back(*AllowRule::Parse(t));
    for (const std::string& host : asked) {
      const HostPort to = *HostPort::Parse(host + ":" + std::to_string(80 + random.Below(2)));
      const auto first = [&](auto allows) {
        const auto it = std::find_if(rules.begin(), rules.end(), allows);
        return it == rules.end() ? std::string("none") : it->text();
      };
      const AllowRule* const found = list.Find(to);
      EXPECT_EQ(found == nullptr ? "none" : found->text(), first([&](const AllowRule& r) { return r.Allows(to); }))
          << host << " in " << ::testing::PrintToString(texts);
      const AllowRule* const known = list.FindHost(to.host);
      EXPECT_EQ(known == nullptr ? "none" : known->text(),
                first([&](const AllowRule& r) { return r.AllowsHost(to.host); }));
    }
  }
}

// The table of docs/egress.md is true, row by row.
TEST(AllowList, TheManualIsRight) {
  std::ifstream page(HEXR_SOURCE_DIR "/docs/egress.md");
  ASSERT_TRUE(page.is_open());
  int rows = 0;
  const auto code_spans = [](const std::string& cell) {
    std::vector<std::string> out;
    for (size_t at = cell.find('`'); at != std::string::npos; at = cell.find('`', at)) {
      const size_t end = cell.find('`', at + 1);
      out.push_back(cell.substr(at + 1, end - at - 1));
      at = end + 1;
    }
    return out;
  };
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::stringstream split(line.substr(1));
    for (std::string cell; std::getline(split, cell, '|');) cells.push_back(cell);
    ASSERT_EQ(cells.size(), 3u) << line;
    const std::vector<std::string> rule = code_spans(cells[0]);
    for (const std::string& yes : code_spans(cells[1])) EXPECT_STREQ(Verdict(rule, yes), "allow") << line;
    for (const std::string& no : code_spans(cells[2])) EXPECT_STREQ(Verdict(rule, no), "deny") << line;
    ++rows;
  }
  EXPECT_EQ(rows, 6);
}

}  // namespace
}  // namespace hexr::gateway
