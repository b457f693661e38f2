#include "daemon/roles.h"

#include "base/log.h"
#include "base/random.h"
#include "courier/courier.h"
#include "daemon/confinements.h"
#include "gateway/egress/address.h"
#include "gateway/gateway.h"
#include "gateway/journal_sink.h"
#include "identity/image_lookup.h"
#include "keeper/keeper.h"
#include "runtime/confine.h"
#include "spawner/spawner.h"

namespace hexr::daemon {
namespace {

// What every process of a node has for itself, for as long as it lives.
struct Ground {
  SystemClock clock;
  SystemRandom random;
};

Status ConfineRole(const runtime::Confinement& confinement) {
  ASSIGN_OR_RETURN(const runtime::Confined c, runtime::Confine(confinement));
  if (confinement.limit_files && c.landlock_abi == 0) Log(LogLevel::kWarn, "confine.no_landlock", {});
  return Ok();
}

class KeeperRole final : public Role {
 public:
  static Result<std::unique_ptr<Role>> Make(runtime::Loop& loop, StartInfo info, runtime::Channel& supervisor) {
    if (info.fds.size() != 2) return Internal("keeper: two listeners are expected");
    auto role = std::make_unique<KeeperRole>();
    ASSIGN_OR_RETURN(role->images_, identity::ImageLookup::Start([] { return ConfineRole(ImagesConfinement()); }));
    role->images_watch_ = loop.Watch(role->images_->pidfd(), [&loop] {
      Log(LogLevel::kError, "keeper.no_image_lookup", {});
      loop.Stop();  // the next keeper has one again
    });
    RETURN_IF_ERROR(ConfineRole(KeeperConfinement(info.start.state_dir())));
    keeper::KeeperOptions options{.config = std::move(info.config),
                                  .config_yaml = info.start.config_yaml(),
                                  .config_file = info.start.config_path(),
                                  .state_dir = info.start.state_dir(),
                                  .boot_id = info.start.boot_id(),
                                  .epoch = info.start.epoch(),
                                  .api_listener = std::move(info.fds[0]),
                                  .admin_listener = std::move(info.fds[1]),
                                  .images = role->images_.get()};
    ASSIGN_OR_RETURN(role->keeper_, keeper::Keeper::Create(loop, role->ground_.clock, role->ground_.random,
                                                           std::move(options), supervisor));
    return std::unique_ptr<Role>(std::move(role));
  }
  void OnPeer(const std::string& role, const std::string& tenant, runtime::UniqueFd socket) override {
    keeper_->OnPeer(role, tenant, std::move(socket));
  }
  void OnSupervisor(runtime::Message, runtime::Channel::Reply reply) override {
    reply.Fail(Unimplemented("not the keeper's"));
  }
  void OnDrain(std::chrono::milliseconds, UniqueFunction<void()> done) override { keeper_->Drain(std::move(done)); }

 private:
  Ground ground_;
  std::unique_ptr<identity::ImageLookup> images_;
  runtime::FdWatch images_watch_;
  std::unique_ptr<keeper::Keeper> keeper_;
};

class SpawnerRole final : public Role {
 public:
  static Result<std::unique_ptr<Role>> Make(runtime::Loop& loop, StartInfo info, runtime::Channel& supervisor) {
    if (info.fds.size() != 1) return Internal("spawner: one listener is expected");
    RETURN_IF_ERROR(ConfineRole(SpawnerConfinement()));
    auto role = std::make_unique<SpawnerRole>();
    spawner::SpawnerOptions options{.config = std::move(info.config),
                                    .paths = {info.start.config_path(), info.start.state_dir(), info.start.run_dir()},
                                    .privileged = info.start.privileged()};
    role->spawner_ = std::make_unique<spawner::Spawner>(loop, role->ground_.clock, role->ground_.random,
                                                        std::move(options), std::move(info.fds[0]), supervisor);
    role->spawner_->Start();
    return std::unique_ptr<Role>(std::move(role));
  }
  void OnPeer(const std::string& role, const std::string& tenant, runtime::UniqueFd socket) override {
    spawner_->OnPeer(role, tenant, std::move(socket));
  }
  void OnSupervisor(runtime::Message message, runtime::Channel::Reply reply) override {
    spawner_->OnSupervisor(std::move(message), std::move(reply));
  }
  void OnDrain(std::chrono::milliseconds deadline, UniqueFunction<void()> done) override {
    spawner_->Drain(deadline, std::move(done));
  }

 private:
  Ground ground_;
  std::unique_ptr<spawner::Spawner> spawner_;
};

class GatewayRole final : public Role {
 public:
  static Result<std::unique_ptr<Role>> Make(runtime::Loop& loop, StartInfo info, runtime::Channel& supervisor) {
    const auto own_user = info.start.privileged() ? std::optional<uid_t>(info.start.uid_base() + 1) : std::nullopt;
    RETURN_IF_ERROR(ConfineRole(GatewayConfinement(own_user)));
    ASSIGN_OR_RETURN(IdSegment tenant, IdSegment::Parse(info.start.tenant()));
    auto role = std::make_unique<GatewayRole>(loop);
    const auto sync = info.config.ledger.sync == config::SyncMode::kDurable ? ledger::SyncPolicy::kDurable
                                                                            : ledger::SyncPolicy::kWritten;
    role->gateway_ = std::make_unique<gateway::Gateway>(
        gateway::GatewayParts{loop, role->ground_.clock, role->ground_.random, role->resolver_,
                              gateway::OpenJournalSink(loop, sync)},
        gateway::GatewayOptions{info.config.trust_domain, std::move(tenant), info.config.egress}, [&supervisor] {
          runtime::Envelope ready;
          ready.mutable_ready();
          (void)supervisor.Send(std::move(ready));
        });
    return std::unique_ptr<Role>(std::move(role));
  }
  explicit GatewayRole(runtime::Loop& loop) : resolver_(loop) {}
  void OnPeer(const std::string& role, const std::string&, runtime::UniqueFd socket) override {
    gateway_->OnPeer(role, std::move(socket));
  }
  void OnSupervisor(runtime::Message, runtime::Channel::Reply reply) override {
    reply.Fail(Unimplemented("not a gateway's"));
  }
  void OnDrain(std::chrono::milliseconds deadline, UniqueFunction<void()> done) override {
    gateway_->Drain(deadline, std::move(done));
  }

 private:
  Ground ground_;
  net::Resolver resolver_;
  std::unique_ptr<gateway::Gateway> gateway_;
};

// Where the courier may be sent. Nobody's choice opens the addresses at which clouds serve credentials.
Status CheckFetchAddress(ByteView bytes, bool named) {
  ASSIGN_OR_RETURN(const IpAddress address, IpAddress::FromBytes(bytes));
  const gateway::AddressClass kind = gateway::Classify(address);
  if (!named && kind == gateway::AddressClass::kPublic && gateway::IsOwnAddress(address)) {
    return PermissionDenied(address.ToString() +
                            " is this machine's own, which only a URL of the configuration may name");
  }
  const bool near = kind == gateway::AddressClass::kPrivate || kind == gateway::AddressClass::kLoopback;
  if (kind == gateway::AddressClass::kPublic || (named && near)) return Ok();
  return PermissionDenied(address.ToString() + " is a " + std::string(gateway::AddressClassName(kind)) +
                          (near ? " address, which only a URL of the configuration may name" : " address"));
}

class CourierRole final : public Role {
 public:
  static Result<std::unique_ptr<Role>> Make(runtime::Loop& loop, StartInfo info, runtime::Channel& supervisor) {
    const std::vector<config::Listener> listeners = config::Listeners(info.config);
    if (info.fds.size() != listeners.size()) return Internal("courier: one socket for each listener is expected");
    const auto own_user = info.start.privileged() ? std::optional<uid_t>(kCourierUid) : std::nullopt;
    RETURN_IF_ERROR(ConfineRole(CourierConfinement(own_user)));
    std::vector<courier::Listening> listening;
    for (size_t i = 0; i < listeners.size(); ++i) listening.push_back({listeners[i].name, std::move(info.fds[i])});
    auto role = std::make_unique<CourierRole>();
    role->courier_ = std::make_unique<courier::Courier>(loop, role->ground_.clock, std::move(listening),
                                                        CheckFetchAddress, [&supervisor] {
                                                          runtime::Envelope ready;
                                                          ready.mutable_ready();
                                                          (void)supervisor.Send(std::move(ready));
                                                        });
    return std::unique_ptr<Role>(std::move(role));
  }
  void OnPeer(const std::string& role, const std::string&, runtime::UniqueFd socket) override {
    courier_->OnPeer(role, std::move(socket));
  }
  void OnSupervisor(runtime::Message, runtime::Channel::Reply reply) override {
    reply.Fail(Unimplemented("not the courier's"));
  }
  void OnDrain(std::chrono::milliseconds, UniqueFunction<void()> done) override { courier_->Drain(std::move(done)); }

 private:
  // The end of the range that tenants get their uids from (keeper/tenants.cc), which they do not reach.
  static constexpr uid_t kCourierUid = 2'147'483'646;
  Ground ground_;
  std::unique_ptr<courier::Courier> courier_;
};

}  // namespace

MakeRole MakeRoleFor(const std::string& name) {
  if (name == "keeper") return &KeeperRole::Make;
  if (name == "spawner") return &SpawnerRole::Make;
  if (name == "gateway") return &GatewayRole::Make;
  if (name == "courier") return &CourierRole::Make;
  return [name](runtime::Loop&, StartInfo, runtime::Channel&) -> Result<std::unique_ptr<Role>> {
    return InvalidArgument("there is no role '" + name + "'");
  };
}

}  // namespace hexr::daemon
