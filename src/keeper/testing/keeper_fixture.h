// A keeper, whole, with stand-ins at the other ends of its channels.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/keys.h"
#include "identity/testing/puppet.h"
#include "keeper/keeper.h"
#include "ledger/log_reader.h"
#include "ledger/tiles.h"
#include "ledger/verify.h"
#include "runtime/packet.h"
#include "runtime/process.h"
#include "wire/json.h"

namespace hexr::keeper::testing {

using identity::testing::Puppet;
using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;
using std::chrono::seconds;

// The machine's clock as an operator or NTP sets it. The ledger's thread reads it too.
class SteppedClock final : public Clock {
 public:
  WallTime Wall() const override { return real_.Wall() + std::chrono::nanoseconds(offset_.load()); }
  MonoTime Mono() const override { return real_.Mono() + std::chrono::nanoseconds(mono_offset_.load()); }
  void StepMono(std::chrono::nanoseconds d) { mono_offset_ += d.count(); }
  void Step(std::chrono::nanoseconds d) { offset_ += d.count(); }

 private:
  SystemClock real_;
  std::atomic<int64_t> offset_ = 0, mono_offset_ = 0;
};

inline UniqueFd Listen(const std::string& path, int type) {
  UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  EXPECT_EQ(listen(fd.get(), 8), 0);
  return fd;
}

inline UniqueFd ConnectTo(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  return fd;
}

inline Envelope AdminCallOf(const std::string& method, const std::map<std::string, std::string>& args,
                            std::string_view secret) {
  Envelope e;
  e.set_call(1);
  e.mutable_admin_call()->set_method(method);
  for (const auto& [k, v] : args) (*e.mutable_admin_call()->mutable_args())[k] = v;
  e.mutable_admin_call()->mutable_secret()->assign(secret);
  e.mutable_admin_call()->mutable_tail()->assign(16, '\0');
  return e;
}

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
    const std::string yaml =
        "trust_domain: example.org\nmachine_key: file\nledger: {checkpoint_interval: 50ms, sync: " + sync_ + "}\n" +
        extra_;
    auto config = config::ParseOrError(yaml, "test.yaml");
    ASSERT_TRUE(config.ok()) << config.error().ToString();
    auto [ours, theirs] = runtime::MakePacketPair().value();
    supervisor_ = std::make_unique<Channel>(
        loop_, std::move(theirs), "keeper",
        [this](Message m, Channel::Reply r) {
          if (on_supervisor_) return on_supervisor_(m.body, std::move(r));
          r.Ack();
        },
        [](const Error&) {});
    to_supervisor_ = std::make_unique<Channel>(
        loop_, std::move(ours), "supervisor", [](Message, Channel::Reply r) { r.Ack(); }, [](const Error&) {});
    const std::string life = std::to_string(++lives_);
    auto keeper = Keeper::Create(loop_, clock_, random_,
                                 {.config = std::move(*config),
                                  .config_yaml = yaml,
                                  .config_file = "/etc/hexr/hexr.yaml",
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
  Envelope Registration(const InstanceId& id, pid_t process) const {
    Envelope e;
    auto& r = *e.mutable_register_instance();
    r.set_instance(id.value());
    r.set_tenant(tenant_);
    r.set_agent("crew");
    r.set_role("writer");
    r.set_pid(process);
    r.mutable_image()->set_exe(exe_);
    r.add_exe_patterns("python3*");
    r.set_again(again_);
    if (!token_.empty()) r.mutable_on_behalf_of()->set_token(token_);
    return e;
  }
  Status Register(const InstanceId& id, const Puppet& process, const InstanceId* parent = nullptr,
                  const std::vector<std::string>& lineage = {}) {
    return Register(id, process.pid(), parent, lineage);
  }
  Status Register(const InstanceId& id, pid_t process, const InstanceId* parent = nullptr,
                  const std::vector<std::string>& lineage = {}) {
    Envelope e = Registration(id, process);
    auto& r = *e.mutable_register_instance();
    if (parent != nullptr) r.set_parent_instance(parent->value());
    for (const std::string& l : lineage) r.add_lineage(l);
    std::vector<UniqueFd> fds;
    fds.push_back(std::move(*runtime::OpenPidfd(process)));
    const auto answer = Ask(*spawner_, std::move(e), std::move(fds));
    return answer.ok() ? Ok() : Status(answer.error());
  }
  std::string AdminPath() const { return folder_ + "/admin" + std::to_string(lives_); }
  // As an operator.
  Result<wire::Json> Operate(const std::string& method, const std::map<std::string, std::string>& args,
                             const std::string& secret = "") {
    const UniqueFd socket = ConnectTo(AdminPath());
    const Status sent = runtime::SendBlocking(socket.get(), AdminCallOf(method, args, secret), {}, seconds(5));
    if (!sent.ok()) return sent.error();
    pollfd answer{socket.get(), POLLIN, 0};
    while (poll(&answer, 1, 0) == 0) loop_.RunFor(std::chrono::milliseconds(5));
    ASSIGN_OR_RETURN(const Message m, runtime::ReceiveBlocking(socket.get(), seconds(5)));
    if (m.body.has_failure()) return Error(static_cast<ErrorCode>(m.body.failure().code()), m.body.failure().message());
    return wire::ParseJson(m.body.admin_result().json());
  }
  // After Stop.
  std::vector<ledger::Record> Log(const std::string& name) {
    const std::string path = ledger::Ledger::LogFolder(folder_ + "/ledger", name);
    std::ifstream in(path + "/" + ledger::kKeyPath);
    const std::string key((std::istreambuf_iterator<char>(in)), {});
    const auto storage = ledger::DirectoryStorage::OpenReadOnly(path).value();
    const auto report = ledger::VerifyLog(storage, {.log_key = ledger::ParseKeyFile(key).value().keys.front()}).value();
    const ledger::LogReader reader(storage, report.records);
    std::vector<ledger::Record> out;
    for (uint64_t i = 0; i < report.records; ++i) out.push_back(ledger::Record::Parse(reader.Entry(i).value()).value());
    return out;
  }
  // For a key that the gateway has made now.
  Result<Message> AskForSvid(Channel& gateway, const InstanceId& id) {
    Envelope e;
    const Bytes spki = crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key().spki();
    e.mutable_issue_svid()->set_instance(id.value());
    e.mutable_issue_svid()->set_spki_der(spki.data(), spki.size());
    return Ask(gateway, std::move(e));
  }
  // What a certificate that is issued now has left to live.
  std::chrono::nanoseconds LifeOfFreshSvid(const InstanceId& id) {
    const auto answer = AskForSvid(*gateway_, id);
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

  std::string folder_, sync_ = "written", extra_;
  std::string tenant_ = "default", exe_ = "/usr/bin/python3", token_;  // of whom Register registers
  bool again_ = false;
  std::function<void(const Envelope&, Channel::Reply)> on_supervisor_;  // what the keeper says to it
  int lives_ = 0;
  SteppedClock clock_;
  SystemRandom random_;
  runtime::Loop loop_;
  std::unique_ptr<Channel> supervisor_, to_supervisor_, spawner_, gateway_;
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace hexr::keeper::testing
