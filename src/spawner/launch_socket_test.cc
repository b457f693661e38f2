#include "spawner/launch_socket.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <tuple>

#include "base/limits/agents.h"
#include "spawner/testing/node.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

UniqueFd ConnectTo(const std::string& path) {
  UniqueFd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  snprintf(a.sun_path, sizeof a.sun_path, "%s", path.c_str());
  EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  return client;
}

// A message that comes between accept and a later setsockopt would have no writer: the option is there from birth.
TEST(LaunchSocketTest, ConnectionsNameTheirWritersFromBirth) {
  const TempFolder folder;
  const std::string path = folder.path() + "/launch.sock";
  UniqueFd listener = ListenAt(path);
  const UniqueFd ours(fcntl(listener.get(), F_DUPFD_CLOEXEC, 3));
  runtime::Loop loop;
  const SystemClock clock;
  const LaunchSocket socket(loop, clock, std::move(listener), {});
  const UniqueFd client = ConnectTo(path);
  const UniqueFd accepted(accept4(ours.get(), nullptr, nullptr, SOCK_CLOEXEC));
  int on = 0;
  socklen_t size = sizeof on;
  ASSERT_EQ(getsockopt(accepted.get(), SOL_SOCKET, SO_PASSCRED, &on, &size), 0);
  EXPECT_EQ(on, 1);
}

size_t OpenDescriptors() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

// launch.sock alone: who asks is of `party`, and what is asked for is kept.
struct Door {
  explicit Door(Party::Kind kind = Party::Kind::kUser, LaunchTimes times = {}) {
    party = {kind, "them"};
    LaunchSocket::Events events;
    events.launch = [this](std::shared_ptr<LaunchSession> s, const pb::Launch&, std::vector<UniqueFd> fds) {
      asked.push_back(std::move(s));
      given += fds.size();
    };
    events.attach = [this](std::shared_ptr<LaunchSession> s, const pb::Attach&) { asked.push_back(std::move(s)); };
    events.party = [this](const Caller&) { return party; };
    UniqueFd listener = ListenAt(path);
    listen(listener.get(), 4096);
    socket = std::make_unique<LaunchSocket>(loop, clock, std::move(listener), std::move(events), times);
  }
  UniqueFd Connect() {
    UniqueFd client = ConnectTo(path);
    const size_t before = socket->sessions() + socket->refusals().written();
    for (int i = 0; i < 1000 && socket->sessions() + socket->refusals().written() == before; ++i)
      loop.RunFor(std::chrono::milliseconds(2));
    return client;
  }
  // What was said to this client, as soon as something is; "" when nothing comes.
  std::string Answer(const UniqueFd& client) {
    for (int i = 0; i < 2000; ++i) {
      auto p = ReceiveLaunchMessage(client.get());
      pb::ServerMessage m;
      if (p.ok() && m.ParseFromArray(p->body.data(), static_cast<int>(p->body.size())) && m.has_refused())
        return m.refused().message();
      if (!p.ok() && p.error().code() == ErrorCode::kUnavailable) return "closed";
      loop.RunFor(std::chrono::milliseconds(2));
    }
    return "";
  }
  static pb::ClientMessage Launch() {
    pb::ClientMessage m;
    m.mutable_launch()->set_agent("crew");
    return m;
  }

  TempFolder folder;
  std::string path = folder.path() + "/launch.sock";
  Party party;
  runtime::Loop loop;
  ManualClock clock{WallTime{}};
  std::vector<std::shared_ptr<LaunchSession>> asked;
  size_t given = 0;
  std::unique_ptr<LaunchSocket> socket;
};

TEST(LaunchSocketTest, AnAgentHasSoManyConnectionsAndTheyAreItsOwn) {
  Door door(Party::Kind::kAgent);
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i < limits::kMaxLaunchSessionsPerAgent; ++i) clients.push_back(door.Connect());
  EXPECT_EQ(door.socket->sessions(), limits::kMaxLaunchSessionsPerAgent);
  {
    const size_t open = OpenDescriptors();
    const UniqueFd over = door.Connect();
    EXPECT_NE(door.Answer(over).find("too many connections"), std::string::npos);
    EXPECT_EQ(door.Answer(over), "closed");
    EXPECT_EQ(OpenDescriptors(), open + 1) << "what was refused is still open";
  }
  EXPECT_EQ(door.socket->sessions(), limits::kMaxLaunchSessionsPerAgent);
  door.party.name = "another";
  clients.push_back(door.Connect());
  EXPECT_EQ(door.socket->sessions(), limits::kMaxLaunchSessionsPerAgent + 1);
  // One that is closed makes room.
  door.party.name = "them";
  clients.erase(clients.begin());
  for (int i = 0; i < 1000 && door.socket->sessions() > limits::kMaxLaunchSessionsPerAgent; ++i)
    door.loop.RunFor(std::chrono::milliseconds(2));
  clients.push_back(door.Connect());
  EXPECT_EQ(door.socket->sessions(), limits::kMaxLaunchSessionsPerAgent + 1);
}

TEST(LaunchSocketTest, AUserHasSoManyConnectionsToo) {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;  // both ends are ours
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  Door door(Party::Kind::kUser);
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i < limits::kMaxLaunchSessionsPerUser; ++i) clients.push_back(door.Connect());
  EXPECT_EQ(door.socket->sessions(), limits::kMaxLaunchSessionsPerUser);
  const UniqueFd over = door.Connect();
  EXPECT_NE(door.Answer(over).find("too many connections"), std::string::npos);
  door.party.name = "another";
  clients.push_back(door.Connect());
  EXPECT_EQ(door.socket->sessions(), limits::kMaxLaunchSessionsPerUser + 1);
}

TEST(LaunchSocketTest, UsersTogetherLeaveAQuarterToTheOwner) {
  Allowance allowance(limits::kMaxLaunchSessions);
  std::vector<std::shared_ptr<void>> held;
  const auto fill = [&](const Party& party) {
    const size_t before = held.size();
    while (auto token = allowance.Take(party, limits::kMaxLaunchSessionsPerUser)) held.push_back(std::move(token));
    return held.size() - before;
  };
  EXPECT_EQ(fill({Party::Kind::kUser, "uid:1"}), limits::kMaxLaunchSessionsPerUser);
  EXPECT_EQ(fill({Party::Kind::kUser, "uid:2"}), limits::kMaxLaunchSessionsPerUser);
  EXPECT_EQ(fill({Party::Kind::kUser, "uid:3"}), limits::kMaxLaunchSessionsPerUser);
  EXPECT_EQ(fill({Party::Kind::kUser, "uid:4"}), 0u);
  EXPECT_EQ(fill({Party::Kind::kOwner, "uid:0"}), limits::kMaxLaunchSessions / 4);
  held.clear();
  EXPECT_EQ(fill({Party::Kind::kUser, "uid:4"}), limits::kMaxLaunchSessionsPerUser);
}

TEST(LaunchSocketTest, LaunchesUnderWayAreBoundedUntilTheyAreSettled) {
  Door door;
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i < limits::kMaxLaunchesUnderWayOfOne; ++i) {
    clients.push_back(door.Connect());
    ASSERT_TRUE(SendLaunchMessage(clients.back().get(), Door::Launch(), {}).ok());
  }
  for (int i = 0; i < 1000 && door.asked.size() < clients.size(); ++i) door.loop.RunFor(std::chrono::milliseconds(2));
  EXPECT_EQ(door.asked.size(), limits::kMaxLaunchesUnderWayOfOne);
  UniqueFd over = door.Connect();
  ASSERT_TRUE(SendLaunchMessage(over.get(), Door::Launch(), {}).ok());
  EXPECT_NE(door.Answer(over).find("too many launches"), std::string::npos);
  // Hanging up does not end what is under way.
  clients.clear();
  for (int i = 0; i < 1000 && door.socket->sessions() > 0; ++i) door.loop.RunFor(std::chrono::milliseconds(2));
  over = door.Connect();
  ASSERT_TRUE(SendLaunchMessage(over.get(), Door::Launch(), {}).ok());
  EXPECT_NE(door.Answer(over).find("too many launches"), std::string::npos);
  door.asked.back()->Settled();
  over = door.Connect();
  ASSERT_TRUE(SendLaunchMessage(over.get(), Door::Launch(), {}).ok());
  for (int i = 0; i < 1000 && door.asked.size() == limits::kMaxLaunchesUnderWayOfOne; ++i)
    door.loop.RunFor(std::chrono::milliseconds(2));
  EXPECT_EQ(door.asked.size(), limits::kMaxLaunchesUnderWayOfOne + 1);
  EXPECT_LT(limits::kMaxLaunchesUnderWayOfOne, limits::kMaxLaunchesUnderWay / 4 * 3) << "one takes all";
}

TEST(LaunchSocketTest, AConnectionIsGoodForOneLaunch) {
  Door door;
  pb::ClientMessage attach;
  attach.mutable_attach()->set_instance("x");
  for (const pb::ClientMessage& first : {Door::Launch(), attach}) {
    for (const pb::ClientMessage& second : {Door::Launch(), attach}) {
      door.asked.clear();
      const UniqueFd client = door.Connect();
      ASSERT_TRUE(SendLaunchMessage(client.get(), first, {}).ok());
      ASSERT_TRUE(SendLaunchMessage(client.get(), second, {}).ok());
      EXPECT_EQ(door.Answer(client), "one launch a connection");
      EXPECT_EQ(door.asked.size(), 1u);
    }
  }
}

TEST(LaunchSocketTest, WhoSaysNothingOrDoesNotHangUpIsHungUpOn) {
  EXPECT_EQ(LaunchTimes().request, limits::kLaunchRequestDeadline);
  EXPECT_EQ(LaunchTimes().linger, limits::kLaunchLinger);
  Door door(Party::Kind::kUser, {std::chrono::milliseconds(20), std::chrono::milliseconds(20)});
  const UniqueFd silent = door.Connect();
  EXPECT_NE(door.Answer(silent).find("in time"), std::string::npos);
  EXPECT_EQ(door.socket->sessions(), 0u);
  // One that has asked is not; and goes when it was answered, though its other end stays.
  const UniqueFd asks = ConnectTo(door.path);
  ASSERT_TRUE(SendLaunchMessage(asks.get(), Door::Launch(), {}).ok());
  for (int i = 0; i < 1000 && door.asked.empty(); ++i) door.loop.RunFor(std::chrono::milliseconds(2));
  ASSERT_EQ(door.asked.size(), 1u);
  for (int i = 0; i < 30; ++i) door.loop.RunFor(std::chrono::milliseconds(2));
  EXPECT_EQ(door.socket->sessions(), 1u);
  door.asked[0]->Refuse(125, "no");
  for (int i = 0; i < 2000 && door.socket->sessions() > 0; ++i) door.loop.RunFor(std::chrono::milliseconds(2));
  EXPECT_EQ(door.socket->sessions(), 0u);
  EXPECT_EQ(door.Answer(asks), "no");
}

TEST(LaunchSocketTest, DescriptorsThatAreNotTakenAreClosed) {
  Door door;
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  pb::ClientMessage attach, signal;
  attach.mutable_attach()->set_instance("x");
  signal.mutable_signal()->set_signal(15);
  const size_t open = OpenDescriptors();
  for (const auto& [message, count, why] :
       {std::tuple{attach, size_t{2}, "descriptors come with a launch alone"},
        std::tuple{signal, size_t{2}, "descriptors come with a launch alone"},
        std::tuple{Door::Launch(), limits::kMaxLaunchFds + 1, "too many descriptors"}}) {
    const UniqueFd client = door.Connect();
    ASSERT_TRUE(SendLaunchMessage(client.get(), message, std::vector<int>(count, null.get())).ok());
    EXPECT_NE(door.Answer(client).find(why), std::string::npos) << why;
    EXPECT_EQ(OpenDescriptors(), open + 1);
  }
  EXPECT_EQ(door.asked.size(), 0u);
  const UniqueFd client = door.Connect();
  ASSERT_TRUE(
      SendLaunchMessage(client.get(), Door::Launch(), std::vector<int>(limits::kMaxLaunchFds, null.get())).ok());
  for (int i = 0; i < 1000 && door.asked.empty(); ++i) door.loop.RunFor(std::chrono::milliseconds(2));
  EXPECT_EQ(door.given, limits::kMaxLaunchFds);
}

TEST(LaunchSocketTest, RefusalsAreLoggedAtARateForEach) {
  ManualClock clock{WallTime{}};
  RefusalLog log(clock);
  const Caller caller;
  const auto write = [&](const std::string& name) { log.Write({Party::Kind::kUser, name}, caller, "crew", 125, "no"); };
  const auto burst = static_cast<size_t>(limits::kRefusalsLoggedBurst);
  for (size_t i = 0; i < 10 * burst; ++i) write("loud");
  EXPECT_EQ(log.written(), burst);
  write("quiet");
  EXPECT_EQ(log.written(), burst + 1);
  clock.Advance(std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(1 / limits::kRefusalsLoggedPerSecond)));
  write("loud");
  write("loud");
  EXPECT_EQ(log.written(), burst + 2);
  // Who comes as somebody else each time shares what is left for those.
  for (size_t i = 0; i < limits::kMaxRefusalParties + 10 * burst; ++i) write("n" + std::to_string(i));
  EXPECT_LE(log.written(), limits::kMaxRefusalParties + 2 * burst + 2);
}

}  // namespace
}  // namespace hexr::spawner
