// Roles: pure decisions.
#include "spawner/roles.h"

#include <gtest/gtest.h>

#include "base/exe_pattern.h"
#include "config/config.h"

namespace hexr::spawner {
namespace {

RoleName Name(const char* agent, const char* role, const char* tenant = "default") {
  return {IdSegment::Parse(tenant).value(), IdSegment::Parse(agent).value(), IdSegment::Parse(role).value()};
}

std::vector<config::Role> Roles(const std::string& yaml) {
  auto c = config::ParseOrError("trust_domain: example.org\ntenant: default\nroles:\n" + yaml, "test.yaml");
  EXPECT_TRUE(c.ok()) << c.error().ToString();
  return c.ok() ? c->roles : std::vector<config::Role>();
}

TEST(RolesTest, OnlyListedUsersStartAListedRole) {
  const auto roles = Roles(
      "  - {agent: crew, role: researcher, exe: '*', user: alice}\n"
      "  - {agent: crew, role: open, exe: '*', user: '*'}\n");
  EXPECT_TRUE(RolesFor(roles, Name("crew", "researcher"), "alice", false).ok());
  EXPECT_FALSE(RolesFor(roles, Name("crew", "researcher"), "bob", false).ok());
  EXPECT_TRUE(RolesFor(roles, Name("crew", "open"), "bob", false).ok());
  EXPECT_FALSE(RolesFor(roles, Name("crew", "other"), "alice", true).ok())
      << "not even the node's owner starts what no entry names";
  EXPECT_FALSE(RolesFor(roles, Name("crew", "researcher", "elsewhere"), "alice", false).ok());
}

TEST(RolesTest, WithoutRolesOnlyTheOwnerStartsAgents) {
  const auto any = RolesFor({}, Name("a", "main"), "root", true);
  ASSERT_TRUE(any.ok());
  // The keeper is told the entry's patterns, and takes no patterns for no program.
  EXPECT_TRUE(MatchesAnyExePattern(FindByProgram(*any, Name("a", "main"), "/usr/bin/true")->exe, "/usr/bin/true"));
  EXPECT_EQ(RolesFor({}, Name("a", "main"), "bob", false).error().code(), ErrorCode::kPermissionDenied);
}

TEST(RolesTest, TheFirstEntryWhoseProgramMatchesDecides) {
  const auto roles = Roles(
      "  - {agent: crew, role: main, exe: 'node', user: '*', children: inherit}\n"
      "  - {agent: crew, role: main, exe: 'python3*', user: '*'}\n");
  const auto found = RolesFor(roles, Name("crew", "main"), "bob", false).value();
  EXPECT_EQ(FindByProgram(found, Name("crew", "main"), "/usr/bin/node")->children, config::Children::kInherit);
  EXPECT_EQ(FindByProgram(found, Name("crew", "main"), "/usr/bin/python3.11")->children, config::Children::kDeny);
  EXPECT_FALSE(FindByProgram(found, Name("crew", "main"), "/usr/bin/bash").ok());
}

TEST(RolesTest, AnEntryIsFoundAgainAndNoOtherThatLooksLikeIt) {
  const auto roles = Roles(
      "  - {agent: crew, role: main, exe: '*', user: alice, spawn: ['*/*'], children: inherit}\n"
      "  - {agent: crew, role: main, exe: '*', user: bob}\n"
      "  - {agent: crew, role: main, exe: '*', user: bob, sub_identities: allow}\n"
      "  - {agent: crew, role: main, exe: '*', user: bob, children: inherit}\n"
      "  - {agent: crew, role: main, exe: '*', user: bob, spawn: ['crew/main']}\n"
      "  - {agent: crew, role: main, exe: ['*', 'x'], user: bob}\n"
      "  - {agent: crew, role: main, exe: '*', user: ['x', bob]}\n"
      "  - {agent: crew, role: main, exe: '*', user: bob, tenant: t}\n");
  for (const config::Role& r : roles) EXPECT_EQ(FindEntry(roles, EntryDigest(r)), &r);
  EXPECT_EQ(FindEntry({}, EntryDigest(roles[0])), nullptr);
  EXPECT_EQ(FindEntry(roles, {}), nullptr);
}

TEST(RolesTest, TheProgramOfAScriptIsItsInterpreter) {
  EXPECT_EQ(EffectiveProgram("/a/x",
                             "\x7f"
                             "ELF"),
            "/a/x");
  EXPECT_EQ(EffectiveProgram("/a/x", "#!/bin/sh\necho"), "/bin/sh");
  EXPECT_EQ(EffectiveProgram("/a/x", "#! /usr/bin/env python3\n"), "python3");
  EXPECT_EQ(EffectiveProgram("/a/x", "#!/usr/bin/env -S A=b node --x\n"), "node");
  EXPECT_EQ(EffectiveProgram("/a/x", "#!/usr/bin/env"), "/usr/bin/env");
  EXPECT_EQ(EffectiveProgram("/a/x", "#!"), "");
}

TEST(RolesTest, ASubAgentIsOnlyWhatItsParentMaySpawn) {
  const auto roles = Roles(
      "  - {agent: crew, role: lead, exe: '*', user: '*', spawn: [crew/writer]}\n"
      "  - {agent: crew, role: writer, exe: '*', user: alice}\n"
      "  - {agent: crew, role: admin, exe: '*', user: '*'}\n");
  const auto& allowed = roles[0].spawn;
  EXPECT_TRUE(RolesForSubAgent(roles, Name("crew", "writer"), Name("crew", "lead"), allowed, "alice").ok());
  EXPECT_FALSE(RolesForSubAgent(roles, Name("crew", "admin"), Name("crew", "lead"), allowed, "alice").ok());
  EXPECT_FALSE(RolesForSubAgent(roles, Name("crew", "writer", "other"), Name("crew", "lead"), allowed, "alice").ok());
  EXPECT_FALSE(RolesForSubAgent(roles, Name("crew", "writer"), Name("crew", "writer"), {}, "alice").ok());
}

TEST(RolesTest, ASubAgentGetsNoEntryOfAnotherUser) {
  const auto roles = Roles(
      "  - {agent: crew, role: writer, exe: '*', user: admin, children: inherit, sub_identities: allow, spawn: "
      "['*/*']}\n"
      "  - {agent: crew, role: writer, exe: 'python3*', user: bob}\n"
      "  - {agent: crew, role: lead, exe: '*', user: '*', spawn: [crew/writer]}\n");
  const auto& allowed = roles[2].spawn;
  const auto of = [&](const char* user) {
    return RolesForSubAgent(roles, Name("crew", "writer"), Name("crew", "lead"), allowed, user);
  };
  ASSERT_TRUE(of("bob").ok());
  ASSERT_EQ(of("bob")->size(), 1u);
  EXPECT_TRUE(of("bob")->at(0) == roles[1]);
  EXPECT_FALSE(FindByProgram(*of("bob"), Name("crew", "writer"), "/usr/bin/bash").ok());
  EXPECT_EQ(of("carol").error().code(), ErrorCode::kPermissionDenied);
  EXPECT_NE(of("carol").error().message().find("may not start"), std::string::npos);
}

}  // namespace
}  // namespace hexr::spawner
