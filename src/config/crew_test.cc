#include "config/crew.h"

#include <gtest/gtest.h>

#include "base/limits/agents.h"

namespace hexr::config {
namespace {

std::string Problems(const std::string& text) {
  std::string out;
  for (const Problem& p : ParseCrew(text, "crew.yaml").problems) out += p.ToString() + "\n";
  return out;
}

TEST(Crew, EverythingThatMayBeSaid) {
  const auto outcome = ParseCrew(R"(agent: content-crew
tenant: acme
stop: never
roles:
  - {role: editor, command: python3  editor.py, ready: "waiting for drafts"}
  - role: researcher
    agent: other
    command: [python3, "my researcher.py"]
    dir: research
    env: {TOPIC: whales}
    ro: data
    rw: [out, more]
    hide: .git
    keep_env: MY_TOKEN
    after: editor
)",
                                 "crew.yaml");
  ASSERT_TRUE(outcome.crew.has_value()) << outcome.problems[0].ToString();
  const Crew& c = *outcome.crew;
  EXPECT_EQ(c.tenant->value(), "acme");
  EXPECT_EQ(c.stop, CrewStop::kNever);
  ASSERT_EQ(c.roles.size(), 2u);
  EXPECT_EQ(c.roles[0].agent.value(), "content-crew");
  EXPECT_EQ(c.roles[0].command, (std::vector<std::string>{"python3", "editor.py"}));
  EXPECT_EQ(c.roles[0].ready, "waiting for drafts");
  EXPECT_EQ(c.roles[1].agent.value(), "other");
  EXPECT_EQ(c.roles[1].command, (std::vector<std::string>{"python3", "my researcher.py"}));
  EXPECT_EQ(c.roles[1].env.at("TOPIC"), "whales");
  EXPECT_EQ(c.roles[1].read_write, (std::vector<std::string>{"out", "more"}));
  EXPECT_EQ(c.roles[1].after, std::vector<std::string>{"editor"});
}

TEST(Crew, ProblemsNameTheirPlaceAndWhatWasMeant) {
  EXPECT_EQ(Problems("roles:\n  - {role: a, command: x}\n  - {role: b, comand: y}\n"),
            "crew.yaml:3:5: roles[1].command: is needed here\n"
            "crew.yaml:3:15: roles[1].comand: unknown key; did you mean 'command'?\n");
  EXPECT_NE(Problems("roles:\n  - {role: editor, command: x}\n  - {role: b, command: y, after: editr}\n")
                .find("'editr' is no role above this one; did you mean 'editor'?"),
            std::string::npos);
  EXPECT_NE(Problems("roles:\n  - {role: a, command: x, after: b}\n  - {role: b, command: y}\n").find("no role above"),
            std::string::npos);
  EXPECT_NE(Problems("roles:\n  - {role: a, command: x}\n  - {role: a, command: y}\n").find("crew.yaml:3:12"),
            std::string::npos);
  EXPECT_NE(Problems("roles: []\n").find("names no role"), std::string::npos);
  EXPECT_NE(Problems("agent: x\n").find("roles: is needed"), std::string::npos);
  EXPECT_NE(Problems("roles:\n  - {role: a, command: \"  \"}\n").find("names no program"), std::string::npos);
  EXPECT_NE(Problems("roles:\n  - {role: a, command: x, env: {\"A=B\": c}}\n").find("not a variable's name"),
            std::string::npos);
  EXPECT_NE(Problems("roles: [\n").find("not YAML"), std::string::npos);
  EXPECT_NE(Problems("roles:\n  - {role: \"a/b\", command: x}\n").find("crew.yaml:2:12: roles[0].role"),
            std::string::npos);
}

TEST(Crew, StrayBracketsAndSecondDocumentsEnd) {
  EXPECT_NE(Problems("!ac,\n\x01}{\n\x0e}null"), "");
  EXPECT_EQ(Problems("roles: []\n---\nroles: []\n"), "crew.yaml:2:1: one document a file\n");
}

TEST(Crew, Bounds) {
  std::string text = "roles:\n";
  for (size_t i = 0; i <= limits::kMaxCrewRoles; ++i) text += "  - {role: r" + std::to_string(i) + ", command: x}\n";
  EXPECT_NE(Problems(text).find("at most 64 roles"), std::string::npos);
  EXPECT_NE(Problems(std::string(limits::kMaxCrewFileBytes + 1, '#')).find("larger than"), std::string::npos);
}

}  // namespace
}  // namespace hexr::config
