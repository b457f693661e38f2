// What a spawner keeps for others, and how much of it.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/limits/agents.h"
#include "spawner/testing/client.h"
#include "spawner/testing/node.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

class BoundsTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, BoundsTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

// Launches an agent that stays; what the supervisor has of it.
pb::ParkedInstance ParkedAgent(Node& node, Client& c, const std::string& folder) {
  c.Launch(folder, {"sleep", "1000"});
  EXPECT_TRUE(node.UntilStarted(c) && c.started.has_value());
  pb::ParkedInstance parked;
  EXPECT_TRUE(node.Until([&] { return node.parked.size() == 1; }));
  EXPECT_TRUE(parked.ParseFromString(node.parked.begin()->second.first));
  return parked;
}

// A gateway that asks for more than PID 1 makes, here one that does not run.
TEST_P(BoundsTest, SoManySocketsAreAskedOfOneAgent) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    const pb::ParkedInstance agent = ParkedAgent(node, c, folder.path());
    ASSERT_EQ(kill(agent.init_pid(), SIGSTOP), 0);
    size_t made = 0, refused = 0;
    for (size_t i = 0; i < limits::kMaxQueuedSockets + 3; ++i) {
      Envelope e;
      e.mutable_open_socket()->set_instance(agent.instance());
      node.gateway->Call(std::move(e), {}, std::chrono::minutes(1), [&](const Result<Message>& r) {
        made += r.ok();
        refused += !r.ok() && r.error().code() == ErrorCode::kResourceExhausted;
      });
    }
    EXPECT_TRUE(node.Until([&] { return refused == 3; })) << refused;
    EXPECT_EQ(made, 0u);
    ASSERT_EQ(kill(agent.init_pid(), SIGCONT), 0);
    EXPECT_TRUE(node.Until([&] { return made == limits::kMaxQueuedSockets; })) << made;
    EXPECT_EQ(refused, 3u);
  });
}

// Unbounded is the node's owner alone, who is at the node: not whoever has the uid in a container.
TEST_P(BoundsTest, InAnotherPidNamespaceTheOwnerIsAnybody) {
  As(GetParam(), [] {
    rlimit files{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    Node node;
    int out[2];
    ASSERT_EQ(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
    const UniqueFd read_end(out[0]), write_end(out[1]);
    fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      GoIntoAnotherPidNamespace();
      sockaddr_un a{};
      a.sun_family = AF_UNIX;
      snprintf(a.sun_path, sizeof a.sun_path, "%s", node.path().c_str());
      std::vector<UniqueFd> held;
      for (size_t i = 0; i <= limits::kMaxLaunchSessionsPerUser; ++i) {
        held.emplace_back(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        if (connect(held.back().get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) _exit(1);
      }
      pollfd p{held.back().get(), POLLIN, 0};
      poll(&p, 1, 30'000);
      const auto packet = ReceiveLaunchMessage(held.back().get());
      pb::ServerMessage answer;
      const bool heard =
          packet.ok() && answer.ParseFromArray(packet->body.data(), static_cast<int>(packet->body.size()));
      const std::string said = heard ? answer.refused().message() : "nothing";
      (void)!write(write_end.get(), said.data(), said.size());
      _exit(0);
    }
    char said[512] = {};
    EXPECT_TRUE(node.Until([&] { return read(read_end.get(), said, sizeof said - 1) > 0; }));
    EXPECT_NE(std::string(said).find("too many connections"), std::string::npos) << said;
    waitpid(child, nullptr, 0);
  });
}

// Ends without a starter to hear them, and without a keeper: the last so many are kept for each. One agent under many
// names stands for as many, as parked by a predecessor.
TEST_P(BoundsTest, EndsThatNobodyHeardAreKeptAndNotForEver) {
  As(GetParam(), [] {
    constexpr size_t kAgents = limits::kMaxUnheardEnds + 44;
    rlimit files{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    Node node;
    const TempFolder folder;
    Client c(node.path());
    pb::ParkedInstance agent = ParkedAgent(node, c, folder.path());
    const auto& handles = node.parked.begin()->second.second;
    const size_t own = handles.size() - static_cast<size_t>(agent.listeners_size() + agent.folders_size());
    agent.clear_listeners();
    agent.clear_folders();
    std::vector<std::string> names;
    for (size_t i = 0; i < kAgents; ++i) {
      names.push_back(InstanceId::Make(1'700'000'000'000 + i, "0123456789").value());
      agent.set_instance(names.back());
      Envelope e;
      e.mutable_park()->set_key(names.back());
      e.mutable_park()->set_state(agent.SerializeAsString());
      std::vector<UniqueFd> fds;
      for (size_t h = 0; h < own; ++h) fds.emplace_back(fcntl(handles[h].get(), F_DUPFD_CLOEXEC, 3));
      ASSERT_TRUE(node.supervisor->Send(std::move(e), std::move(fds)).ok());
    }
    ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == kAgents + 1; }));
    node.keeper.reset();
    node.loop.RunFor(std::chrono::milliseconds(5));
    ASSERT_EQ(kill(agent.init_pid(), SIGKILL), 0);
    ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == 0; }));

    size_t heard = 0, forgotten = 0;
    for (const std::string& name : names) {
      Client again(node.path());
      pb::ClientMessage attach;
      attach.mutable_attach()->set_instance(name);
      again.Send(attach);
      ASSERT_TRUE(node.UntilEnded(again));
      heard += again.ended.has_value();
      forgotten += again.refused.has_value();
    }
    EXPECT_EQ(heard, limits::kMaxUnheardEnds);
    EXPECT_EQ(forgotten, kAgents - limits::kMaxUnheardEnds);

    node.events.clear();
    node.ConnectKeeper();
    size_t told = 0;
    for (int turn = 0; turn < 100; ++turn) node.loop.RunFor(std::chrono::milliseconds(2));
    for (size_t at = 0; (at = node.events.find("ended ", at)) != std::string::npos; ++at) ++told;
    EXPECT_EQ(told, limits::kMaxUnheardEnds);
  });
}

}  // namespace
}  // namespace hexr::spawner
