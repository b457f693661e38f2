// Who is served what at the keeper's doors, and what has changed while somebody waited there.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/limits/identity.h"
#include "crypto/jwk.h"
#include "crypto/jws.h"
#include "keeper/out_certificates.h"
#include "keeper/testing/keeper_fixture.h"
#include "wire/grpc_client.h"

namespace hexr::keeper {
namespace {

using testing::AdminCallOf;
using testing::ConnectTo;

class DoorsTest : public testing::KeeperTest {
 protected:
  // Asks for the node's state as an operator does, whenever it is told to, and says how it was refused: 0 for not.
  std::function<void(int, int)> Operator() const {
    return [path = AdminPath()](int go, int ready) {
      for (char c = 0; ::read(go, &c, 1) == 1;) {
        const testing::UniqueFd socket = ConnectTo(path);
        int code = -1;
        if (runtime::SendBlocking(socket.get(), AdminCallOf("status", {}, ""), {}, std::chrono::seconds(5)).ok()) {
          const auto m = runtime::ReceiveBlocking(socket.get(), std::chrono::seconds(20));
          if (m.ok()) code = m->body.has_failure() ? m->body.failure().code() : 0;
        }
        if (::write(ready, &code, sizeof code) != sizeof code) return;
      }
    };
  }
  int AnswerTo(const testing::Puppet& who) {
    EXPECT_TRUE(who.Go());
    pollfd answer{who.ready(), POLLIN, 0};
    while (::poll(&answer, 1, 0) == 0) loop_.RunFor(std::chrono::milliseconds(5));
    int code = -1;
    EXPECT_EQ(::read(who.ready(), &code, sizeof code), static_cast<ssize_t>(sizeof code));
    return code;
  }
  testing::UniqueFd ConnectToApi() const {
    testing::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    const std::string path = folder_ + "/api" + std::to_string(lives_);
    path.copy(a.sun_path, sizeof a.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    return fd;
  }
  // Whether the keeper has taken this connection: it speaks first.
  bool IsTaken(const testing::UniqueFd& fd) {
    char c = 0;
    ssize_t n = -1;
    for (int i = 0; i < 2000 && n < 0; ++i) {
      loop_.RunFor(std::chrono::milliseconds(1));
      n = ::recv(fd.get(), &c, 1, MSG_PEEK | MSG_DONTWAIT);
    }
    return n == 1;
  }
};

// INV-KPR-01: by none of its processes, and it runs as the node's own user.
TEST_F(DoorsTest, NoProcessOfAnInstanceIsAnOperator) {
  Start();
  const auto child_asks = [body = Operator()](int go, int ready) {
    const pid_t child = ::fork();
    if (child != 0) return static_cast<void>(::waitpid(child, nullptr, 0));
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body(go, ready);
    ::_exit(0);
  };
  testing::Puppet stranger(Operator()), agent(Operator()), parent(child_asks), other_parent(child_asks);
  EXPECT_EQ(AnswerTo(stranger), 0);
  EXPECT_EQ(AnswerTo(other_parent), 0);
  ASSERT_TRUE(Register(InstanceId::Make(1, "0123456789"), agent).ok());
  ASSERT_TRUE(Register(InstanceId::Make(2, "0123456789"), parent).ok());
  EXPECT_EQ(AnswerTo(agent), static_cast<int>(ErrorCode::kPermissionDenied));
  EXPECT_EQ(AnswerTo(parent), static_cast<int>(ErrorCode::kPermissionDenied)) << "its child";
  EXPECT_EQ(AnswerTo(stranger), 0);
}

// INV-KPR-01: nor is what lives on below its PID 1 for a moment when it has ended.
TEST_F(DoorsTest, WhatAnEndedInstanceLeavesBehindIsNoOperator) {
  Start();
  testing::Puppet outside([ask = Operator()](int go, int ready) {
    pid_t init = 0;
    if (::unshare((::geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWPID) == 0) init = ::fork();
    if (init != 0 || ::getpid() != 1) {
      if (::write(ready, &init, sizeof init) == sizeof init) ::waitpid(init, nullptr, 0);
      return;
    }
    if (::fork() == 0) {
      ::pause();
      ::_exit(0);
    }
    if (const pid_t orphan = ::fork(); orphan != 0) return static_cast<void>(::waitpid(orphan, nullptr, 0));
    ask(go, ready);
  });
  pid_t init = 0, agent = 0, orphan = 0;
  ASSERT_EQ(::read(outside.ready(), &init, sizeof init), static_cast<ssize_t>(sizeof init));
  ASSERT_GT(init, 0) << "a PID namespace of one's own is needed: run this test as root";
  const std::string children = "/proc/" + std::to_string(init) + "/task/" + std::to_string(init) + "/children";
  for (int i = 0; i < 2000 && orphan == 0; ++i) {
    std::ifstream(children) >> agent >> orphan;
    loop_.RunFor(std::chrono::milliseconds(1));
  }
  ASSERT_NE(orphan, 0);
  EXPECT_EQ(AnswerTo(outside), 0);
  const InstanceId id = InstanceId::Make(1, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  EXPECT_EQ(AnswerTo(outside), static_cast<int>(ErrorCode::kPermissionDenied));
  ASSERT_EQ(::kill(agent, SIGKILL), 0);
  while (Operate("show", {{"instance", id.value()}}).ok()) loop_.RunFor(std::chrono::milliseconds(5));
  EXPECT_EQ(AnswerTo(outside), static_cast<int>(ErrorCode::kPermissionDenied)) << "left over";
}

// INV-KPR-03: what a gateway says of its tenant changes nothing: it is who the supervisor said.
TEST_F(DoorsTest, AGatewayIsServedForItsOwnTenantAlone) {
  Start();
  ASSERT_TRUE(Operate("tenant.create", {{"tenant", "acme"}}).ok());
  const auto theirs = Connect("gateway", "acme");
  testing::Puppet agent;
  const InstanceId id = InstanceId::Make(1, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  EXPECT_EQ(AskForSvid(*theirs, id).error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(AskForSvid(*gateway_, id).ok());
  testing::Envelope open;
  open.mutable_open_journal()->set_tenant("default");
  const auto journal = Ask(*theirs, std::move(open));
  ASSERT_TRUE(journal.ok()) << journal.error().ToString();
  ASSERT_EQ(journal->fds.size(), 1u);
  const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(journal->fds[0].get())).string();
  EXPECT_NE(path.find("/tenants/acme/"), std::string::npos) << path;
}

// INV-KPR-10: out.db knows what this keeper's predecessor issued, and to whom.
TEST_F(DoorsTest, ACertificateIsRevokedWhenItsHolderEndsWhicheverKeeperIssuedIt) {
  Start();
  testing::Puppet ends, stays;
  const InstanceId gone = InstanceId::Make(1, "0123456789"), there = InstanceId::Make(2, "0123456789");
  ASSERT_TRUE(Register(gone, ends).ok());
  ASSERT_TRUE(Register(there, stays).ok());
  ASSERT_TRUE(AskForSvid(*gateway_, gone).ok());
  ASSERT_TRUE(AskForSvid(*gateway_, there).ok());
  Stop();
  Start();
  again_ = true;
  ASSERT_TRUE(Register(gone, ends).ok());
  ASSERT_TRUE(Register(there, stays).ok());
  ASSERT_TRUE(AskForSvid(*gateway_, gone).ok());
  ends.End();
  while (Operate("show", {{"instance", gone.value()}}).ok()) loop_.RunFor(std::chrono::milliseconds(5));
  Stop();
  const auto config = config::ParseOrError("trust_domain: example.org\nmachine_key: file\n", "test.yaml");
  const auto state = State::Open(*config, folder_, random_).value();
  const auto left =
      OutCertificates::Open(folder_ + "/out.db", state->KeyFor("certificates/out", random_).value(), clock_, random_)
          .value()
          .Load()
          .value();
  EXPECT_EQ(std::ranges::count(left, gone, &identity::OutCertificate::instance), 2);
  EXPECT_EQ(std::ranges::count(left, there, &identity::OutCertificate::instance), 1);
  for (const identity::OutCertificate& c : left) EXPECT_EQ(c.revoked, c.instance == gone);
}

// Whoever waits for the node (systemd, `hexr up`) is told when every tenant's agents can be started.
TEST_F(DoorsTest, ANodeIsReadyWithTheLastOfItsGateways) {
  Start();
  ASSERT_TRUE(Operate("tenant.create", {{"tenant", "acme"}}).ok());
  Stop();
  std::vector<testing::Channel::Reply> gateways;
  bool ready = false;
  on_supervisor_ = [&](const testing::Envelope& e, testing::Channel::Reply r) {
    ready = ready || e.has_ready();
    if (e.has_start_tenant()) return gateways.push_back(std::move(r));
    r.Ack();
  };
  Start();
  while (gateways.size() < 2) loop_.RunFor(std::chrono::milliseconds(5));
  loop_.RunFor(std::chrono::milliseconds(20));
  EXPECT_FALSE(ready);
  gateways[0].Ack();
  loop_.RunFor(std::chrono::milliseconds(50));
  EXPECT_FALSE(ready);
  gateways[1].Ack();
  while (!ready) loop_.RunFor(std::chrono::milliseconds(5));
  gateways.clear();
  Stop();
  on_supervisor_ = nullptr;
}

// Connections of processes that nothing is known of are few. One that asks and has an identity is none of them any
// more, and agents have room whatever the others hold.
TEST_F(DoorsTest, QuietConnectionsLeaveRoomForWhoHasAnIdentity) {
  ASSERT_TRUE(runtime::RaiseFileLimit().ok());
  Start();
  const std::string mine = "unix:uid:" + std::to_string(::geteuid());
  ASSERT_TRUE(Operate("entry.create", {{"entry", "service/db"}, {"selectors", mine}}).ok());
  testing::Puppet agent([this](int go, int ready) {
    char c = 0;
    if (::read(go, &c, 1) != 1) return;
    const testing::UniqueFd fd = ConnectToApi();
    const int taken = ::recv(fd.get(), &c, 1, 0) == 1 ? 1 : 0;
    if (::write(ready, &taken, sizeof taken) == sizeof taken) (void)!::read(go, &c, 1);
  });
  ASSERT_TRUE(Register(InstanceId::Make(1, "0123456789"), agent).ok());

  std::vector<testing::UniqueFd> quiet;
  while (quiet.size() < limits::kMaxApiConnectionsUnknownPerUser) {
    quiet.push_back(ConnectToApi());
    loop_.RunReady();
  }
  EXPECT_TRUE(IsTaken(quiet.back()));
  EXPECT_FALSE(IsTaken(ConnectToApi())) << "one too many";
  EXPECT_EQ(AnswerTo(agent), 1);

  wire::GrpcClient client("localhost");
  bool answered = false;
  const auto call = client.Start("/SpiffeWorkloadAPI/FetchX509SVID", {{"workload.spiffe.io", "true"}},
                                 {.on_message = [&](ByteView) { answered = true; },
                                  .on_end = [](const Status& s) { ADD_FAILURE() << s.error().ToString(); }});
  client.Send(*call, {});
  client.HalfClose(*call);
  for (int turn = 0; turn < 2000 && !answered; ++turn) {
    std::string out;
    client.TakeOutput(out, 1 << 20);
    ASSERT_EQ(::send(quiet[0].get(), out.data(), out.size(), MSG_NOSIGNAL), static_cast<ssize_t>(out.size()));
    loop_.RunFor(std::chrono::milliseconds(5));
    uint8_t in[16384];
    const ssize_t n = ::recv(quiet[0].get(), in, sizeof in, MSG_DONTWAIT);
    if (n > 0) {
      ASSERT_TRUE(client.Feed({in, static_cast<size_t>(n)}).ok());
    }
  }
  ASSERT_TRUE(answered);
  const testing::UniqueFd next = ConnectToApi();
  EXPECT_TRUE(IsTaken(next)) << "in the place of the one that is known now";
  EXPECT_FALSE(IsTaken(ConnectToApi()));
}

TEST_F(DoorsTest, ADeletedTenantLeavesALogToCheckAndNothingElse) {
  Start();
  ASSERT_TRUE(Operate("tenant.create", {{"tenant", "acme"}}).ok());
  ASSERT_TRUE(Operate("vault.put", {{"tenant", "acme"}, {"name", "db/password"}}, "hunter2").ok());
  tenant_ = "acme";
  testing::Puppet agent;
  const InstanceId id = InstanceId::Make(1, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  ASSERT_TRUE(Operate("quarantine", {{"target", id.value()}}).ok());
  const std::string journals = folder_ + "/ledger/journals/tenants/acme",
                    texts = folder_ + "/ledger/texts/tenants/acme.db";
  ASSERT_TRUE(std::filesystem::exists(journals));
  ASSERT_TRUE(std::filesystem::exists(texts));
  ASSERT_TRUE(Operate("tenant.delete", {{"tenant", "acme"}}).ok());
  pollfd gone{agent.ready(), POLLIN, 0};
  EXPECT_EQ(::poll(&gone, 1, 10'000), 1) << "what ran has ended";
  EXPECT_FALSE(std::filesystem::exists(journals));
  EXPECT_FALSE(std::filesystem::exists(texts));
  testing::Puppet other;
  EXPECT_EQ(Register(InstanceId::Make(2, "0123456789"), other).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(Operate("vault.list", {{"tenant", "acme"}}).error().code(), ErrorCode::kNotFound);
  // Whoever gets the name has none of what was there.
  ASSERT_TRUE(Operate("tenant.create", {{"tenant", "acme"}}).ok());
  EXPECT_TRUE(Operate("vault.list", {{"tenant", "acme"}})->FindArray("secrets")->empty());
  EXPECT_EQ(Operate("vault.get", {{"tenant", "acme"}, {"name", "db/password"}}).error().code(), ErrorCode::kNotFound);
  Stop();
  ExpectWholeLog("acme");
}

// A user's token is verified with keys that have to be fetched: what is allowed may be another thing by then.
class WaitingLaunchTest : public DoorsTest {
 protected:
  WaitingLaunchTest() { extra_ = "users: [{issuer: \"https://login.example.org\", audience: hexr}]\n"; }
  void Begin() {
    Start();
    auto [ours, theirs] = runtime::MakePacketPair().value();
    keeper_->OnPeer("courier", "", std::move(theirs));
    courier_ = std::make_unique<testing::Channel>(
        loop_, std::move(ours), "keeper",
        [this](testing::Message m, testing::Channel::Reply r) {
          if (m.body.has_fetch())
            asked_.push_back(std::move(r));
          else
            r.Ack();
        },
        [](const Error&) {});
    const auto now = std::chrono::floor<std::chrono::seconds>(clock_.Wall().time_since_epoch()).count();
    token_ = *crypto::SignJwt(key_, crypto::SignatureAlgorithm::kEs256, "k1", "JWT",
                              wire::ToJson(wire::JsonObject{{"iss", "https://login.example.org"},
                                                            {"sub", "alice"},
                                                            {"aud", "hexr"},
                                                            {"exp", now + 300},
                                                            {"iat", now}}));
  }
  void Launch(uint64_t number, uint32_t user = 0) {
    agents_.push_back(std::make_unique<testing::Puppet>());
    testing::Envelope e = Registration(InstanceId::Make(number, "0123456789"), agents_.back()->pid());
    e.mutable_register_instance()->set_caller_uid(user);
    std::vector<testing::UniqueFd> fds;
    fds.push_back(std::move(*runtime::OpenPidfd(agents_.back()->pid())));
    spawner_->Call(std::move(e), std::move(fds), std::chrono::seconds(10), [this](const Result<testing::Message>& r) {
      answers_.push_back(r.ok() ? ErrorCode{0} : r.error().code());
    });
  }
  void IssuerAnswers() {
    for (const std::string& body :
         {std::string(R"({"issuer":"https://login.example.org","jwks_uri":"https://login.example.org/jwks"})"),
          crypto::EncodeJwkSet({.keys = {{key_.public_key(), "k1", "sig"}}})}) {
      while (asked_.empty()) loop_.RunFor(std::chrono::milliseconds(5));
      testing::Envelope e;
      e.mutable_fetched()->set_status(200);
      e.mutable_fetched()->set_body(body);
      asked_.front().Send(std::move(e));
      asked_.pop_front();
    }
    while (answers_.size() < agents_.size()) loop_.RunFor(std::chrono::milliseconds(5));
  }

  const crypto::PrivateKey key_ = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  std::unique_ptr<testing::Channel> courier_;
  std::deque<testing::Channel::Reply> asked_;
  std::vector<std::unique_ptr<testing::Puppet>> agents_;
  std::vector<ErrorCode> answers_;
};

TEST_F(WaitingLaunchTest, LaunchesThatWaitForAnIssuerAreCountedWhenItAnswers) {
  Begin();
  ASSERT_TRUE(Operate("tenant.quota", {{"tenant", "default"}, {"max_instances", "1"}}).ok());
  for (uint64_t n = 1; n <= 4; ++n) Launch(n);
  loop_.RunFor(std::chrono::milliseconds(50));
  ASSERT_TRUE(answers_.empty());
  IssuerAnswers();
  EXPECT_EQ(std::ranges::count(answers_, ErrorCode{0}), 1) << "the quota is one";
  EXPECT_EQ(std::ranges::count(answers_, ErrorCode::kResourceExhausted), 3);
}

TEST_F(WaitingLaunchTest, LaunchesOfOneUserLeaveRoomForAnothers) {
  Begin();
  uint64_t n = 0;
  while (n < limits::kMaxWaitingUserTokensPerUser) Launch(++n, 1000);
  loop_.RunFor(std::chrono::milliseconds(50));
  ASSERT_TRUE(answers_.empty());
  Launch(++n, 1000);
  Launch(++n, 1001);
  while (answers_.empty()) loop_.RunFor(std::chrono::milliseconds(5));
  IssuerAnswers();
  EXPECT_EQ(answers_.front(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(std::ranges::count(answers_, ErrorCode{0}), static_cast<std::ptrdiff_t>(n - 1));
}

TEST_F(WaitingLaunchTest, AFreezeMeanwhileRefusesThem) {
  Begin();
  Launch(1);
  loop_.RunFor(std::chrono::milliseconds(50));
  ASSERT_TRUE(Operate("tenant.freeze", {{"tenant", "default"}}).ok());
  ASSERT_TRUE(answers_.empty());
  IssuerAnswers();
  EXPECT_EQ(answers_.front(), ErrorCode::kPermissionDenied);
  EXPECT_TRUE(Operate("ps", {})->FindArray("instances")->empty());
}

// INV-KPR-05, from the side of the launch: an issuer that says nothing of use starts nobody.
TEST_F(WaitingLaunchTest, ATokenThatTheIssuersKeysDidNotSignStartsNobody) {
  Begin();
  const auto other = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  const crypto::RawJwt honest = crypto::RawJwt::Parse(token_).value();
  token_ = *crypto::SignJwt(other, crypto::SignatureAlgorithm::kEs256, "k1", "JWT", honest.unverified_payload());
  Launch(1);
  IssuerAnswers();
  EXPECT_EQ(answers_.front(), ErrorCode::kUnauthenticated);
}

}  // namespace
}  // namespace hexr::keeper
