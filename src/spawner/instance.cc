#include "spawner/instance.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/limits/agents.h"
#include "base/limits/messages.h"
#include "base/log.h"
#include "runtime/packet.h"
#include "runtime/process.h"
#include "spawner/init.h"
#include "spawner/owner.h"
#include "spawner/sys.h"

namespace hexr::spawner {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;

namespace {

constexpr std::chrono::milliseconds kKeeperRetry{100};
constexpr std::chrono::milliseconds kSettleRetry{100};
constexpr int kKeeperAttempts = 50;  // five seconds: a restarting keeper is back by then
// What another try does not change.
bool IsFinal(ErrorCode code) { return code == ErrorCode::kPermissionDenied || code == ErrorCode::kResourceExhausted; }
constexpr std::chrono::seconds kHangUpGrace{5};  // between SIGHUP and SIGKILL when `hexr run` has gone
constexpr size_t kParkedHandles = 6;

UniqueFd Duplicate(const UniqueFd& fd) { return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

std::vector<UniqueFd> Duplicate(const std::vector<UniqueFd>& fds) {
  std::vector<UniqueFd> out;
  out.reserve(fds.size());
  for (const UniqueFd& fd : fds) out.push_back(Duplicate(fd));
  return out;
}

std::string AddressText(const ListenerSpec& l) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(l.v6 ? AF_INET6 : AF_INET, l.address.data(), text, sizeof text);
  return text;
}

}  // namespace

void FillImage(const Image& image, ::hexr::node::v1::Image& out) {
  out.set_exe(image.exe);
  if (image.exe_sha256) out.set_exe_sha256(image.exe_sha256->data(), image.exe_sha256->size());
  out.set_script(image.script);
  if (image.script_sha256) out.set_script_sha256(image.script_sha256->data(), image.script_sha256->size());
}

Instance::Instance(runtime::Loop& loop, ImageDigests& images, OwnerTurns& owners, Links& links, InstanceFacts facts,
                   AgentHandles handles, ExecJournal journal, bool launching, OnEnded on_ended)
    : loop_(loop),
      images_(images),
      owners_(owners),
      links_(links),
      facts_(std::move(facts)),
      handles_(std::move(handles)),
      journal_(std::move(journal)),
      on_ended_(std::move(on_ended)),
      counter_(links_.exec_counters().Take()),
      attested_counter_(counter_ ? counter_.value() : 0),
      self_(std::make_shared<Instance*>(this)) {
  init_watch_ = loop_.Watch(handles_.init_pidfd.get(), [this] { OnInitEnded(); });
  control_watch_ = loop_.Watch(handles_.control.get(), [this] { OnControl(); });
  ExecWatch::Events events;
  events.starting = [this](UniqueFunction<void(bool)> answer) { OnExecStarting(std::move(answer), 0); };
  events.settled = [this] { OnExecSettled(); };
  execs_ = std::make_unique<ExecWatch>(loop_, handles_.agent_pid, handles_.exec_listener.get(), journal_, launching,
                                       std::move(events));
}

Instance::~Instance() {
  owners_.Forget(facts_.id.value());
  for (Channel::Reply& r : sockets_) r.Fail(NotFound("the instance has ended"));
  if (session_) session_->Close();
}

// ---- keeper and gateway

void Instance::FillRegistration(::hexr::node::v1::RegisterInstance& r) const {
  r.set_instance(facts_.id.value());
  r.set_tenant(facts_.name.tenant.value());
  r.set_agent(facts_.name.agent.value());
  r.set_role(facts_.name.role.value());
  if (facts_.parent) r.set_parent_instance(facts_.parent->value());
  r.set_pid(handles_.agent_pid);
  r.set_start_time(handles_.agent_start_time);
  const Result<uint64_t> inode = runtime::PidfdInode(handles_.agent_pidfd.get());
  r.set_pidfd_inode(inode.ok() ? *inode : 0);
  FillImage(facts_.image, *r.mutable_image());
  r.set_caller_uid(facts_.caller_uid);
  r.set_caller_user(facts_.caller_user);
  if (!facts_.on_behalf_of.empty()) r.mutable_on_behalf_of()->set_token(facts_.on_behalf_of);
  r.set_children(facts_.entry.children == config::Children::kInherit ? "inherit" : "deny");
  for (const std::string& s : facts_.shares.named) r.add_shares(s);
  r.set_shares_more(facts_.shares.more);
  r.set_sockets(facts_.sockets);
  r.set_cgroup(facts_.cgroup);
  for (const std::string& p : facts_.entry.exe) r.add_exe_patterns(p);
  r.set_sub_identities(facts_.entry.sub_identities);
  for (const std::string& l : facts_.lineage) r.add_lineage(l);
  if (counter_) r.set_exec_counter(counter_.number() + 1);
  r.set_execs(attested_counter_);
  r.set_again(!facts_.spiffe_id.empty());
}

void Instance::Register(UniqueFunction<void(Status)> done) {
  Envelope e;
  FillRegistration(*e.mutable_register_instance());
  std::vector<UniqueFd> fds;
  fds.push_back(Duplicate(handles_.agent_pidfd));
  registering_ = true;
  links_.CallKeeper(std::move(e), std::move(fds),
                    [weak = std::weak_ptr<Instance*>(self_), done = std::move(done)](Result<Message> reply) mutable {
                      const auto alive = weak.lock();
                      if (!alive) return;
                      (*alive)->registering_ = false;
                      if (!reply.ok()) return done(reply.error());
                      if (!reply->body.has_registered()) return done(Internal("the keeper did not say who this is"));
                      InstanceFacts& facts = (*alive)->facts_;
                      const auto& r = reply->body.registered();
                      facts.spiffe_id = r.spiffe_id();
                      facts.lineage.assign(r.lineage().begin(), r.lineage().end());
                      facts.subject = r.subject();
                      facts.subject_issuer = r.subject_issuer();
                      facts.subject_claims = r.subject_claims();
                      (*alive)->keeper_reads_ = r.reads_execs();
                      facts.on_behalf_of.clear();
                      done(Ok());
                    });
}

void Instance::RegisterAgain(std::shared_ptr<void> turn, int attempt) {
  if (!execs_) return;  // it has ended
  register_retry_.Cancel();
  keeper_reads_ = false;
  register_when_settled_ = execs_->busy() || attested_ != begun_ || facts_.image.exe.empty();
  if (register_when_settled_) {
    if (!execs_->busy()) OnExecSettled();  // taken over from a predecessor: what runs has to be measured first
    return;
  }
  Register([weak = std::weak_ptr<Instance*>(self_), attempt, turn = std::move(turn)](Status s) {
    if (const auto alive = weak.lock()) (*alive)->OnRegisteredAgain(s, attempt);
  });
}

void Instance::OnRegisteredAgain(const Status& s, int attempt) {
  if (s.ok() || !execs_) return;
  // A keeper that is not there has refused nobody. The next one is told of everybody as soon as it comes.
  const bool away = s.error().code() == ErrorCode::kUnavailable;
  if (away || (attempt < kKeeperAttempts && !IsFinal(s.error().code()))) {
    // Its parent, say, is registered again a moment later.
    register_retry_ =
        loop_.After(kKeeperRetry, [this, next = away ? attempt : attempt + 1] { RegisterAgain({}, next); });
    return;
  }
  Log(LogLevel::kError, "instance.register_failed", {{"instance", facts_.id}, {"error", s.error()}});
  Expel("the keeper does not take it back: " + s.error().message());
}

void Instance::Announce(UniqueFunction<void(Status)> done) {
  Envelope e;
  auto& up = *e.mutable_instance_up();
  up.set_instance(facts_.id.value());
  up.set_tenant(facts_.name.tenant.value());
  up.set_agent(facts_.name.agent.value());
  up.set_role(facts_.name.role.value());
  up.set_spiffe_id(facts_.spiffe_id);
  for (const std::string& l : facts_.lineage) up.add_lineage(l);
  for (const ListenerSpec& l : facts_.listeners) {
    auto& out = *up.add_listeners();
    out.set_kind(l.kind);
    out.set_address(AddressText(l));
    out.set_port(l.port);
    out.set_v6(l.v6);
    out.set_name(l.name);
  }
  up.set_pid(handles_.agent_pid);
  for (const std::string& s : facts_.shares.named) up.add_shares(s);
  up.set_shares_more(facts_.shares.more);
  up.set_subject(facts_.subject);
  up.set_subject_issuer(facts_.subject_issuer);
  up.set_subject_claims(facts_.subject_claims);
  links_.CallGateway(facts_.name.tenant, std::move(e), Duplicate(handles_.listeners),
                     [done = std::move(done)](Result<Message> r) mutable { done(r.ok() ? Ok() : Status(r.error())); });
}

void Instance::Park() {
  pb::ParkedInstance p;
  p.set_instance(facts_.id.value());
  p.set_tenant(facts_.name.tenant.value());
  p.set_agent(facts_.name.agent.value());
  p.set_role(facts_.name.role.value());
  if (facts_.parent) p.set_parent(facts_.parent->value());
  p.set_spiffe_id(facts_.spiffe_id);
  for (const std::string& l : facts_.lineage) p.add_lineage(l);
  p.set_subject(facts_.subject);
  p.set_subject_issuer(facts_.subject_issuer);
  p.set_subject_claims(facts_.subject_claims);
  p.set_caller_uid(facts_.caller_uid);
  p.set_caller_user(facts_.caller_user);
  for (const gid_t g : facts_.caller_gids) p.add_caller_gids(g);
  for (const Hidden& h : facts_.hidden) {
    auto& out = *p.add_hidden();
    out.set_path(h.path);
    out.set_known(h.what.has_value());
    if (!h.what) continue;
    out.set_device(h.what->first);
    out.set_inode(h.what->second);
  }
  p.set_init_pid(handles_.init_pid);
  p.set_agent_pid(handles_.agent_pid);
  p.set_agent_start_time(handles_.agent_start_time);
  p.set_pid_namespace(handles_.pid_namespace);
  for (const std::string& e : facts_.entry.exe) p.add_exe_patterns(e);
  const crypto::Sha256Digest entry = EntryDigest(facts_.entry);
  p.set_entry_sha256(entry.data(), entry.size());
  for (const std::string& s : facts_.shares.named) p.add_shares(s);
  p.set_shares_more(facts_.shares.more);
  p.set_sockets(facts_.sockets);
  p.set_cgroup(facts_.cgroup);
  std::vector<UniqueFd> fds;
  for (const UniqueFd* fd : {&handles_.init_pidfd, &handles_.agent_pidfd, &handles_.control, &handles_.exec_listener}) {
    fds.push_back(Duplicate(*fd));
  }
  fds.push_back(journal_.TakeMemory());
  fds.push_back(Duplicate(handles_.diag));
  for (size_t i = 0; i < facts_.listeners.size(); ++i) {
    const ListenerSpec& l = facts_.listeners[i];
    auto& out = *p.add_listeners();
    out.set_kind(l.kind);
    out.set_name(l.name);
    out.set_udp(l.transport == ListenerSpec::Transport::kUdp);
    out.set_v6(l.v6);
    out.set_address(l.address.data(), l.address.size());
    out.set_port(l.port);
    fds.push_back(Duplicate(handles_.listeners[i]));
  }
  // What does not fit beside the handles is not there for sub-agents after a restart: they get fewer folders, never
  // more. Longest paths first, so that a narrower grant never goes while the wider one around it stays.
  std::vector<const Given*> narrow_first;
  for (const Given& g : facts_.folders) narrow_first.push_back(&g);
  std::sort(narrow_first.begin(), narrow_first.end(),
            [](const Given* a, const Given* b) { return a->path.size() > b->path.size(); });
  for (const Given* g : narrow_first) {
    if (fds.size() >= limits::kMaxMessageFds) break;
    auto& out = *p.add_folders();
    out.set_path(g->path);
    out.set_writable(g->writable);
    fds.push_back(Duplicate(g->fd));
  }
  links_.Park(facts_.id.value(), p.SerializeAsString(), std::move(fds));
}

Result<std::unique_ptr<Instance>> Instance::Adopt(runtime::Loop& loop, ImageDigests& images, OwnerTurns& owners,
                                                  Links& links, const Cgroups& cgroups,
                                                  const std::vector<config::Role>& roles, const std::string& state,
                                                  std::vector<UniqueFd> fds, OnEnded on_ended) {
  pb::ParkedInstance p;
  if (!p.ParseFromString(state)) return DataLoss("malformed parked instance");
  const size_t expected =
      kParkedHandles + static_cast<size_t>(p.listeners_size()) + static_cast<size_t>(p.folders_size());
  if (fds.size() != expected) return DataLoss("parked instance without its descriptors");
  ASSIGN_OR_RETURN(InstanceId id, InstanceId::Parse(p.instance()));
  ASSIGN_OR_RETURN(IdSegment tenant, IdSegment::Parse(p.tenant()));
  ASSIGN_OR_RETURN(IdSegment agent, IdSegment::Parse(p.agent()));
  ASSIGN_OR_RETURN(IdSegment role, IdSegment::Parse(p.role()));
  InstanceFacts f{std::move(id), {std::move(tenant), std::move(agent), std::move(role)}};
  if (!p.parent().empty()) {
    ASSIGN_OR_RETURN(f.parent, InstanceId::Parse(p.parent()));
  }
  f.spiffe_id = p.spiffe_id();
  f.lineage.assign(p.lineage().begin(), p.lineage().end());
  f.subject = p.subject();
  f.subject_issuer = p.subject_issuer();
  f.subject_claims = p.subject_claims();
  f.caller_uid = p.caller_uid();
  f.caller_user = p.caller_user();
  f.caller_gids.assign(p.caller_gids().begin(), p.caller_gids().end());
  for (const auto& h : p.hidden())
    f.hidden.push_back({h.path(), h.known() ? std::optional(FileId{h.device(), h.inode()}) : std::nullopt, true});
  f.cgroup = p.cgroup();
  f.shares = {{p.shares().begin(), p.shares().end()}, p.shares_more()};
  f.sockets = p.sockets();
  f.entry.exe.assign(p.exe_patterns().begin(), p.exe_patterns().end());
  // By its very entry, never by one that looks like it and is another user's; an entry that is gone grants nothing.
  if (const config::Role* entry = FindEntry(roles, AsBytes(p.entry_sha256()))) f.entry = *entry;
  AgentHandles h;
  h.cgroup = cgroups.Reopen(f.id);
  h.init_pid = p.init_pid();
  h.agent_pid = p.agent_pid();
  h.agent_start_time = p.agent_start_time();
  h.pid_namespace = p.pid_namespace();
  h.init_pidfd = std::move(fds[0]);
  h.agent_pidfd = std::move(fds[1]);
  h.control = std::move(fds[2]);
  h.exec_listener = std::move(fds[3]);
  ASSIGN_OR_RETURN(ExecJournal journal, ExecJournal::Adopt(std::move(fds[4])));
  (void)journal.TakeMemory();  // the supervisor has it still
  h.diag = std::move(fds[5]);
  size_t next = kParkedHandles;
  for (const auto& l : p.listeners()) {
    ListenerSpec spec;
    spec.kind = l.kind();
    spec.name = l.name();
    spec.transport = l.udp() ? ListenerSpec::Transport::kUdp : ListenerSpec::Transport::kTcp;
    spec.v6 = l.v6();
    if (l.address().size() == spec.address.size()) memcpy(spec.address.data(), l.address().data(), spec.address.size());
    spec.port = static_cast<uint16_t>(l.port());
    f.listeners.push_back(std::move(spec));
    h.listeners.push_back(std::move(fds[next++]));
  }
  for (const auto& g : p.folders()) {
    Given given{g.path(), std::move(fds[next++]), g.writable()};
    given.id = FileIdOf(given.fd.get());
    f.folders.push_back(std::move(given));
  }
  return std::make_unique<Instance>(loop, images, owners, links, std::move(f), std::move(h), std::move(journal),
                                    /*launching=*/false, std::move(on_ended));
}

// ---- exec

void Instance::OnExecStarting(UniqueFunction<void(bool)> answer, int attempt) {
  Envelope e;
  e.mutable_exec_starting()->set_instance(facts_.id.value());
  const std::weak_ptr<Instance*> weak = self_;
  if (attempt == 0) {
    revoked_.from = MonotonicNanos();
    ++begun_;
    if (counter_) counter_.Raise();
    if (keeper_reads_) {
      // The identity has gone with that number. What is said of it now is for the record and for open streams, and
      // stands in line before the word that another image runs.
      revoked_.to = MonotonicNanos();
      answer(true);
      return links_.TellKeeper(std::move(e));
    }
  }
  links_.CallKeeper(std::move(e), {}, [weak, answer = std::move(answer), attempt](Result<Message> reply) mutable {
    const auto alive = weak.lock();
    if (!alive) return;
    (*alive)->revoked_.to = MonotonicNanos();
    if (reply.ok()) return answer(true);
    Instance& self = **alive;
    // A keeper that has just started does not know this instance: there is no identity to take away. One that is about
    // to know it as it was before this exec would give the old identity to the new image: it is asked again then.
    const bool unknown = reply.error().code() == ErrorCode::kNotFound;
    if (unknown && !self.registering_) return answer(true);
    if ((!unknown && reply.error().code() != ErrorCode::kUnavailable) || attempt >= kKeeperAttempts) {
      Log(LogLevel::kError, "exec.refused", {{"instance", self.facts_.id}, {"error", reply.error()}});
      return answer(false);
    }
    // A keeper that is starting again: the exec waits for it. The timer is the instance's own and must not hold what
    // tells others that it lives.
    self.exec_retry_ = self.loop_.After(kKeeperRetry, [&self, answer = std::move(answer), attempt]() mutable {
      self.OnExecStarting(std::move(answer), attempt + 1);
    });
  });
}

void Instance::OnExecSettled() {
  Result<RunningProgram> program = OpenRunningProgram(handles_.agent_pid);
  if (!program.ok()) {
    // It has ended meanwhile, and its pidfd says so; or this process has no descriptor left for it now.
    if (program.error().code() == ErrorCode::kResourceExhausted)
      settle_retry_ = loop_.After(kSettleRetry, [this] {
        if (execs_ && !execs_->busy()) OnExecSettled();
      });
    return;
  }
  const std::weak_ptr<Instance*> weak = self_;
  const uint64_t begun = begun_, counter = counter_ ? counter_.value() : 0;
  const std::string exe = program->path;
  images_.FindScript(facts_.id.value(), handles_.agent_pid, exe,
                     [weak, begun, counter, program = std::move(*program)](RunningProgram script, size_t) mutable {
                       const auto alive = weak.lock();
                       if (!alive) return;
                       Instance& self = **alive;
                       const bool measured = !self.images_.Known(program.fd.get());
                       self.images_.MeasureImage(self.facts_.id.value(), std::move(program), std::move(script),
                                                 [weak, measured, begun, counter](Image image) {
                                                   if (const auto still = weak.lock())
                                                     (*still)->OnMeasured(std::move(image), measured, begun, counter);
                                                 });
                     });
}

void Instance::OnMeasured(Image image, bool measured, uint64_t begun, uint64_t counter) {
  // Another exec has begun meanwhile: what was measured may be gone. Its own end attests.
  if (!execs_ || execs_->busy() || begun_ != begun) return;
  attested_ = begun;
  attested_counter_ = counter;
  Envelope e;
  auto& done = *e.mutable_exec_done();
  done.set_instance(facts_.id.value());
  done.set_failed(image == facts_.image);
  done.set_execs(counter);
  FillImage(image, *done.mutable_image());
  facts_.image = std::move(image);
  if (std::exchange(register_when_settled_, false))
    RegisterAgain({});
  else
    links_.TellKeeper(std::move(e));
  execs_->Attested();
  TellExec(measured);
}

// An agent may exec as often as it likes: for whoever measures, not for every day.
void Instance::TellExec(bool measured) const {
  const ExecWatch::Held held = execs_->held();
  const auto us = [](int64_t from, int64_t to) { return (to - from) / 1000; };
  Log(LogLevel::kDebug, "exec.held",
      {{"instance", facts_.id},
       {"us_held", us(held.from, held.to)},
       {"us_revocation", us(revoked_.from, revoked_.to)},
       {"us_attested", us(held.to, MonotonicNanos())},
       {"measured", measured}});
}

// ---- PID 1

void Instance::OnControl() {
  for (;;) {
    Result<runtime::Packet> p = runtime::ReceivePacket(handles_.control.get());
    if (!p.ok()) {
      if (p.error().code() != ErrorCode::kNotFound) control_watch_ = runtime::FdWatch();  // its pidfd says the rest
      return;
    }
    InitMessage m{};
    if (p->data.size() != sizeof m) continue;
    memcpy(&m, p->data.data(), sizeof m);
    pb::ServerMessage out;
    switch (m.kind) {
      case InitMessage::Kind::kStopped:
        out.mutable_stopped()->set_signal(static_cast<uint32_t>(m.value));
        TellSession(out);
        break;
      case InitMessage::Kind::kContinued:
        out.mutable_continued();
        TellSession(out);
        break;
      case InitMessage::Kind::kEnded: status_ = m.value; break;
      case InitMessage::Kind::kSocket: {
        if (sockets_.empty()) break;
        Channel::Reply reply = std::move(sockets_.front());
        sockets_.pop_front();
        if (m.value != 0 || p->fds.size() != 1) {
          reply.Fail(ErrnoError("make a socket inside", -m.value));
          break;
        }
        Envelope e;
        e.mutable_ack();
        reply.Send(std::move(e), std::move(p->fds));
        break;
      }
      case InitMessage::Kind::kSignal: break;
    }
  }
}

void Instance::OnInitEnded() {
  init_watch_ = runtime::FdWatch();
  if (control_watch_) OnControl();  // its last words
  control_watch_ = runtime::FdWatch();
  execs_.reset();
  siginfo_t info{};
  (void)waitid(P_PIDFD, static_cast<id_t>(handles_.init_pidfd.get()), &info,
               WEXITED | WNOHANG);  // ECHILD: a predecessor's child
  const int status = status_.value_or(SIGKILL);
  status_ = status;
  ended_ = true;
  TellEnd();
  ::hexr::node::v1::InstanceEnded to_keeper;
  to_keeper.set_instance(facts_.id.value());
  to_keeper.set_wait_status(status);
  to_keeper.set_why(why_);
  to_keeper.set_tenant(facts_.name.tenant.value());
  to_keeper.set_spiffe_id(facts_.spiffe_id);
  Envelope to_gateway;
  to_gateway.mutable_instance_down()->set_instance(facts_.id.value());
  links_.TellGateway(facts_.name.tenant, std::move(to_gateway));
  links_.SendEnd(std::move(to_keeper));
  links_.Unpark(facts_.id.value());
  loop_.Post([weak = std::weak_ptr<Instance*>(self_), status] {
    const auto alive = weak.lock();
    if (!alive) return;
    OnEnded on_ended = std::move((*alive)->on_ended_);  // may destroy the instance
    on_ended(**alive, status);
  });
}

// Once, to whoever listens: the end of a short program can come before the answer to its launch.
void Instance::TellEnd() {
  if (!ended_ || end_told_ || !session_) return;
  end_told_ = true;
  pb::ServerMessage out;
  *out.mutable_ended() = Ended(*status_);
  TellSession(out);
}

void Instance::Signal(int signal) {
  const InitMessage m{InitMessage::Kind::kSignal, signal, 0};
  (void)send(handles_.control.get(), &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Instance::Kill(const std::string& why) {
  if (why_.empty()) why_ = why;
  // Either ends every process. PID 1's end is the proof (INV-SPAWN-05); the group does not wait for it to be scheduled.
  (void)!handles_.cgroup.Kill().ok();
  (void)!runtime::SignalPidfd(handles_.init_pidfd.get(), SIGKILL).ok();
}

void Instance::Expel(const std::string& why) {
  Kill(why);
  Envelope e;
  e.mutable_instance_down()->set_instance(facts_.id.value());
  links_.TellGateway(facts_.name.tenant, std::move(e));
}

void Instance::AttachSession(std::shared_ptr<LaunchSession> session) {
  if (session_) session_->Close();
  hang_up_.Cancel();
  session_ = std::move(session);
  session_->on_signal = [this](int signal) { Signal(signal); };
  // Whoever started it has gone without a word: like a terminal that was closed, then for good.
  session_->on_gone = [this] {
    session_.reset();
    Signal(SIGHUP);
    Signal(SIGCONT);
    hang_up_ = loop_.After(kHangUpGrace, [this] { Kill("hexr run has gone"); });
  };
  TellEnd();
}

pb::Ended Instance::Ended(int wait_status) const {
  pb::Ended e;
  e.set_wait_status(wait_status);
  e.set_why(why_);
  return e;
}

void Instance::TellSession(const pb::ServerMessage& message, std::vector<int> fds) {
  if (session_) session_->Send(message, std::move(fds));
}

// ---- the gateway's questions

void Instance::FindOwner(const ::hexr::node::v1::FindOwner& q, Channel::Reply reply) {
  ConnectionAddress c;
  c.v6 = q.local_address().size() == 16;
  const size_t size = c.v6 ? 16 : 4;
  if (q.local_address().size() != size || q.remote_address().size() != size || q.local_port() > 65535 ||
      q.remote_port() > 65535) {
    return reply.Fail(InvalidArgument("two addresses of one family, and ports"));
  }
  memcpy(c.local.data(), q.local_address().data(), size);
  memcpy(c.remote.data(), q.remote_address().data(), size);
  c.local_port = static_cast<uint16_t>(q.local_port());
  c.remote_port = static_cast<uint16_t>(q.remote_port());
  const Result<uint64_t> inode = SocketInode(handles_.diag.get(), c);
  if (!inode.ok()) return OnHolder(inode.error(), std::move(reply));
  HolderSearch search(handles_.init_pid, last_owner_ != 0 ? last_owner_ : handles_.agent_pid, *inode);
  owners_.Find(facts_.id.value(), std::move(search),
               [this, reply = std::move(reply)](Result<pid_t> holder) mutable { OnHolder(holder, std::move(reply)); });
}

// A look-up without an answer, for whatever reason, is a connection that belongs to nobody.
void Instance::OnHolder(const Result<pid_t>& holder, Channel::Reply reply) {
  Envelope unknown;
  unknown.mutable_owner()->set_known(false);
  Result<RunningProgram> program = holder.ok() ? OpenRunningProgram(*holder) : Result<RunningProgram>(holder.error());
  if (!program.ok()) return reply.Send(std::move(unknown));
  last_owner_ = *holder;
  Envelope e;
  auto& owner = *e.mutable_owner();
  owner.set_known(true);
  owner.set_pid(*holder);
  owner.set_exe(program->path);
  owner.set_registered(*holder == handles_.agent_pid);
  // No exec of the registered process goes unseen: what was measured of it runs until then, also where nothing is
  // remembered.
  const Result<FileKey> key = FileKeyOf(program->fd.get(), /*cached=*/true);
  const bool attested =
      owner.registered() && execs_ && !execs_->busy() && attested_ == begun_ && key.ok() && facts_.image.key == *key;
  const auto known = attested ? facts_.image.exe_sha256 : images_.Known(program->fd.get());
  if (known) {
    owner.set_exe_sha256(known->data(), known->size());
    return reply.Send(std::move(e));
  }
  images_.Measure(facts_.id.value(), std::move(program->fd),
                  [e = std::move(e), reply = std::move(reply)](Result<crypto::Sha256Digest> d) mutable {
                    if (d.ok()) e.mutable_owner()->set_exe_sha256(d->data(), d->size());
                    reply.Send(std::move(e));
                  });
}

void Instance::OpenSocket(bool v6, Channel::Reply reply) {
  if (sockets_.size() >= limits::kMaxQueuedSockets)
    return reply.Fail(ResourceExhausted("too many sockets are asked for"));
  const InitMessage m{InitMessage::Kind::kSocket, v6 ? AF_INET6 : AF_INET, 0};
  if (send(handles_.control.get(), &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    return reply.Fail(ErrnoError("ask PID 1", errno));
  sockets_.push_back(std::move(reply));
}

}  // namespace hexr::spawner
