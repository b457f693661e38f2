// What is said of the files that run: at a launch, and after each exec.
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "crypto/digest.h"
#include "spawner/image.h"
#include "spawner/testing/client.h"
#include "spawner/testing/node.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

class AttestedTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, AttestedTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

std::string DigestOf(const std::string& text) {
  const crypto::Sha256Digest d = crypto::Sha256(text);
  return {reinterpret_cast<const char*>(d.data()), d.size()};
}

// The launcher chooses the arguments: a file that does not run is not named for one that does.
TEST_P(AttestedTest, TheScriptOfALaunchIsTheOneThatRuns) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    const std::string good = "import sys\n", evil = "import os\n", shell = "#!/bin/sh\ntrue\n";
    std::ofstream(folder.path() + "/good.py") << good;
    std::ofstream(folder.path() + "/evil.py") << evil;
    for (const auto& [name, text] : {std::pair("run", shell), std::pair("mine", "#!" + folder.path() + "/run\n")}) {
      std::ofstream(folder.path() + "/" + name) << text;
      chmod((folder.path() + "/" + name).c_str(), 0755);
    }
    const auto script = [&](std::vector<std::string> argv) {
      Client c(node.path());
      node.registered.clear();
      c.Launch(folder.path(), std::move(argv));
      EXPECT_TRUE(node.UntilEnded(c));
      EXPECT_EQ(node.registered.size(), 1u);
      return node.registered.empty() ? "" : node.registered[0].image().script_sha256();
    };
    EXPECT_EQ(script({"python3", "good.py", "evil.py"}), DigestOf(good));
    EXPECT_EQ(script({"/usr/bin/python3", folder.path() + "/good.py"}), DigestOf(good));
    EXPECT_EQ(script({"python3", "-X", "good.py", "evil.py"}), DigestOf(evil));
    EXPECT_EQ(script({"python3", "-c", "import os", "good.py"}), "");
    EXPECT_EQ(script({"python3", "-mjson", "good.py"}), "");
    EXPECT_EQ(script({"cat", "good.py"}), "");
    EXPECT_EQ(script({"./run", "good.py"}), DigestOf(shell));
    EXPECT_EQ(script({"./mine", "good.py"}), "") << "whose interpreter is the launcher's own";
  });
}

// The process is seen in its new memory before it has its new arguments, more often than not.
TEST_P(AttestedTest, EachOfManyExecsHasItsScript) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    const std::string text = "read x\nexec sh ./again\n";
    std::ofstream(folder.path() + "/again") << text;
    Client c(node.path());
    c.Launch(folder.path(), {"sh", "again"});
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_TRUE(c.started.has_value());
    EXPECT_EQ(node.registered.at(0).image().script_sha256(), DigestOf(text));
    for (size_t n = 1; n <= 100; ++n) {
      ASSERT_EQ(write(c.input.get(), "\n", 1), 1);
      ASSERT_TRUE(node.Until([&] { return node.exec_done.size() == n; }));
      EXPECT_EQ(node.exec_done.back().image().script_sha256(), DigestOf(text)) << "exec " << n;
    }
  });
}

TEST_P(AttestedTest, AnExecThatNobodyCanLookAtNowIsAttestedLater) {
  As(GetParam(), [] {
    Node node;
    node.hold_execs = true;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sh", "-c", "read x; exec cat"});
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_EQ(write(c.input.get(), "\n", 1), 1);
    ASSERT_TRUE(node.Until([&] { return !node.held_execs.empty(); }));
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{3, before.rlim_max};  // poll(2) wants more than none
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    node.held_execs[0].Ack();
    const runtime::Timer busy = node.loop.After(std::chrono::hours(1), [] {});
    for (int i = 0; i < 100; ++i) node.loop.RunFor(std::chrono::milliseconds(2));
    EXPECT_TRUE(node.exec_done.empty());
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_TRUE(node.Until([&] { return node.exec_done.size() == 1; }));
    EXPECT_EQ(node.exec_done[0].image().exe_sha256().size(), 32u);
  });
}

}  // namespace
}  // namespace hexr::spawner
