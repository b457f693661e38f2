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
  EXPECT_TRUE(node.Until([&] { return node.parked.contains(c.started->instance()); }));
  EXPECT_TRUE(parked.ParseFromString(node.parked.at(c.started->instance()).first));
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

void RaiseFileLimit() {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
}

// Unbounded is the node's owner alone, who is at the node: not whoever has the uid in a container.
TEST_P(BoundsTest, InAnotherPidNamespaceTheOwnerIsAnybody) {
  As(GetParam(), [] {
    RaiseFileLimit();
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

// One agent under many names stands for as many, as parked by a predecessor.
void ParkAgain(Node& node, pb::ParkedInstance agent, const std::vector<std::string>& names) {
  const auto& handles = node.parked.at(agent.instance()).second;
  const size_t own = handles.size() - static_cast<size_t>(agent.listeners_size() + agent.folders_size());
  agent.clear_listeners();
  agent.clear_folders();
  for (const std::string& name : names) {
    agent.set_instance(name);
    Envelope e;
    e.mutable_park()->set_key(name);
    e.mutable_park()->set_state(agent.SerializeAsString());
    std::vector<UniqueFd> fds;
    for (size_t h = 0; h < own; ++h) fds.emplace_back(fcntl(handles[h].get(), F_DUPFD_CLOEXEC, 3));
    ASSERT_TRUE(node.supervisor->Send(std::move(e), std::move(fds)).ok());
  }
}

std::vector<std::string> Names(size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(InstanceId::Make(1'700'000'000'000 + i, "0123456789").value());
  return names;
}

// How many of these ends are told to whoever asks for them now.
size_t Heard(Node& node, const std::vector<std::string>& names) {
  size_t heard = 0;
  for (const std::string& name : names) {
    Client again(node.path());
    pb::ClientMessage attach;
    attach.mutable_attach()->set_instance(name);
    again.Send(attach);
    EXPECT_TRUE(node.UntilEnded(again));
    EXPECT_NE(again.ended.has_value(), again.refused.has_value());
    heard += again.ended.has_value();
  }
  return heard;
}

// The attack: more ends of one user's than are kept, after the few of another's.
TEST_P(BoundsTest, NobodysEndsPushOutThoseOfWhoHasFewer) {
  As(GetParam(), [] {
    RaiseFileLimit();
    Node node;
    const TempFolder folder;
    Client c(node.path());
    Client other(node.path());
    const std::vector<std::string> all = Names(limits::kMaxUnheardEnds + 44);
    const std::vector<std::string> mine(all.begin(), all.begin() + 3), others(all.begin() + 3, all.end());
    const pb::ParkedInstance my_agent = ParkedAgent(node, c, folder.path());
    ParkAgain(node, my_agent, mine);
    pb::ParkedInstance their_agent = ParkedAgent(node, other, folder.path());
    their_agent.set_caller_uid(their_agent.caller_uid() + 1);
    ParkAgain(node, their_agent, others);
    ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == all.size() + 2; }));
    ASSERT_EQ(kill(my_agent.init_pid(), SIGKILL), 0);
    ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == others.size() + 1; }));
    ASSERT_EQ(kill(their_agent.init_pid(), SIGKILL), 0);
    ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == 0; }));
    EXPECT_EQ(Heard(node, mine), mine.size());
  });
}

// Ends without a starter to hear them, and without a keeper: the last so many are kept for each.
TEST_P(BoundsTest, EndsThatNobodyHeardAreKeptAndNotForEver) {
  As(GetParam(), [] {
    RaiseFileLimit();
    Node node;
    const TempFolder folder;
    Client c(node.path());
    const pb::ParkedInstance agent = ParkedAgent(node, c, folder.path());
    const std::vector<std::string> names = Names(limits::kMaxUnheardEnds + 44);
    ParkAgain(node, agent, names);
    ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == names.size() + 1; }));
    node.keeper.reset();
    node.loop.RunFor(std::chrono::milliseconds(5));
    ASSERT_EQ(kill(agent.init_pid(), SIGKILL), 0);
    ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == 0; }));

    EXPECT_EQ(Heard(node, names), limits::kMaxUnheardEnds);

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
