#include "daemon/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/limits/messages.h"
#include "base/log.h"
#include "net/listener.h"
#include "runtime/packet.h"

namespace hexr::daemon {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;

struct Supervisor::Child {
  std::string role;
  std::string tenant;     // gateways
  uint32_t uid_base = 0;  // gateways
  pid_t pid = -1;
  UniqueFd pidfd;
  runtime::FdWatch exit_watch;
  std::unique_ptr<Channel> channel;
  runtime::Timer restart;
  MonoTime started{};
  std::chrono::milliseconds backoff{0};
  uint64_t starts = 0;
  bool ready = false;
  bool wanted = true;  // false: ends for good

  std::string Name() const { return tenant.empty() ? role : role + "/" + tenant; }
  bool running() const { return static_cast<bool>(pidfd); }
};

namespace {

constexpr int kMistaken = 2;  // how a child ends whose configuration, or what it names, is mistaken

// Creates the folder with this mode, or checks that it is ours and no wider.
Status EnsureFolder(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    const bool last = slash == std::string::npos;
    if (mkdir(part.c_str(), last ? mode : 0755) == 0) {
      if (chmod(part.c_str(), last ? mode : 0755) != 0) return ErrnoError("chmod " + part, errno);
    } else if (errno != EEXIST) {
      return ErrnoError("make folder " + part, errno);
    }
    if (last) break;
  }
  struct stat st {};
  if (lstat(path.c_str(), &st) != 0) return ErrnoError("stat " + path, errno);
  if (!S_ISDIR(st.st_mode)) return FailedPrecondition(path + " is not a folder; move it away");
  if (st.st_uid != geteuid())
    return FailedPrecondition(path + " belongs to another user; give it to the node's user, or set HEXR_HOME");
  if ((st.st_mode & 07777 & ~mode) != 0) {
    return FailedPrecondition(path + " is open to others; run: chmod " + (mode == 0700 ? "700 " : "755 ") + path);
  }
  return Ok();
}

UniqueFd Duplicate(const UniqueFd& fd) { return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

}  // namespace

Supervisor::Supervisor(runtime::Loop& loop, const Clock& clock, SupervisorOptions options)
    : loop_(loop), clock_(clock), options_(std::move(options)) {}

Supervisor::~Supervisor() {
  for (const auto& c : children_) {
    if (c->running()) (void)runtime::SignalPidfd(c->pidfd.get(), SIGKILL);
  }
}

Status Supervisor::MakeFolders() {
  RETURN_IF_ERROR(EnsureFolder(options_.paths.state_dir, 0700));
  RETURN_IF_ERROR(EnsureFolder(options_.paths.run_dir, 0755));
  RETURN_IF_ERROR(EnsureFolder(options_.paths.run_dir + "/private", 0700));
  // The lock is the open file, not its existence: a node that was killed leaves nothing to clean up.
  lock_ = UniqueFd(open(options_.paths.PidFile().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_) return ErrnoError("open " + options_.paths.PidFile(), errno);
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return AlreadyExists("a node is already running on " + options_.paths.run_dir +
                         "; stop it with `hexr down`, or set HEXR_HOME");
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(lock_.get(), 0) != 0 ||
      pwrite(lock_.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return ErrnoError("write " + options_.paths.PidFile(), errno);
  }
  return Ok();
}

Status Supervisor::BindSockets() {
  // The node's lock is held: whatever socket lies here belonged to a node that is gone. Everyone may ask; the kernel
  // says who they are.
  ASSIGN_OR_RETURN(api_, net::BindUnix(options_.paths.ApiSocket(), SOCK_STREAM, 0666));
  ASSIGN_OR_RETURN(launch_, net::BindUnix(options_.paths.LaunchSocket(), SOCK_SEQPACKET, 0666));
  ASSIGN_OR_RETURN(admin_, net::BindUnix(options_.paths.AdminSocket(), SOCK_SEQPACKET, 0600));
  // Bound here, so that a port below 1024 needs no capability in the process that serves it, and survives it.
  for (const config::Listener& l : options_.listeners) {
    auto socket = net::BindTcp(l.address.address, l.address.port);
    if (!socket.ok()) {
      return FailedPrecondition(socket.error().message() + "; it is wanted for " + l.name + " in " +
                                options_.paths.config_file);
    }
    listeners_.push_back(std::move(*socket));
  }
  return Ok();
}

Status Supervisor::Start(UniqueFunction<void()> on_ready) {
  on_ready_ = std::move(on_ready);
  RETURN_IF_ERROR(MakeFolders());
  RETURN_IF_ERROR(BindSockets());
  ASSIGN_OR_RETURN(boot_id_, runtime::BootId());
  std::vector<std::string> roles = {"keeper", "spawner"};
  if (options_.courier) roles.push_back("courier");
  for (const std::string& role : roles) {
    children_.push_back(std::make_unique<Child>());
    children_.back()->role = role;
  }
  // Gateways follow when the keeper, which knows the tenants, asks for them.
  for (size_t i = 0; i < roles.size(); ++i) StartChild(*children_[i]);
  return Ok();
}

void Supervisor::StartChild(Child& child) {
  auto pair = runtime::MakePacketPair();
  std::vector<std::string> argv = options_.child_argv;
  argv.push_back(child.role);
  Result<runtime::Child> started =
      pair.ok() ? runtime::SpawnChild({argv, options_.child_env, {{3, pair->second.get()}}, SIGKILL})
                : Result<runtime::Child>(pair.error());
  child.started = clock_.Mono();
  child.ready = false;
  announced_ = false;
  ++child.starts;
  if (!started.ok()) {
    Log(LogLevel::kError, "child.start_failed", {{"child", child.Name()}, {"error", started.error()}});
    child.backoff = options_.longest_backoff;
    child.restart = loop_.After(child.backoff, [this, &child] { StartChild(child); });
    return;
  }
  child.pid = started->pid;
  child.pidfd = std::move(started->pidfd);
  child.exit_watch = loop_.Watch(child.pidfd.get(), [this, &child] { ChildEnded(child); });
  child.channel = std::make_unique<Channel>(
      loop_, std::move(pair->first), child.Name(),
      [this, &child](Message m, Channel::Reply r) { Handle(child, std::move(m), std::move(r)); },
      [](const Error&) { /* its pidfd says the same, with the reason */ });
  Log(LogLevel::kInfo, "child.started", {{"child", child.Name()}, {"pid", child.pid}, {"start", child.starts}});

  Envelope e;
  auto& s = *e.mutable_start();
  s.set_role(child.role);
  s.set_tenant(child.tenant);
  s.set_config_yaml(options_.config_yaml);
  s.set_config_path(options_.paths.config_file);
  s.set_state_dir(options_.paths.state_dir);
  s.set_run_dir(options_.paths.run_dir);
  s.set_epoch(child.starts);
  s.set_boot_id(boot_id_);
  s.set_privileged(options_.privileged);
  s.set_uid_base(child.uid_base);
  std::vector<UniqueFd> fds;
  if (child.role == "keeper") {
    fds.push_back(Duplicate(api_));
    fds.push_back(Duplicate(admin_));
  } else if (child.role == "spawner") {
    fds.push_back(Duplicate(launch_));
  } else if (child.role == "courier") {
    for (const UniqueFd& l : listeners_) fds.push_back(Duplicate(l));
  }
  (void)child.channel->Send(std::move(e), std::move(fds));  // a failure shows as the child's end
  if (child.role == "spawner") SendTenants();
  Connect(child);
}

// Gateways know nothing of each other, and the courier knows the keeper alone: neither what agents say nor what the
// network says may reach the other through a third.
bool Supervisor::Strangers(const Child& a, const Child& b) {
  if (a.role == "courier" || b.role == "courier") return a.role != "keeper" && b.role != "keeper";
  return a.role == "gateway" && b.role == "gateway";
}

void Supervisor::Connect(Child& fresh) {
  for (const auto& other : children_) {
    if (other.get() == &fresh || !other->channel || !other->running() || Strangers(*other, fresh)) continue;
    Pair(fresh, *other);
  }
}

void Supervisor::Pair(Child& a, Child& b) {
  auto pair = runtime::MakePacketPair();
  if (!pair.ok()) {
    Log(LogLevel::kError, "child.connect_failed", {{"child", a.Name()}, {"peer", b.Name()}, {"error", pair.error()}});
    return;
  }
  const auto introduce = [](Child& to, const Child& peer, UniqueFd end) {
    Envelope e;
    e.mutable_peer()->set_role(peer.role);
    e.mutable_peer()->set_tenant(peer.tenant);
    std::vector<UniqueFd> fds;
    fds.push_back(std::move(end));
    (void)to.channel->Send(std::move(e), std::move(fds));
  };
  introduce(a, b, std::move(pair->first));
  introduce(b, a, std::move(pair->second));
}

// A pair that broke while both its ends live: a message that was refused, a queue that ran over. Without a new one a
// kill or a quarantine would not get through any more. Where the other end has died, its start brings the new pair.
void Supervisor::PairAgain(const Child& from, const std::string& lost) {
  std::string key = std::min(from.Name(), lost) + " " + std::max(from.Name(), lost);
  if (repairs_.contains(key)) return;  // the other end has said so too
  const auto at = std::pair(from.starts, Find(lost) != nullptr ? Find(lost)->starts : 0);
  repairs_[key] = loop_.After(options_.repair_after, [this, key, name = from.Name(), lost, at] {
    Child* a = Find(name);
    Child* b = Find(lost);
    const bool same = a != nullptr && b != nullptr && std::pair(a->starts, b->starts) == at;
    if (same && a->running() && b->running() && !Strangers(*a, *b)) {
      Log(LogLevel::kWarn, "child.paired_again", {{"child", name}, {"peer", lost}});
      Pair(*a, *b);
    }
    repairs_.erase(key);
  });
}

void Supervisor::ChildEnded(Child& child) {
  const auto status = runtime::ReapChild(child.pidfd.get());
  if (status.ok() && !status->has_value()) return;
  const std::string how = status.ok() ? runtime::DescribeWaitStatus(**status) : status.error().message();
  const bool expected = draining_ || !child.wanted;
  Log(expected ? LogLevel::kInfo : LogLevel::kError, "child.ended", {{"child", child.Name()}, {"how", how}});
  child.exit_watch = runtime::FdWatch();
  child.pidfd.reset();
  child.channel.reset();
  child.pid = -1;
  child.ready = false;
  if (draining_) return DrainNext();
  if (!child.wanted) {
    std::erase_if(children_, [&](const auto& c) { return c.get() == &child; });
    SendTenants();
    return;
  }
  if (!was_ready_ && status.ok() && WIFEXITED(**status) && WEXITSTATUS(**status) == kMistaken) {
    gave_up_ = true;
    return Drain([this] { loop_.Stop(); });
  }
  const bool stable = clock_.Mono() - child.started >= options_.stable_after;
  child.backoff = stable ? std::chrono::milliseconds(0)
                         : std::clamp(child.backoff * 2, options_.first_backoff, options_.longest_backoff);
  child.restart = loop_.After(child.backoff, [this, &child] { StartChild(child); });
}

Supervisor::Child* Supervisor::Find(const std::string& name) {
  for (const auto& c : children_) {
    if (c->Name() == name) return c.get();
  }
  return nullptr;
}

void Supervisor::SendTenants() {
  Child* spawner = Find("spawner");
  if (spawner == nullptr || !spawner->channel) return;
  Envelope e;
  auto& tenants = *e.mutable_tenants();
  for (const auto& c : children_) {
    if (c->role != "gateway" || !c->wanted) continue;
    auto& t = *tenants.add_tenants();
    t.set_tenant(c->tenant);
    t.set_uid_base(c->uid_base);
  }
  for (const std::string& name : frozen_) tenants.add_frozen(name);
  (void)spawner->channel->Send(std::move(e));
}

void Supervisor::Handle(Child& from, Message m, Channel::Reply reply) {
  switch (m.body.body_case()) {
    case Envelope::kReady:
      from.ready = true;
      reply.Ack();
      return CheckReady();
    case Envelope::kPark: {
      // What is kept here costs memory and descriptors of the one process that must not run out of either.
      if (from.role != "spawner") return reply.Fail(PermissionDenied("nothing is parked for " + from.role));
      auto& mine = parked_[from.Name()];
      const std::string& key = m.body.park().key();
      if (!mine.contains(key) && mine.size() >= limits::kMaxParkedItems) {
        return reply.Fail(ResourceExhausted("too much is parked for " + from.Name()));
      }
      mine[key] = {m.body.park().state(), std::make_shared<const std::vector<UniqueFd>>(std::move(m.fds))};
      return reply.Ack();
    }
    case Envelope::kUnpark: return Unpark(from, m.body.unpark().key(), std::move(reply));
    case Envelope::kStartTenant: {
      // Only the keeper knows tenants; anyone else who asks is out of place.
      if (from.role != "keeper") return reply.Fail(PermissionDenied("tenants are the keeper's"));
      const auto& t = m.body.start_tenant();
      const bool thawed = frozen_.erase(t.tenant()) > 0;
      if (Find("gateway/" + t.tenant()) == nullptr) {
        children_.push_back(std::make_unique<Child>());
        Child& c = *children_.back();
        c.role = "gateway";
        c.tenant = t.tenant();
        c.uid_base = t.uid_base();
        SendTenants();
        StartChild(c);
      } else if (thawed) {
        SendTenants();
      }
      return reply.Ack();
    }
    case Envelope::kPeerLost: {
      const auto& lost = m.body.peer_lost();
      PairAgain(from, lost.tenant().empty() ? lost.role() : lost.role() + "/" + lost.tenant());
      return reply.Ack();
    }
    case Envelope::kCollectMetrics:
      if (from.role != "keeper") return reply.Fail(PermissionDenied("metrics are gathered by the keeper"));
      return SendMetrics(std::move(reply));
    case Envelope::kStopTenant: {
      if (from.role != "keeper") return reply.Fail(PermissionDenied("tenants are the keeper's"));
      const auto& t = m.body.stop_tenant();
      Child* c = Find("gateway/" + t.tenant());
      if (t.frozen())
        frozen_.insert(t.tenant());
      else
        frozen_.erase(t.tenant());
      if (c != nullptr) c->wanted = false;
      SendTenants();
      if (c != nullptr) {
        c->restart.Cancel();
        if (c->running())
          (void)runtime::SignalPidfd(c->pidfd.get(), SIGTERM);
        else
          std::erase_if(children_, [&](const auto& x) { return x.get() == c; });
      }
      return reply.Ack();
    }
    default: return reply.Fail(Unimplemented("the supervisor does not serve this"));
  }
}

void Supervisor::SendMetrics(Channel::Reply reply) const {
  Envelope e;
  auto& metrics = *e.mutable_metrics();
  const auto family = [&](const char* name, const char* help, bool counter) {
    auto* f = metrics.add_families();
    f->set_name(name);
    f->set_help(help);
    f->set_counter(counter);
    return f;
  };
  auto* starts = family("hexr_process_starts_total", "How often a process of the node was started.", true);
  auto* ready = family("hexr_process_ready", "Whether a process of the node has said that it is ready.", false);
  for (const auto& c : children_) {
    for (auto* f : {starts, ready}) {
      auto& sample = *f->add_samples();
      auto& role = *sample.add_labels();
      role.set_name("role");
      role.set_value(c->role);
      if (!c->tenant.empty()) {
        auto& tenant = *sample.add_labels();
        tenant.set_name("tenant");
        tenant.set_value(c->tenant);
      }
      sample.set_value(f == starts ? static_cast<double>(c->starts) : (c->ready ? 1 : 0));
    }
  }
  reply.Send(std::move(e));
}

void Supervisor::Unpark(Child& from, const std::string& key, Channel::Reply reply) {
  auto& mine = parked_[from.Name()];
  if (!key.empty()) {  // what the child no longer needs here
    mine.erase(key);
    return reply.Ack();
  }
  for (const auto& [k, p] : mine) {
    Envelope e;
    e.mutable_park()->set_key(k);
    e.mutable_park()->set_state(p.state);
    // Shared, for twice the descriptors of every agent at once would not fit this process.
    (void)from.channel->SendShared(std::move(e), p.fds);
  }
  reply.Ack();
}

void Supervisor::CheckReady() {
  if (announced_ || draining_) return;
  // The keeper is ready once it has asked for every gateway: there may be none, where no tenant is active.
  if (!std::ranges::all_of(children_, [](const auto& c) { return c->ready; })) return;
  announced_ = was_ready_ = true;
  if (on_ready_) on_ready_();
}

void Supervisor::Drain(UniqueFunction<void()> done) {
  if (draining_) return;
  draining_ = true;
  on_drained_ = std::move(done);
  for (const auto& c : children_) c->restart.Cancel();
  drain_timer_ = loop_.After(options_.drain_deadline, [this] {
    Log(LogLevel::kWarn, "node.drain_deadline", {});
    for (const auto& c : children_) {
      if (c->running()) (void)runtime::SignalPidfd(c->pidfd.get(), SIGKILL);
    }
  });
  DrainNext();
}

// Called at the start and whenever a child has ended: tells the next stage, or finishes.
void Supervisor::DrainNext() {
  const auto running = [this](bool keeper) {
    return std::ranges::any_of(children_,
                               [&](const auto& c) { return c->running() && (c->role == "keeper") == keeper; });
  };
  const bool last_stage = !running(false);
  if (last_stage && !running(true)) {
    drain_timer_.Cancel();
    for (const std::string& path :
         {options_.paths.ApiSocket(), options_.paths.LaunchSocket(), options_.paths.AdminSocket()}) {
      (void)unlink(path.c_str());
    }
    if (on_drained_) loop_.Post(std::move(on_drained_));
    return;
  }
  for (const auto& c : children_) {
    if (!c->channel || (c->role == "keeper") != last_stage || !c->wanted) continue;
    c->wanted = false;  // told once
    Envelope e;
    e.mutable_drain()->set_deadline_ms(static_cast<uint32_t>(options_.drain_deadline.count()));
    (void)c->channel->Send(std::move(e));
  }
}

std::vector<Supervisor::ChildState> Supervisor::children() const {
  std::vector<ChildState> out;
  for (const auto& c : children_) out.push_back({c->Name(), c->pid, c->ready, c->starts});
  return out;
}

}  // namespace hexr::daemon
