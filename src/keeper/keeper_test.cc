#include "keeper/keeper.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "crypto/keys.h"
#include "identity/testing/puppet.h"
#include "ledger/tiles.h"
#include "ledger/verify.h"
#include "runtime/packet.h"
#include "runtime/process.h"

namespace hexr::keeper {
namespace {

using identity::testing::Puppet;
using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// The machine's clock as an operator or NTP sets it. The ledger's thread reads it too.
class SteppedClock final : public Clock {
 public:
  WallTime Wall() const override { return real_.Wall() + std::chrono::nanoseconds(offset_.load()); }
  MonoTime Mono() const override { return real_.Mono(); }
  void Step(std::chrono::nanoseconds d) { offset_ += d.count(); }

 private:
  SystemClock real_;
  std::atomic<int64_t> offset_ = 0;
};

UniqueFd Listen(const std::string& path, int type) {
  UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  EXPECT_EQ(listen(fd.get(), 8), 0);
  return fd;
}

// A keeper, whole, with stand-ins at the other ends of its channels.
class KeeperTest : public ::testing::Test {
 protected:
  KeeperTest() {
    char name[] = "/tmp/hexr-keeper-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~KeeperTest() override {
    Stop();
    std::filesystem::remove_all(folder_);
  }

  void Start() {
    const std::string yaml = "trust_domain: example.org\nmachine_key: file\nledger: {checkpoint_interval: 50ms}\n";
    auto config = config::ParseOrError(yaml, "test.yaml");
    ASSERT_TRUE(config.ok()) << config.error().ToString();
    auto [ours, theirs] = runtime::MakePacketPair().value();
    supervisor_ = std::make_unique<Channel>(
        loop_, std::move(theirs), "keeper", [](Message, Channel::Reply r) { r.Ack(); }, [](const Error&) {});
    to_supervisor_ = std::make_unique<Channel>(
        loop_, std::move(ours), "supervisor", [](Message, Channel::Reply r) { r.Ack(); }, [](const Error&) {});
    const std::string life = std::to_string(++lives_);
    auto keeper = Keeper::Create(loop_, clock_, random_,
                                 {.config = std::move(*config),
                                  .config_yaml = yaml,
                                  .state_dir = folder_,
                                  .boot_id = "boot",
                                  .api_listener = Listen(folder_ + "/api" + life, SOCK_STREAM),
                                  .admin_listener = Listen(folder_ + "/admin" + life, SOCK_SEQPACKET)},
                                 *to_supervisor_);
    ASSERT_TRUE(keeper.ok()) << keeper.error().ToString();
    keeper_ = std::move(*keeper);
    spawner_ = Connect("spawner", "");
    gateway_ = Connect("gateway", "default");
  }
  void Stop() {
    if (!keeper_) return;
    bool done = false;
    keeper_->Drain([&] { done = true; });
    while (!done) loop_.RunFor(std::chrono::milliseconds(10));
    keeper_.reset();
  }
  std::unique_ptr<Channel> Connect(const std::string& role, const std::string& tenant) {
    auto [ours, theirs] = runtime::MakePacketPair().value();
    keeper_->OnPeer(role, tenant, std::move(theirs));
    return std::make_unique<Channel>(
        loop_, std::move(ours), "keeper", [](Message, Channel::Reply r) { r.Ack(); }, [](const Error&) {});
  }
  Result<Message> Ask(Channel& channel, Envelope e, std::vector<UniqueFd> fds = {}) {
    std::optional<Result<Message>> answer;
    channel.Call(std::move(e), std::move(fds), seconds(10), [&](Result<Message> r) { answer = std::move(r); });
    while (!answer) loop_.RunFor(std::chrono::milliseconds(10));
    return std::move(*answer);
  }
  Status Register(const InstanceId& id, const Puppet& process) {
    Envelope e;
    auto& r = *e.mutable_register_instance();
    r.set_instance(id.value());
    r.set_tenant("default");
    r.set_agent("crew");
    r.set_role("writer");
    r.set_pid(process.pid());
    r.mutable_image()->set_exe("/usr/bin/python3");
    r.add_exe_patterns("python3*");
    std::vector<UniqueFd> fds;
    fds.push_back(std::move(*runtime::OpenPidfd(process.pid())));
    const auto answer = Ask(*spawner_, std::move(e), std::move(fds));
    return answer.ok() ? Ok() : Status(answer.error());
  }
  // What a certificate that is issued now has left to live.
  std::chrono::nanoseconds LifeOfFreshSvid(const InstanceId& id) {
    Envelope e;
    const Bytes spki = crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key().spki();
    e.mutable_issue_svid()->set_instance(id.value());
    e.mutable_issue_svid()->set_spki_der(spki.data(), spki.size());
    const auto answer = Ask(*gateway_, std::move(e));
    EXPECT_TRUE(answer.ok()) << answer.error().ToString();
    if (!answer.ok()) return {};
    return WallTime(seconds(answer->body.svid().not_after_unix())) - clock_.Wall();
  }
  void ExpectWholeLog(const std::string& name) {
    const std::string path = ledger::Ledger::LogFolder(folder_ + "/ledger", name);
    std::ifstream in(path + "/" + ledger::kKeyPath);
    const std::string key((std::istreambuf_iterator<char>(in)), {});
    auto storage = ledger::DirectoryStorage::OpenReadOnly(path);
    ASSERT_TRUE(storage.ok());
    const auto report = ledger::VerifyLog(*storage, {.log_key = ledger::ParseKeyFile(key).value().keys.front()});
    ASSERT_TRUE(report.ok()) << report.error().ToString();
    EXPECT_EQ(report->problems_total, 0u) << ledger::ToJson(*report);
    EXPECT_GT(report->records, 3u);
  }

  std::string folder_;
  int lives_ = 0;
  SteppedClock clock_;
  SystemRandom random_;
  runtime::Loop loop_;
  std::unique_ptr<Channel> supervisor_, to_supervisor_, spawner_, gateway_;
  std::unique_ptr<Keeper> keeper_;
};

TEST_F(KeeperTest, StepsOfTheClockMakeNothingLiveLongerAndBreakNoLog) {
  Start();
  Puppet agent;
  const InstanceId id = InstanceId::Make(1, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  for (const auto step : {hours(0), hours(3), -hours(5), hours(48), -hours(47)}) {
    clock_.Step(step);
    loop_.RunFor(std::chrono::milliseconds(20));
    const auto life = LifeOfFreshSvid(id);
    EXPECT_GT(life, minutes(5)) << "after " << step.count() << " h";
    EXPECT_LE(life, minutes(16)) << "after " << step.count() << " h";
  }
  Stop();
  ExpectWholeLog("");
  ExpectWholeLog("default");
  // Nor does a start at an earlier time than the last end refuse what lies there.
  clock_.Step(-hours(30));
  Start();
  ASSERT_TRUE(Register(id, agent).ok());
  EXPECT_LE(LifeOfFreshSvid(id), minutes(16));
  Stop();
  ExpectWholeLog("");
  ExpectWholeLog("default");
}

TEST_F(KeeperTest, WhoWasKilledIsNotRegisteredAgain) {
  Start();
  Puppet agent, other;
  const InstanceId id = InstanceId::Make(1, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  const UniqueFd operators(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  const std::string path = folder_ + "/admin" + std::to_string(lives_);
  std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
  ASSERT_EQ(connect(operators.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  Envelope kill;
  kill.set_call(1);
  kill.mutable_admin_call()->set_method("kill");
  (*kill.mutable_admin_call()->mutable_args())["target"] = id.value();
  ASSERT_TRUE(runtime::SendBlocking(operators.get(), kill, {}, seconds(5)).ok());
  pollfd gone{agent.ready(), POLLIN, 0};  // its end of the pipe closes with it
  while (poll(&gone, 1, 0) == 0) loop_.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(Register(id, other).error().code(), ErrorCode::kFailedPrecondition);
  Envelope ended;
  ended.mutable_instance_ended()->set_instance(id.value());
  EXPECT_TRUE(Ask(*spawner_, std::move(ended)).ok());
}

TEST_F(KeeperTest, AQuarantineIsKnownToTheNextKeeperAndToItsGatewayBeforeTheJournal) {
  Start();
  Puppet agent;
  const InstanceId id = InstanceId::Make(1, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  // An image that the role does not allow.
  Envelope exec;
  exec.mutable_exec_done()->set_instance(id.value());
  exec.mutable_exec_done()->mutable_image()->set_exe("/usr/bin/nc");
  EXPECT_EQ(Ask(*spawner_, std::move(exec)).error().code(), ErrorCode::kPermissionDenied);
  Stop();

  Start();
  std::vector<std::string> told;
  auto [ours, theirs] = runtime::MakePacketPair().value();
  keeper_->OnPeer("gateway", "default", std::move(theirs));
  gateway_ = std::make_unique<Channel>(
      loop_, std::move(ours), "keeper",
      [&](Message m, Channel::Reply r) {
        if (m.body.has_quarantine() && m.body.quarantine().on()) told.push_back(m.body.quarantine().instance());
        r.Ack();
      },
      [](const Error&) {});
  Envelope open;
  open.mutable_open_journal()->set_tenant("default");
  ASSERT_TRUE(Ask(*gateway_, std::move(open)).ok());
  EXPECT_EQ(told, std::vector<std::string>{id.value()}) << "before the spawner has registered it again";
  ASSERT_TRUE(Register(id, agent).ok());
  Envelope issue;
  const Bytes spki = crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key().spki();
  issue.mutable_issue_svid()->set_instance(id.value());
  issue.mutable_issue_svid()->set_spki_der(spki.data(), spki.size());
  EXPECT_EQ(Ask(*gateway_, std::move(issue)).error().code(), ErrorCode::kPermissionDenied);
}

}  // namespace
}  // namespace hexr::keeper
