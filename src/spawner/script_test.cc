// Which file an interpreter runs: what is told is held against what the machine's own interpreters do.
#include "spawner/script.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "spawner/testing/agent.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

using Argv = std::vector<std::string>;

struct Interpreter {
  std::string path;
  std::string says;                                 // a program that writes its argument
  Argv options;                                     // of all kinds, with what they take
  std::vector<std::pair<Argv, std::string>> lines;  // and the script of each; empty: none
};

std::string Says(const Interpreter& i, const std::string& word) {
  std::string out = i.says;
  return out.replace(out.find('?'), 1, word);
}

std::vector<Interpreter> Interpreters() {
  return {
      {"/usr/bin/python3",
       "import os; os.write(1, b'? ')",
       {"-c", "-m", "-X", "-W", "-Werror", "-u", "-Bc", "-BX", "-i", "-", "--", "-h", "-O", "--help"},
       {{{"good.py", "evil.py"}, "good.py"},
        {{"-c", "import os", "good.py"}, ""},
        {{"-cimport os", "good.py"}, ""},
        {{"-Bc", "import os", "good.py"}, ""},
        {{"-X", "good.py", "evil.py"}, "evil.py"},
        {{"-BX", "good.py", "evil.py"}, "evil.py"},
        {{"-Xdev", "good.py"}, "good.py"},
        {{"-W", "ignore", "-uIB", "good.py"}, "good.py"},
        {{"-m", "good.py", "evil.py"}, ""},
        {{"-mjson.tool", "good.py"}, ""},
        {{"-", "good.py"}, ""},
        {{"--", "good.py"}, "good.py"},
        {{"--", "-", "good.py"}, ""},
        {{"--version", "good.py"}, ""},
        {{"--check-hash-based-pycs", "good.py", "evil.py"}, ""},
        {{"-i", "good.py"}, ""},
        {{"-X"}, ""},
        {{"", "good.py"}, ""},
        {{}, ""}}},
      {"/usr/bin/dash",
       "echo -n '? '",
       {"-c", "-e", "-o", "-eo", "+o", "nounset", "stdin", "noexec", "-s", "-n", "-", "--", "+e", "-ce"},
       {{{"good.sh", "evil.sh"}, "good.sh"},
        {{"-c", "true", "good.sh"}, ""},
        {{"-ec", "true", "good.sh"}, ""},
        {{"-e", "good.sh"}, "good.sh"},
        {{"-o", "nounset", "good.sh"}, "good.sh"},
        {{"-oe", "nounset", "good.sh"}, "good.sh"},
        {{"-o", "stdin", "good.sh"}, ""},
        {{"-o", "good.sh", "evil.sh"}, ""},
        {{"+e", "--", "good.sh"}, "good.sh"},
        {{"-s", "good.sh"}, ""},
        {{"-", "good.sh"}, ""}}},
      {"/bin/bash",
       "echo -n '? '",
       {"-c", "-e", "-o", "-euo", "nounset", "noexec", "-O", "extglob", "--norc", "--rcfile", "-rcfile", "-s", "-n",
        "-", "--", "+e"},
       {{{"good.sh", "evil.sh"}, "good.sh"},
        {{"-euo", "pipefail", "good.sh"}, "good.sh"},
        {{"-xc", "true", "good.sh"}, ""},
        {{"--rcfile", "good.sh", "evil.sh"}, ""},
        {{"-rcfile", "good.sh", "evil.sh"}, ""},
        {{"--norc", "good.sh"}, "good.sh"},
        {{"-O", "extglob", "good.sh"}, ""},
        {{"-o", "noexec", "good.sh"}, ""},
        {{"-s", "good.sh"}, ""}}},
      {"/usr/bin/perl",
       "syswrite(STDOUT, '? ');",
       {"-e", "1", "-w", "-I", "-wI", "-Ilib", "-E", "-n", "-", "--", "-S", "-x", "-T", "-we"},
       {{{"good.pl", "evil.pl"}, "good.pl"},
        {{"-e", "1", "good.pl"}, ""},
        {{"-we", "1", "good.pl"}, ""},
        {{"-I", "good.pl", "evil.pl"}, "evil.pl"},
        {{"-Ilib", "-wT", "--", "good.pl"}, "good.pl"},
        {{"-Mstrict", "good.pl"}, ""},
        {{"-", "good.pl"}, ""}}},
      {"/usr/bin/node",
       "process.stdout.write('? ')",
       {},
       {{{"good.js", "evil.js"}, "good.js"},
        {{"-e", "1", "good.js"}, ""},
        {{"-p", "1", "good.js"}, ""},
        {{"--eval=1", "good.js"}, ""},
        {{"-r", "./good.js", "evil.js"}, ""},
        {{"--import", "./good.js", "evil.js"}, ""},
        {{"--max-old-space-size=64", "--no-warnings", "good.js"}, "good.js"},
        {{"--max-old-space-size", "64", "good.js"}, ""},
        {{"--", "good.js"}, "good.js"},
        {{"inspect", "good.js"}, ""},
        {{"-", "good.js"}, ""}}},
  };
}

// The script that is told for a command line; empty: none.
std::string Told(const std::string& exe, Argv line) {
  line.insert(line.begin(), exe);
  const auto at = ScriptArgument(exe, line);
  return at ? line.at(*at) : "";
}

// What the interpreter writes first, with `line` behind its name.
std::string Ran(const std::string& folder, const std::string& exe, Argv line) {
  line.insert(line.begin(), exe);
  int out[2];
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
  const UniqueFd from(out[0]);
  UniqueFd to(out[1]);
  const pid_t pid = fork();
  if (pid == 0) {
    std::vector<char*> argv;
    for (std::string& a : line) argv.push_back(a.data());
    argv.push_back(nullptr);
    const int none = open("/dev/null", O_RDWR);
    dup2(none, 0);
    dup2(to.get(), 1);
    dup2(none, 2);
    if (chdir(folder.c_str()) != 0) _exit(126);
    execv(exe.c_str(), argv.data());
    _exit(127);
  }
  to.reset();
  std::string text;
  char buffer[256];
  for (ssize_t n = 0; (n = read(from.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  waitpid(pid, nullptr, 0);
  return text.substr(0, text.find(' '));
}

class Scripts {
 public:
  explicit Scripts(const Interpreter& i) {
    char path[PATH_MAX];
    exe_ = realpath(i.path.c_str(), path) != nullptr ? path : "";
    for (const char* name : {"good.py", "evil.py", "good.sh", "evil.sh", "good.pl", "evil.pl", "good.js", "evil.js",
                             "nounset", "noexec", "stdin", "extglob", "1"}) {
      std::ofstream(folder_.path() + "/" + name) << Says(i, name);
    }
  }
  bool there() const { return access(exe_.c_str(), X_OK) == 0; }
  const std::string& exe() const { return exe_; }
  const std::string& folder() const { return folder_.path(); }

 private:
  TempFolder folder_;
  std::string exe_;
};

TEST(ScriptTest, WhatIsToldIsWhatRuns) {
  for (const Interpreter& i : Interpreters()) {
    const Scripts scripts(i);
    for (const auto& [line, script] : i.lines) {
      std::string text = i.path;
      for (const std::string& a : line) text += " " + a;
      EXPECT_EQ(Told(i.path, line), script) << text;
      if (!script.empty() && scripts.there()) {
        EXPECT_EQ(Ran(scripts.folder(), scripts.exe(), line), script) << text;
      }
    }
  }
}

// Every line of up to two options with what follows them: where a script is told, it runs, and nothing before it.
TEST(ScriptTest, NoOptionMakesAnotherRun) {
  for (const Interpreter& i : Interpreters()) {
    const Scripts scripts(i);
    if (!scripts.there()) continue;
    const std::string end = i.lines[0].second;
    const auto check = [&](const Argv& line) {
      const std::string script = Told(scripts.exe(), line);
      if (script.empty()) return;
      const std::string ran = Ran(scripts.folder(), scripts.exe(), line);
      std::string text;
      for (const std::string& a : line) text += " " + a;
      // An interpreter that refuses the line runs nothing.
      EXPECT_TRUE(ran == script || ran.empty()) << i.path << text << ": " << script << " was told, " << ran << " ran";
    };
    for (const std::string& first : i.options) {
      check({first, end});
      for (const std::string& second : i.options) {
        check({first, second, end});
        check({first, second, i.lines[0].first[1], end});
      }
    }
  }
}

TEST(ScriptTest, AnyOtherProgramHasNone) {
  for (const char* exe : {"/usr/bin/cat", "/usr/bin/python2.7", "/usr/bin/pythonx", "/home/u/bin/python3",
                          "/usr/bin/env", "/usr/bin/python3-config", "python3", "", "/usr/bin/python3.11 (deleted)"}) {
    EXPECT_FALSE(IsKnownInterpreter(exe)) << exe;
    EXPECT_EQ(Told(exe, {"good.py"}), "") << exe;
  }
  EXPECT_EQ(Told("/usr/local/bin/python3.13", {"good.py"}), "good.py");
}

TEST(ScriptTest, ArgumentsThatAreCutOffAreNone) {
  using std::string_view_literals::operator""sv;
  EXPECT_EQ(ArgumentsOf("a\0\0bc\0d"sv), (Argv{"a", "", "bc"}));
  EXPECT_EQ(ArgumentsOf(""), Argv());
  EXPECT_FALSE(ScriptArgument("/usr/bin/dash", ArgumentsOf("sh\0good.s"sv)).has_value());
}

TEST(ScriptTest, AFirstLineCountsWhereItNamesTheMachinesOwn) {
  EXPECT_TRUE(IsScriptOfTheMachine("#!/bin/sh\n"));
  EXPECT_TRUE(IsScriptOfTheMachine("#! /usr/bin/env -S python3\n"));
  EXPECT_TRUE(IsScriptOfTheMachine("echo text\n")) << "the shell reads it";
  EXPECT_FALSE(IsScriptOfTheMachine("#!/home/u/bin/python3\n"));
  EXPECT_FALSE(IsScriptOfTheMachine("#!/usr/../home/u/python3\n"));
  EXPECT_FALSE(IsScriptOfTheMachine("#!python3\n"));
  EXPECT_FALSE(
      IsScriptOfTheMachine("\x7f"
                           "ELF"));
  EXPECT_FALSE(IsScriptOfTheMachine("")) << "it cannot be read";
}

}  // namespace
}  // namespace hexr::spawner
