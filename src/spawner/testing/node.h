// A spawner with stand-ins for supervisor, keeper and gateway at the other ends of its channels, on one loop.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits/identity.h"
#include "runtime/packet.h"
#include "runtime/shared_counters.h"
#include "spawner/spawner.h"
#include "spawner/testing/agent.h"

namespace hexr::spawner::testing {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;

inline UniqueFd ListenAt(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  snprintf(a.sun_path, sizeof a.sun_path, "%s", path.c_str());
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  chmod(path.c_str(), 0666);
  listen(fd.get(), 16);
  return fd;
}

struct Node {
  explicit Node(const std::string& roles_yaml = "") : home(geteuid()) {
    auto config = config::ParseOrError("trust_domain: example.org\ntenant: default\n" + roles_yaml, "test.yaml");
    EXPECT_TRUE(config.ok()) << config.error().ToString();
    options = std::make_unique<SpawnerOptions>(SpawnerOptions{*config, {}, geteuid() == 0});
    options->paths.run_dir = home.path();
    std::ofstream(home.path() + "/api.sock") << "";
    listener = ListenAt(home.path() + "/launch.sock");
    StartSpawner();
  }
  ~Node() {
    parked.clear();  // or its agents would outlive their spawner, as they should
    spawner.reset();
    keeper.reset();
    gateway.reset();
    supervisor.reset();
  }

  std::pair<UniqueFd, UniqueFd> Pair() {
    auto p = runtime::MakePacketPair();
    EXPECT_TRUE(p.ok());
    return std::move(*p);
  }

  void StartSpawner() {
    auto [ours, theirs] = Pair();
    to_supervisor = std::make_unique<Channel>(
        loop, std::move(theirs), "supervisor",
        [this](Message m, Channel::Reply r) { spawner->OnSupervisor(std::move(m), std::move(r)); },
        [](const Error&) {});
    supervisor = std::make_unique<Channel>(
        loop, std::move(ours), "spawner",
        [this](Message m, Channel::Reply r) { OnSupervisorCall(std::move(m), std::move(r)); }, [](const Error&) {});
    spawner = std::make_unique<Spawner>(loop, clock, random, *options,
                                        UniqueFd(fcntl(listener.get(), F_DUPFD_CLOEXEC, 3)), *to_supervisor);
    Envelope e;
    auto& t = *e.mutable_tenants()->add_tenants();
    t.set_tenant("default");
    t.set_uid_base(kTenantUid);
    (void)!supervisor->Send(std::move(e)).ok();
    ConnectKeeper();
    ConnectGateway();
    if (resend_at_once) {
      Envelope ask;
      ask.mutable_resend_instances();
      gateway->Call(std::move(ask), {}, std::chrono::seconds(10),
                    [this](Result<Message> r) { told_at_once = r.ok() ? std::optional(up.size()) : std::nullopt; });
    }
    spawner->Start();
    EXPECT_TRUE(Until([this] { return ready; }));
  }
  void ConnectKeeper() {
    auto [ours, theirs] = Pair();
    spawner->OnPeer("keeper", "", std::move(theirs));
    keeper = std::make_unique<Channel>(
        loop, std::move(ours), "spawner", [this](Message m, Channel::Reply r) { OnKeeper(std::move(m), std::move(r)); },
        [](const Error&) {});
    for (const std::string& id : quarantined) Quarantine(id, true);
  }
  void Quarantine(const std::string& instance, bool on) {
    Envelope e;
    e.mutable_quarantine()->set_instance(instance);
    e.mutable_quarantine()->set_on(on);
    (void)!keeper->Send(std::move(e)).ok();
  }
  void ConnectGateway() {
    auto [ours, theirs] = Pair();
    spawner->OnPeer("gateway", "default", std::move(theirs));
    gateway = std::make_unique<Channel>(
        loop, std::move(ours), "spawner",
        [this](Message m, Channel::Reply r) { OnGateway(std::move(m), std::move(r)); }, [](const Error&) {});
  }
  void OnSupervisorCall(Message m, Channel::Reply r) {
    if (m.body.has_park()) parked[m.body.park().key()] = {m.body.park().state(), std::move(m.fds)};
    if (m.body.has_ready()) ready = true;
    if (m.body.has_unpark()) {
      if (!m.body.unpark().key().empty()) {
        parked.erase(m.body.unpark().key());
      } else {
        for (auto& [key, p] : parked) {
          Envelope e;
          e.mutable_park()->set_key(key);
          e.mutable_park()->set_state(p.first);
          std::vector<UniqueFd> fds;
          for (const UniqueFd& fd : p.second) fds.push_back(UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)));
          (void)!supervisor->Send(std::move(e), std::move(fds)).ok();
        }
      }
    }
    r.Ack();
  }
  void OnKeeper(Message m, Channel::Reply r) {
    if (m.body.has_exec_counters()) {
      auto adopted = runtime::SharedCounters::Adopt(std::move(m.fds.at(0)), limits::kMaxInstances);
      EXPECT_TRUE(adopted.ok());
      if (adopted.ok()) exec_counters.emplace(std::move(*adopted));
      return r.Ack();
    }
    events += Name(m);
    if (m.body.has_exec_starting() && hold_execs) return held_execs.push_back(std::move(r));
    if (m.body.has_register_instance()) {
      registered.push_back(m.body.register_instance());
      if (before_exec) before_exec();
      if (refuse_registration) return r.Fail(PermissionDenied("policy says no"));
      if (refuse_next > 0) {
        --refuse_next;
        return r.Fail(NotFound("the parent instance has ended"));
      }
      if (hold_registrations) {
        held.emplace_back(m.body.register_instance(), std::move(r));
        return;
      }
      return Registered(m.body.register_instance(), r);
    }
    if (m.body.has_exec_starting() && knows_nobody) return r.Fail(NotFound("no such instance"));
    if (m.body.has_exec_done()) exec_done.push_back(m.body.exec_done());
    r.Ack();
  }
  void Registered(const ::hexr::node::v1::RegisterInstance& who, Channel::Reply& r) {
    Envelope e;
    e.mutable_registered()->set_spiffe_id("spiffe://example.org/agent/default/" + who.agent() + "/" + who.role());
    if (!who.parent_instance().empty())
      e.mutable_registered()->add_lineage("spiffe://example.org/agent/default/crew/main");
    e.mutable_registered()->set_reads_execs(reads_execs);
    r.Send(std::move(e));
  }
  void AnswerHeld() {
    hold_registrations = false;
    for (auto& [who, r] : std::exchange(held, {})) Registered(who, r);
  }
  void OnGateway(Message m, Channel::Reply r) {
    events += Name(m);
    if (m.body.has_instance_up()) {
      up.push_back(m.body.instance_up());
      listeners[m.body.instance_up().instance()] = std::move(m.fds);
    }
    if (m.body.has_instance_up() && refuse_up) return r.Fail(PermissionDenied("no such tenant here"));
    r.Ack();
  }
  static std::string Name(const Message& m) {
    switch (m.body.body_case()) {
      case Envelope::kRegisterInstance: return "register ";
      case Envelope::kExecStarting: return "exec-starting ";
      case Envelope::kExecDone: return "exec-done ";
      case Envelope::kInstanceEnded: return "ended ";
      case Envelope::kInstanceUp: return "up ";
      case Envelope::kInstanceDown: return "down ";
      default: return "? ";
    }
  }
  bool Until(const std::function<bool()>& done) {
    const runtime::Timer busy = loop.After(std::chrono::hours(1), [] {});
    for (int i = 0; i < 4000; ++i) {
      if (done()) return true;
      loop.RunFor(std::chrono::milliseconds(2));
    }
    return done();
  }
  template <class Client>
  bool UntilEnded(Client& c) {
    return Until([&] {
      c.Poll();
      return c.ended.has_value() || c.refused.has_value();
    });
  }
  template <class Client>
  bool UntilStarted(Client& c) {
    return Until([&] {
      c.Poll();
      return c.started.has_value() || c.refused.has_value();
    });
  }
  // Both were told of the end; the two channels have no order between them.
  bool Ended() {
    return Until([this] { return events == "register up ended down " || events == "register up down ended "; });
  }
  std::string path() const { return home.path() + "/launch.sock"; }

  TempFolder home;
  runtime::Loop loop;
  SystemClock clock;
  SystemRandom random;
  std::unique_ptr<SpawnerOptions> options;
  UniqueFd listener;
  std::unique_ptr<Channel> to_supervisor, supervisor, keeper, gateway;
  std::unique_ptr<Spawner> spawner;
  std::optional<runtime::SharedCounters> exec_counters;
  bool reads_execs = false, hold_execs = false;  // what the keeper does
  std::vector<Channel::Reply> held_execs;
  bool ready = false, refuse_registration = false, refuse_up = false;
  std::function<void()> before_exec;  // a program has been measured, and does not run yet
  bool knows_nobody = false;          // the keeper has just started: no exec is of anybody it knows
  int refuse_next = 0;                // registrations, for a reason that passes
  bool hold_registrations = false;
  std::vector<std::pair<::hexr::node::v1::RegisterInstance, Channel::Reply>> held;
  std::vector<std::string> quarantined;  // by a keeper that comes
  bool resend_at_once = false;           // the gateway asks for its instances before the spawner has started
  std::optional<size_t> told_at_once;    // how many it had heard of when that was answered
  std::map<std::string, std::pair<std::string, std::vector<UniqueFd>>> parked;
  std::vector<::hexr::node::v1::RegisterInstance> registered;
  std::vector<::hexr::node::v1::ExecDone> exec_done;
  std::vector<::hexr::node::v1::InstanceUp> up;
  std::map<std::string, std::vector<UniqueFd>> listeners;
  std::string events;
};

}  // namespace hexr::spawner::testing
