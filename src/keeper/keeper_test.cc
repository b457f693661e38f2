#include "keeper/keeper.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "identity/testing/memory_search.h"
#include "keeper/testing/keeper_fixture.h"
#include "runtime/packet.h"
#include "runtime/process.h"

namespace hexr::keeper {
namespace {

using identity::testing::CountInMemory;
using identity::testing::kMask;
using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AdminCallOf;
using testing::ConnectTo;
using testing::KeeperTest;
using testing::Puppet;

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
  EXPECT_EQ(AskForSvid(*gateway_, id).error().code(), ErrorCode::kPermissionDenied);
}

// A gateway counts for its own instances, and one that says nothing keeps nobody from the list.
TEST_F(KeeperTest, TheListOfInstancesSaysWhatTheirGatewayCounted) {
  Start();
  Puppet agent, quiet;
  const InstanceId id = InstanceId::Make(1, "0123456789"), other = InstanceId::Make(2, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  ASSERT_TRUE(Register(other, quiet).ok());
  const auto list = [&](const char* method, const std::map<std::string, std::string>& args) {
    const auto answer = Operate(method, args);
    EXPECT_TRUE(answer.ok()) << answer.error().ToString();
    return answer.ok() ? *answer : wire::Json();
  };
  const wire::Json without = list("ps", {});  // the gateway of this test acknowledges, and says no number
  ASSERT_EQ(without.FindArray("instances")->size(), 2u);
  EXPECT_EQ(without.FindArray("instances")->front().Find("calls"), nullptr);

  auto [ours, theirs] = runtime::MakePacketPair().value();
  keeper_->OnPeer("gateway", "default", std::move(theirs));
  gateway_ = std::make_unique<Channel>(
      loop_, std::move(ours), "keeper",
      [&](const Message& m, Channel::Reply r) {
        if (!m.body.has_collect_metrics()) return r.Ack();
        Envelope e;
        for (const std::string& name :
             {id.value(), InstanceId::Make(3, "0123456789").value(), std::string("../../x")}) {
          auto& of = *e.mutable_metrics()->add_instances();
          of.set_instance(name);
          of.set_calls(7);
          of.set_denials(3);
        }
        r.Send(std::move(e));
      },
      [](const Error&) {});
  const wire::Json with = list("ps", {{"tenant", "default"}});
  ASSERT_EQ(with.FindArray("instances")->size(), 2u);
  for (const wire::Json& i : *with.FindArray("instances")) {
    const bool counted = i.FindString("instance") == id.value();
    EXPECT_EQ(i.FindInteger("calls"), counted ? std::optional<int64_t>(7) : std::nullopt);
    EXPECT_EQ(i.FindInteger("denials"), counted ? std::optional<int64_t>(3) : std::nullopt);
  }
  const wire::Json one = list("show", {{"instance", id.value()}});
  EXPECT_EQ(one.FindInteger("denials"), 3);
  EXPECT_NE(one.Find("lineage"), nullptr);
  EXPECT_EQ(Operate("ps", {{"tenant", "nobody"}}).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(Operate("show", {{"instance", InstanceId::Make(3, "0123456789").value()}}).error().code(),
            ErrorCode::kNotFound);
}

// INV-KPR-12: what the quota or the role has become meanwhile is no reason not to know of somebody who lives.
TEST_F(KeeperTest, WhoLivesIsRegisteredAgainWhateverTheQuotaAndItsImage) {
  Start();
  Puppet first, second, third;
  const InstanceId a = InstanceId::Make(1, "0123456789"), b = InstanceId::Make(2, "0123456789"),
                   c = InstanceId::Make(3, "0123456789");
  ASSERT_TRUE(Register(a, first).ok());
  ASSERT_TRUE(Register(b, second).ok());
  ASSERT_TRUE(Operate("tenant.quota", {{"tenant", "default"}, {"max_instances", "1"}}).ok());
  Stop();

  Start();
  std::vector<std::string> told;
  const auto listen = [&](const std::string& role, const std::string& tenant) {
    auto [ours, theirs] = runtime::MakePacketPair().value();
    keeper_->OnPeer(role, tenant, std::move(theirs));
    return std::make_unique<Channel>(
        loop_, std::move(ours), "keeper",
        [&told, role](Message m, Channel::Reply r) {
          if (m.body.has_quarantine() && m.body.quarantine().on())
            told.push_back(role + " " + m.body.quarantine().instance());
          r.Ack();
        },
        [](const Error&) {});
  };
  gateway_ = listen("gateway", "default");
  spawner_ = listen("spawner", "");
  again_ = true;
  EXPECT_TRUE(Register(a, first).ok());
  exe_ = "/usr/bin/nc";  // it has executed what its role does not allow while there was no keeper
  EXPECT_TRUE(Register(b, second).ok());
  again_ = false;
  exe_ = "/usr/bin/python3";
  EXPECT_EQ(Register(c, third).error().code(), ErrorCode::kResourceExhausted) << "one more is one too many";
  loop_.RunFor(std::chrono::milliseconds(50));
  EXPECT_EQ(told, (std::vector<std::string>{"gateway " + b.value(), "spawner " + b.value()}));
  EXPECT_EQ(Operate("show", {{"instance", a.value()}})->FindString("state"), "running");
  EXPECT_EQ(Operate("show", {{"instance", b.value()}})->FindString("state"), "quarantined");
  Stop();

  Start();
  told.clear();
  spawner_ = listen("spawner", "");
  loop_.RunFor(std::chrono::milliseconds(50));
  EXPECT_EQ(told, std::vector<std::string>{"spawner " + b.value()}) << "each spawner hears of it";
  Stop();
  size_t quarantined = 0;
  for (const ledger::Record& r : Log("default"))
    quarantined += wire::ParseJson(r.body)->FindString("event") == "quarantined";
  EXPECT_EQ(quarantined, 1u);
}

TEST_F(KeeperTest, ARecordOfAnEndSaysHow) {
  Start();
  const auto end = [&](uint64_t number, bool seen_first, int status, const std::string& why) {
    Puppet agent;
    const InstanceId id = InstanceId::Make(number, "0123456789");
    ASSERT_TRUE(Register(id, agent).ok());
    if (seen_first) {  // by the kernel's word, before the spawner says it
      agent.End();
      while (Operate("show", {{"instance", id.value()}}).ok()) loop_.RunFor(std::chrono::milliseconds(5));
    }
    Envelope ended;
    ended.mutable_instance_ended()->set_instance(id.value());
    ended.mutable_instance_ended()->set_wait_status(status);
    ended.mutable_instance_ended()->set_why(why);
    ASSERT_TRUE(Ask(*spawner_, std::move(ended)).ok());
  };
  end(1, true, 3 << 8, "");
  end(2, false, SIGKILL, "hexr run has gone");
  Puppet silent;
  const InstanceId last = InstanceId::Make(3, "0123456789");
  ASSERT_TRUE(Register(last, silent).ok());
  silent.End();
  while (Operate("show", {{"instance", last.value()}}).ok()) loop_.RunFor(std::chrono::milliseconds(5));
  Stop();
  std::vector<std::string> ends;
  for (const ledger::Record& r : Log("default")) {
    if (wire::ParseJson(r.body)->FindString("event") == "ended") ends.push_back(r.body);
  }
  EXPECT_EQ(ends, (std::vector<std::string>{R"({"event":"ended","status":3})",
                                            R"({"event":"ended","signal":9,"why":"hexr_run_has_gone"})",
                                            R"({"event":"ended"})"}));
  ExpectWholeLog("default");
}

TEST_F(KeeperTest, DurableRecordsLoseNothingAndAnswerEverything) {
  sync_ = "durable";
  Start();
  Puppet agent;
  const InstanceId id = InstanceId::Make(1, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  EXPECT_GT(LifeOfFreshSvid(id), minutes(5));
  ASSERT_TRUE(Operate("vault.put", {{"name", "a"}}, "value").ok());
  ASSERT_TRUE(Operate("quarantine", {{"target", id.value()}}).ok());
  ASSERT_TRUE(Operate("release", {{"target", id.value()}}).ok());
  ASSERT_TRUE(Operate("kill", {{"target", id.value()}}).ok());
  Stop();
  ExpectWholeLog("default");
}

TEST_F(KeeperTest, ASubAgentOutlivesItsParentAndTheKeeper) {
  Start();
  Puppet parent, child;
  const InstanceId of_parent = InstanceId::Make(1, "0123456789"), id = InstanceId::Make(2, "0123456789");
  ASSERT_TRUE(Register(of_parent, parent).ok());
  ASSERT_TRUE(Register(id, child, &of_parent).ok());
  parent.End();
  Stop();
  Start();
  EXPECT_EQ(Register(id, child, &of_parent).error().code(), ErrorCode::kNotFound) << "a new one needs its parent";
  ASSERT_TRUE(Register(id, child, &of_parent, {"spiffe://example.org/agent/default/crew/writer"}).ok());
  EXPECT_GT(LifeOfFreshSvid(id), minutes(5));
}

// ACME clients replace files and tell nobody.
TEST_F(KeeperTest, ARenewedWebCertificateIsShownWithoutARestart) {
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name + ".new") << text;
    std::filesystem::rename(folder_ + "/" + name + ".new", folder_ + "/" + name);
  };
  write("c.pem", "first certificate");
  write("k.pem", "first key");
  extra_ = "bundle_endpoint: {listen: \"127.0.0.1:1\", profile: https_web, certificate: " + folder_ +
           "/c.pem, key: " + folder_ + "/k.pem}\n";
  Start();
  std::vector<std::string> shown;
  auto [ours, theirs] = runtime::MakePacketPair().value();
  keeper_->OnPeer("courier", "", std::move(theirs));
  Channel courier(
      loop_, std::move(ours), "keeper",
      [&](Message m, Channel::Reply r) {
        for (const auto& l : m.body.publish().listeners()) shown.push_back(l.certificate_pem() + ", " + l.key_pem());
        r.Ack();
      },
      [](const Error&) {});
  const auto await = [&](size_t n) {
    while (shown.size() < n) loop_.RunFor(std::chrono::milliseconds(20));
  };
  await(1);
  EXPECT_EQ(shown.back(), "first certificate, first key");
  write("k.pem", "second key");
  write("c.pem", "second certificate");
  clock_.StepMono(minutes(1));
  await(2);
  EXPECT_EQ(shown.back(), "second certificate, second key");
  // Nothing new, nothing said.
  clock_.StepMono(minutes(1));
  loop_.RunFor(std::chrono::milliseconds(1500));
  EXPECT_EQ(shown.size(), 2u);
}

// INV-KPR-07: who did it stands beside what was done.
TEST_F(KeeperTest, EveryActOfAnOperatorNamesHim) {
  Start();
  Puppet agent;
  const InstanceId id = InstanceId::Make(1, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  const auto ok = [&](const std::string& method, const std::map<std::string, std::string>& args,
                      const std::string& secret = "") {
    const auto r = Operate(method, args, secret);
    EXPECT_TRUE(r.ok()) << method << ": " << (r.ok() ? "" : r.error().ToString());
    return r.ok() ? *r : wire::Json();
  };
  ok("vault.put", {{"name", "db/password"}}, "hunter2");
  ok("vault.get", {{"name", "db/password"}});
  ok("vault.rotate", {});
  ok("vault.delete", {{"name", "db/password"}});
  ok("ledger.erase", {{"sha256", std::string(64, '0')}});
  ok("bundle.set_map", {{"bundles", R"({"trust_domains":{"third.org":{"keys":[]}}})"}});
  ok("bundle.set", {{"trust_domain", "other.org"}, {"bundle", R"({"keys":[]})"}});
  ok("bundle.delete", {{"trust_domain", "other.org"}});
  ok("tenant.create", {{"tenant", "acme"}});
  ok("tenant.quota", {{"tenant", "acme"}, {"max_instances", "3"}});
  ok("tenant.freeze", {{"tenant", "acme"}});
  ok("tenant.thaw", {{"tenant", "acme"}});
  ok("tenant.delete", {{"tenant", "acme"}});
  ok("entry.create", {{"entry", "service/db"}, {"selectors", "unix:uid:12345"}});
  ok("entry.delete", {{"entry", "service/db"}});
  const wire::Json rotated = ok("authority.rotate", {{"use", "jwt"}});
  ok("authority.taint", {{"id", std::string(rotated.FindString("old").value_or(""))}});
  ok("authority.revoke", {{"id", std::string(rotated.FindString("old").value_or(""))}});
  ok("quarantine", {{"target", id.value()}});
  ok("release", {{"target", id.value()}});
  ok("kill", {{"target", id.value()}});
  EXPECT_FALSE(Operate("vault.get", {{"name", "db/password"}}).ok());
  Stop();
  std::map<std::string, std::string> kinds;
  std::multiset<std::string> bundles;
  size_t failed = 0;
  for (const char* log : {"", "default"}) {
    for (const ledger::Record& r : Log(log)) {
      EXPECT_EQ(r.body.find("hunter2"), std::string::npos);
      EXPECT_EQ(r.body.find("db/password"), std::string::npos) << "names are digests";
      const wire::Json body = wire::ParseJson(r.body).value();
      const wire::Json* who = body.Find("operator");
      if (who == nullptr) continue;
      const std::string event(body.FindString("event").value());
      kinds[event] = ledger::RecordKindName(r.kind);
      if (const auto td = body.FindString("trust_domain")) bundles.insert(event + " " + std::string(*td));
      EXPECT_EQ(who->FindInteger("uid"), geteuid()) << event;
      EXPECT_EQ(who->FindInteger("pid"), getpid()) << event;
      EXPECT_EQ(who->FindString("exe_sha256").value_or("").size(), 64u) << event;
      failed += body.Find("failed") != nullptr;
    }
  }
  EXPECT_EQ(failed, 1u) << "the secret that was asked for after its end";
  EXPECT_EQ(bundles, (std::multiset<std::string>{"bundle.deleted spiffe://other.org", "bundle.set spiffe://other.org",
                                                 "bundle.set spiffe://third.org"}));
  const std::map<std::string, std::string> expected{{"vault.put", "CF"},
                                                    {"vault.get", "CF"},
                                                    {"vault.rotated", "CF"},
                                                    {"vault.deleted", "CF"},
                                                    {"texts.erased", "CF"},
                                                    {"bundle.set", "CF"},
                                                    {"bundle.deleted", "CF"},
                                                    {"tenant.created", "CF"},
                                                    {"tenant.quota", "CF"},
                                                    {"tenant.frozen", "CF"},
                                                    {"tenant.thawed", "CF"},
                                                    {"tenant.deleted", "CF"},
                                                    {"entry.created", "CF"},
                                                    {"entry.deleted", "CF"},
                                                    {"authority.preparing", "CF"},
                                                    {"authority.prepared", "CF"},
                                                    {"authority.activated", "CF"},
                                                    {"authority.tainted", "KS"},
                                                    {"authority.revoked", "KS"},
                                                    {"quarantine", "KS"},
                                                    {"release", "KS"},
                                                    {"killed", "KS"}};
  EXPECT_EQ(kinds, expected);
}

// INV-KPR-04, -07: where nothing can be recorded, nothing is given, and all can be taken.
TEST_F(KeeperTest, WithoutALedgerNothingIsGivenAndAKillIsDone) {
  Start();
  Puppet agent;
  const InstanceId id = InstanceId::Make(1, "0123456789");
  ASSERT_TRUE(Register(id, agent).ok());
  ASSERT_TRUE(Operate("vault.put", {{"name", "old"}}, "value").ok());
  ASSERT_TRUE(Operate("quarantine", {{"target", id.value()}}).ok());
  std::filesystem::remove_all(folder_ + "/ledger/journals");
  EXPECT_FALSE(Operate("vault.put", {{"name", "new"}}, "value").ok());
  EXPECT_FALSE(Operate("vault.get", {{"name", "old"}}).ok());
  EXPECT_EQ(Operate("vault.list", {})->FindArray("secrets")->size(), 1u);
  EXPECT_FALSE(Operate("bundle.set", {{"trust_domain", "other.org"}, {"bundle", R"({"keys":[]})"}}).ok());
  EXPECT_FALSE(Operate("bundle.show", {{"trust_domain", "other.org"}}).ok());
  EXPECT_FALSE(Operate("tenant.create", {{"tenant", "acme"}}).ok());
  EXPECT_EQ(Operate("tenant.list", {})->FindArray("tenants")->size(), 1u);
  EXPECT_FALSE(Operate("entry.create", {{"entry", "service/db"}, {"selectors", "unix:uid:12345"}}).ok());
  EXPECT_TRUE(Operate("entry.list", {})->FindArray("entries")->empty());
  EXPECT_FALSE(Operate("authority.rotate", {{"use", "jwt"}}).ok());
  EXPECT_EQ(Operate("authority.list", {})->FindArray("keys")->size(), 3u);
  EXPECT_FALSE(Operate("release", {{"target", id.value()}}).ok());
  EXPECT_EQ(Operate("show", {{"instance", id.value()}})->FindString("state"), "quarantined");
  (void)Operate("vault.delete", {{"name", "old"}});
  EXPECT_TRUE(Operate("vault.list", {})->FindArray("secrets")->empty());
  EXPECT_TRUE(Operate("kill", {{"target", id.value()}}).ok());
  pollfd gone{agent.ready(), POLLIN, 0};
  EXPECT_EQ(poll(&gone, 1, 10'000), 1);
}

TEST_F(KeeperTest, ABundleThatAnOperatorSetSurvivesARestartUntilItIsDeleted) {
  Start();
  ASSERT_TRUE(Operate("bundle.set", {{"trust_domain", "other.org"}, {"bundle", R"({"keys":[]})"}}).ok());
  Stop();
  Start();
  EXPECT_TRUE(Operate("bundle.show", {{"trust_domain", "other.org"}}).ok());
  ASSERT_TRUE(Operate("bundle.delete", {{"trust_domain", "other.org"}}).ok());
  EXPECT_EQ(Operate("bundle.delete", {{"trust_domain", "other.org"}}).error().code(), ErrorCode::kNotFound);
  Stop();
  Start();
  EXPECT_EQ(Operate("bundle.show", {{"trust_domain", "other.org"}}).error().code(), ErrorCode::kNotFound);
}

// INV-KPR-11: an attacker who reads the keeper's memory after the fact finds no secret that has passed through it.
TEST_F(KeeperTest, NothingOfAVaultValueStaysInMemory) {
  Start();
  // Short ones stand inside the string objects, the longest travel as a memfd.
  for (const size_t size : {size_t{12}, size_t{40}, size_t{5000}, size_t{64 * 1024}}) {
    // Made by the operator's process alone; here it is known under a mask.
    std::vector<uint8_t> masked;
    const auto byte_at = [&](size_t i) { return static_cast<uint8_t>('A' + (i * 7 + i / 26 + size) % 26); };
    for (size_t i = 0; i < 8; ++i) masked.push_back(byte_at(size / 2 - 4 + i) ^ kMask);
    Puppet operators([&](int go, int ready) {
      char c = 0;
      if (::read(go, &c, 1) != 1) return;
      std::string value;
      for (size_t i = 0; i < size; ++i) value += static_cast<char>(byte_at(i));
      const auto ask = [&](const std::string& method, std::string_view secret) {
        const UniqueFd socket = ConnectTo(AdminPath());
        if (!runtime::SendBlocking(socket.get(), AdminCallOf(method, {{"name", "x"}}, secret), {}, seconds(5)).ok())
          return std::string("not sent");
        auto m = runtime::ReceiveBlocking(socket.get(), seconds(20));
        return m.ok() && m->body.has_admin_result() ? m->body.admin_result().secret() : std::string("refused");
      };
      const bool same = ask("vault.put", value).empty() && ask("vault.get", "") == value;
      if (::write(ready, same ? "y" : "n", 1) != 1) return;
      while (::read(go, &c, 1) == 1) {
      }
    });
    ASSERT_TRUE(operators.Go());
    pollfd answer{operators.ready(), POLLIN, 0};
    while (poll(&answer, 1, 0) == 0) loop_.RunFor(std::chrono::milliseconds(5));
    char c = 0;
    ASSERT_EQ(::read(operators.ready(), &c, 1), 1);
    ASSERT_EQ(c, 'y');
    loop_.RunFor(std::chrono::milliseconds(20));
    EXPECT_EQ(CountInMemory(masked), 0u) << size;
  }
}

}  // namespace
}  // namespace hexr::keeper
