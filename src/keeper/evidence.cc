#include "keeper/evidence.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <future>
#include <tuple>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"

namespace hexr::keeper {
namespace {

// Appends come in bursts: what follows within this time is sequenced together.
constexpr std::chrono::milliseconds kGather{5};
constexpr std::chrono::seconds kWitnessTick{1};
// A full disk is tried again this often.
constexpr std::chrono::milliseconds kRetry{500};
constexpr std::chrono::seconds kRepeatsInterval{1};

constexpr std::chrono::minutes kRetentionTick{10};

std::string TextKeyOf(const IdSegment& tenant) { return "ledger texts of " + tenant.value(); }

std::string NameOf(const std::optional<IdSegment>& tenant) { return tenant ? tenant->value() : std::string(); }

}  // namespace

Evidence::Evidence(EvidenceOptions options, State& state, runtime::Loop& loop, const Clock& clock)
    : options_(std::move(options)),
      state_(state),
      keeper_loop_(loop),
      clock_(clock),
      alive_(std::make_shared<bool>(true)) {}

Result<std::unique_ptr<Evidence>> Evidence::Start(EvidenceOptions options, const std::vector<IdSegment>& tenants,
                                                  State& state, runtime::Loop& loop, const Clock& clock,
                                                  Random& random) {
  ASSIGN_OR_RETURN(crypto::Secret master, state.KeyFor("ledger", random));
  // Two nodes of a trust domain must not write logs of one name: the name comes from this node's own key.
  ASSIGN_OR_RETURN(const crypto::Secret id, state.KeyFor("node id", random));
  const std::string node = HexEncode(id.Reveal(crypto::RevealToken::For("node id, a name and no secret")).first(6));
  std::unique_ptr<Evidence> e(new Evidence(std::move(options), state, loop, clock));
  const std::string root = e->options_.state_dir + "/ledger";
  ASSIGN_OR_RETURN(ledger::Ledger opened, ledger::Ledger::Open({.root = root,
                                                                .trust_domain = e->options_.trust_domain,
                                                                .node = node,
                                                                .commit_interval = e->options_.checkpoint_interval,
                                                                .text_secret =
                                                                    [&state, &random](const IdSegment& tenant) {
                                                                      return state.KeyFor(TextKeyOf(tenant), random);
                                                                    }},
                                                               std::move(master), clock, random));
  e->ledger_.emplace(std::move(opened));
  if (!e->options_.witnesses.empty()) {
    ASSIGN_OR_RETURN(e->witnesses_, Witnesses::Create(e->options_.witnesses, clock,
                                                      [self = e.get()](const std::string& url, std::string body,
                                                                       Witnesses::OnAnswer done) {
                                                        self->PostFromLedger(url, std::move(body), std::move(done));
                                                      }));
  }
  e->inotify_ = runtime::UniqueFd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!e->inotify_) return ErrnoError("inotify", errno);
  RETURN_IF_ERROR(e->Open(std::nullopt));
  for (const IdSegment& t : tenants) {
    if (const Status s = e->Open(t); !s.ok())
      hexr::Log(LogLevel::kError, "ledger.tenant_disabled", {{"tenant", t.value()}, {"error", s.error()}});
  }
  Evidence* self = e.get();
  e->loop_.Post([self] {
    self->Poll();
    self->TellAll();
    if (self->witnesses_) self->AskWitnesses();
    if (self->options_.text_retention) self->EraseExpired();
  });
  e->thread_ = std::thread([self]() noexcept { self->loop_.Run(); });
  return e;
}

Evidence::~Evidence() {
  *alive_ = false;
  Finish();
}

void Evidence::Finish() {
  if (!thread_.joinable()) return;
  repeats_timer_.Cancel();
  WriteRepeats();
  for (auto& [name, log] : logs_) {
    if (const Status s = log.writer->Close(); !s.ok()) {
      hexr::Log(LogLevel::kError, "ledger.close_failed", {{"log", name}, {"error", s.error()}});
    }
  }
  loop_.Post([this] {
    watch_ = runtime::FdWatch();
    witness_timer_.Cancel();
    read_timer_.Cancel();
    commit_timer_.Cancel();
    retention_timer_.Cancel();
    if (const Status s = ledger_->Flush(); !s.ok())
      hexr::Log(LogLevel::kError, "ledger.flush_failed", {{"error", s.error()}});
    loop_.Stop();
  });
  thread_.join();
}

// On the ledger thread, or before it runs.
Status Evidence::Open(const std::optional<IdSegment>& tenant) {
  ASSIGN_OR_RETURN(ledger::TenantLedger* const tenant_ledger, ledger_->Of(tenant));
  ASSIGN_OR_RETURN(ledger::NewJournal journal, tenant_ledger->sequencer().OpenJournal("keeper"));
  Log log;
  log.folder = ledger::Ledger::LogFolder(options_.state_dir + "/ledger", NameOf(tenant));
  log.verifier_key = tenant_ledger->key().ToString();
  ASSIGN_OR_RETURN(log.writer, ledger::JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket),
                                                           options_.sync, {}, options_.sync_file));
  const std::string journals =
      options_.state_dir + "/ledger/journals/" + (tenant ? "tenants/" + tenant->value() : std::string("node"));
  const int watch = inotify_add_watch(inotify_.get(), journals.c_str(), IN_MODIFY | IN_CLOSE_WRITE);
  if (watch < 0) return ErrnoError("watch " + journals, errno);
  watched_[watch] = NameOf(tenant);
  Changed(NameOf(tenant));
  logs_.emplace(NameOf(tenant), std::move(log));
  return Ok();
}

void Evidence::Changed(const std::string& log) {
  changed_.insert(log);
  ReadSoon(kGather);
}

// Each record is an event. Until Poll they gather with the kernel, and wake nobody.
void Evidence::OnInotify() {
  DrainInotify();
  watch_ = runtime::FdWatch();
  ReadSoon(kGather);
}

void Evidence::DrainInotify() {
  alignas(inotify_event) char events[4096];
  for (ssize_t n = 0; (n = read(inotify_.get(), events, sizeof events)) > 0;) {
    for (ssize_t at = 0; at < n;) {
      const auto& event = *reinterpret_cast<const inotify_event*>(events + at);
      at += static_cast<ssize_t>(sizeof event + event.len);
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        for (const auto& [watch, log] : watched_) changed_.insert(log);  // the kernel has forgotten which
      } else if (const auto log = watched_.find(event.wd); log != watched_.end()) {
        changed_.insert(log->second);
      }
    }
  }
}

void Evidence::ReadSoon(std::chrono::milliseconds delay) {
  if (!read_timer_.pending()) read_timer_ = loop_.After(delay, [this] { Poll(); });
}

// What is not read yet can be rewritten by a process that is taken over: only checkpoints wait for their interval.
void Evidence::Poll() {
  DrainInotify();
  if (!watch_) watch_ = loop_.Watch(inotify_.get(), [this] { OnInotify(); });
  const ledger::Ledger::Turn turn = ledger_->Poll(std::exchange(changed_, {}));
  if (turn.progress.more) ReadSoon(std::chrono::milliseconds(0));
  if (!turn.status.ok()) {
    hexr::Log(LogLevel::kError, "ledger.poll_failed", {{"error", turn.status.error()}});
  }
  if (turn.progress.due || !turn.status.ok()) {
    std::chrono::nanoseconds wait = kRetry;
    if (turn.progress.due)
      wait = std::clamp<std::chrono::nanoseconds>(*turn.progress.due - clock_.Mono(), std::chrono::nanoseconds(0),
                                                  turn.status.ok() ? std::chrono::nanoseconds::max() : wait);
    commit_timer_ = loop_.After(wait, [this] { Poll(); });
  }
  Tell(turn.committed);
}

void Evidence::AskWitnesses() {
  for (const auto& [name, log] : logs_) {
    std::optional<IdSegment> tenant;
    if (!name.empty()) tenant = IdSegment::Parse(name).value();
    if (const auto of = ledger_->Of(tenant); of.ok()) witnesses_->Tick(name, **of);
  }
  TellAll();
  witness_timer_ = loop_.After(kWitnessTick, [this] { AskWitnesses(); });
}

void Evidence::EraseExpired() {
  const auto keep = *options_.text_retention;
  const Result<uint64_t> erased = ledger_->EraseBefore(clock_.Wall() - keep);
  if (!erased.ok()) {
    hexr::Log(LogLevel::kError, "ledger.retention_failed", {{"error", erased.error()}});
  } else if (*erased > 0) {
    hexr::Log(LogLevel::kInfo, "ledger.texts_expired", {{"texts", *erased}});
  }
  retention_timer_ = loop_.After(std::min<std::chrono::milliseconds>(keep, kRetentionTick), [this] { EraseExpired(); });
}

void Evidence::PostFromLedger(const std::string& url, std::string body, Witnesses::OnAnswer done) {
  const std::weak_ptr<bool> alive = alive_;
  keeper_loop_.Post([this, alive, url, body = std::move(body), done = std::move(done)]() mutable {
    if (alive.expired()) return;
    options_.post(
        url, std::move(body), [this, alive, done = std::move(done)](Result<WitnessAnswerText> answer) mutable {
          if (alive.expired()) return;
          loop_.Post([done = std::move(done), answer = std::move(answer)]() mutable { done(std::move(answer)); });
        });
  });
}

void Evidence::Tell(const std::vector<std::string>& names) {
  Told now;
  for (const std::string& name : names) {
    std::optional<IdSegment> tenant;
    if (!name.empty()) tenant = IdSegment::Parse(name).value();
    const auto of = ledger_->Of(tenant);
    if (!of.ok()) continue;
    const uint64_t size = (*of)->sequencer().log().committed().size;
    auto& [known, since] = sizes_[name];
    if (known == size && since != WallTime{}) continue;
    since = clock_.Wall();
    known = size;
    now.sizes.emplace(name, std::pair(size, since));
  }
  if (!now.sizes.empty()) SendTold(std::move(now));
}

void Evidence::TellAll() {
  std::vector<std::string> names;
  for (const auto& [name, log] : logs_) names.push_back(name);
  Tell(names);
  if (witnesses_) SendTold({.witnesses = witnesses_->States()});
}

void Evidence::SendTold(Told now) {
  keeper_loop_.Post([this, alive = std::weak_ptr<bool>(alive_), now = std::move(now)]() mutable {
    if (alive.expired()) return;
    for (const auto& [name, size] : now.sizes) told_.sizes[name] = size;
    if (now.witnesses) told_.witnesses = std::move(now.witnesses);
  });
}

Evidence::Log* Evidence::Find(const std::optional<IdSegment>& tenant) {
  const auto it = logs_.find(NameOf(tenant));
  return it == logs_.end() ? nullptr : &it->second;
}

void Evidence::Record(const ledger::Event& event, Done done) {
  Log* log = Find(event.tenant);
  if (log == nullptr) return done(NotFound("no log of this tenant"));
  if (!thread_.joinable()) return done(Unavailable("the ledger is closed"));
  Append(*log, event, std::move(done));
  if (log->writer->WantsRotation()) Rotate(event.tenant, *log);
}

void Evidence::Append(Log& log, const ledger::Event& event, Done done) {
  const auto wait = [&](Done d) {
    if (log.retry_at && clock_.Mono() < *log.retry_at) return d(Unavailable("no other journal yet"));
    if (log.waiting.size() >= limits::kMaxWaitingRecords)
      return d(ResourceExhausted("too many records wait for another journal"));
    log.waiting.push_back({event, std::move(d)});
  };
  if (!log.waiting.empty() || log.writer->broken()) return wait(std::move(done));
  struct Call {
    Done done;
    bool appending = true;
    std::optional<Status> now;
  };
  const auto call = std::make_shared<Call>(Call{std::move(done), true, {}});
  log.writer->Append(
      event, [this, call, loop = std::this_thread::get_id(), alive = std::weak_ptr<bool>(alive_)](const Status& s) {
        if (std::this_thread::get_id() == loop && call->appending) {
          call->now = s;
          return;
        }
        keeper_loop_.Post([call, s, alive] {
          const auto still = alive.lock();
          if (still && *still) call->done(s);
        });
      });
  call->appending = false;
  if (!call->now) return;
  if (!call->now->ok() && log.writer->broken()) return wait(std::move(call->done));
  call->done(*call->now);
}

Status Evidence::Record(const ledger::Event& event) {
  Log* log = Find(event.tenant);
  if (log == nullptr) return NotFound("no log of this tenant");
  Status s = log->writer->Append(event);
  if (!log->writer->WantsRotation()) return s;
  if (s.ok()) {
    Rotate(event.tenant, *log);
    return s;
  }
  if (!RotateNow(event.tenant, *log).ok()) return s;
  return log->writer->Append(event);
}

void Evidence::Note(const ledger::Event& event) {
  if (repeats_.Admit(event, clock_.Mono())) return Write(event);
  if (!repeats_timer_.pending()) repeats_timer_ = keeper_loop_.After(kRepeatsInterval, [this] { WriteRepeats(); });
}

void Evidence::WriteRepeats() {
  for (const ledger::Event& event : repeats_.Take(clock_.Wall())) Write(event);
}

void Evidence::Write(const ledger::Event& event) {
  Record(event, [](const Status& s) {
    if (!s.ok()) hexr::Log(LogLevel::kError, "ledger.record_failed", {{"error", s.error()}});
  });
}

Status Evidence::RotateNow(const std::optional<IdSegment>& tenant, Log& log) {
  if (!thread_.joinable()) return Unavailable("the ledger is closed");
  if (log.retry_at && clock_.Mono() < *log.retry_at) return Unavailable("no other journal yet");
  std::promise<Result<ledger::NewJournal>> made;
  loop_.Post([&] { made.set_value(NewJournalFor(tenant, "keeper")); });
  Result<ledger::NewJournal> journal = made.get_future().get();
  if (!journal.ok()) {
    hexr::Log(LogLevel::kError, "ledger.no_journal", {{"log", NameOf(tenant)}, {"error", journal.error()}});
    log.retry_at = clock_.Mono() + kRetry;
    return journal.error();
  }
  if (const Status s = log.writer->Rotate(std::move(journal->fd), std::move(journal->ticket)); !s.ok())
    hexr::Log(LogLevel::kWarn, "ledger.rotate", {{"error", s.error()}});
  return Ok();
}

void Evidence::Rotate(const std::optional<IdSegment>& tenant, Log& log) {
  if (log.rotating || (log.retry_at && clock_.Mono() < *log.retry_at)) return;
  log.rotating = true;
  OpenJournalOn(tenant, "keeper", [this, tenant](Result<ledger::NewJournal> journal) {
    Log* still = Find(tenant);
    if (still == nullptr) return;  // destroyed meanwhile
    still->rotating = false;
    if (!journal.ok()) {
      hexr::Log(LogLevel::kError, "ledger.no_journal", {{"log", NameOf(tenant)}, {"error", journal.error()}});
      still->retry_at = clock_.Mono() + kRetry;
    } else if (const Status s = still->writer->Rotate(std::move(journal->fd), std::move(journal->ticket)); !s.ok()) {
      hexr::Log(LogLevel::kWarn, "ledger.rotate", {{"error", s.error()}});
    }
    for (Waiting& w : std::exchange(still->waiting, {})) {
      if (journal.ok())
        Append(*still, w.event, std::move(w.done));
      else
        w.done(journal.error());
    }
  });
}

void Evidence::EndInstance(const std::optional<IdSegment>& tenant, const InstanceId& instance) {
  if (repeats_.counted()) WriteRepeats();
  repeats_.Forget(instance);
  if (Log* log = Find(tenant)) (void)log->writer->EndInstance(instance);  // only closes a counter
}

Result<ledger::NewJournal> Evidence::NewJournalFor(const std::optional<IdSegment>& tenant, const std::string& label) {
  ASSIGN_OR_RETURN(ledger::TenantLedger* const t, ledger_->Of(tenant));
  Changed(NameOf(tenant));  // that it was opened is a record
  return t->sequencer().OpenJournal(label);
}

void Evidence::OpenJournalOn(const std::optional<IdSegment>& tenant, const std::string& label, OnJournal done) {
  loop_.Post([this, tenant, label, alive = std::weak_ptr<bool>(alive_), done = std::move(done)]() mutable {
    auto journal = std::make_shared<Result<ledger::NewJournal>>(NewJournalFor(tenant, label));
    keeper_loop_.Post([alive, journal, done = std::move(done)]() mutable {
      const auto still = alive.lock();
      if (still && *still) done(std::move(*journal));
    });
  });
}

void Evidence::OpenJournal(const IdSegment& tenant, const std::string& label, OnJournal done) {
  if (Find(tenant) == nullptr) return done(NotFound("no log of this tenant"));
  OpenJournalOn(tenant, label, std::move(done));
}

Status Evidence::AddTenant(const IdSegment& tenant) {
  if (Find(tenant) != nullptr) return Ok();
  // An operator's rare act: the keeper waits for the ledger thread, so that the table has one writer at a time.
  std::promise<Status> done;
  loop_.Post([&] { done.set_value(Open(tenant)); });
  return done.get_future().get();
}

Status Evidence::DestroyTenant(const IdSegment& tenant) {
  if (!thread_.joinable()) return Unavailable("the ledger is closed");
  WriteRepeats();
  if (Log* log = Find(tenant)) {
    for (Waiting& w : std::exchange(log->waiting, {})) w.done(Unavailable("the log is destroyed"));
    (void)log->writer->Close();  // what it cannot write now, nobody can
  }
  std::promise<Status> done;
  loop_.Post([&] {
    if (witnesses_) witnesses_->Forget(tenant.value());
    const Status s = ledger_->Destroy(tenant);
    if (s.ok()) {
      logs_.erase(tenant.value());
      sizes_.erase(tenant.value());
    }
    done.set_value(s);
  });
  RETURN_IF_ERROR(done.get_future().get());
  const Status forgotten = state_.ForgetKey(TextKeyOf(tenant));
  return !forgotten.ok() && forgotten.error().code() == ErrorCode::kNotFound ? Ok() : forgotten;
}

void Evidence::EraseTexts(const std::optional<IdSegment>& tenant, ledger::TextSelection which,
                          UniqueFunction<void(Result<uint64_t>)> done) {
  Log* log = Find(tenant);
  if (log == nullptr) return done(NotFound("no log of this tenant"));
  // A journal holds its texts until it has been read to its end and removed.
  if (const Status s = RotateNow(tenant, *log); !s.ok()) return done(s.error());
  loop_.Post(
      [this, tenant, which = std::move(which), alive = std::weak_ptr<bool>(alive_), done = std::move(done)]() mutable {
        const auto erase = [&]() -> Result<uint64_t> {
          ASSIGN_OR_RETURN(ledger::TenantLedger* const t, ledger_->Of(tenant));
          return t->Erase(which);
        };
        auto result = erase();
        Tell({NameOf(tenant)});
        keeper_loop_.Post([alive, erased = std::move(result), done = std::move(done)]() mutable {
          if (!alive.expired()) done(std::move(erased));
        });
      });
}

std::vector<Evidence::LogInfo> Evidence::logs() const {
  std::vector<LogInfo> out;
  for (const auto& [name, log] : logs_) {
    LogInfo info{.tenant = name, .folder = log.folder, .verifier_key = log.verifier_key};
    if (const auto told = told_.sizes.find(name); told != told_.sizes.end()) {
      std::tie(info.size, info.checkpoint_at) = told->second;
    }
    for (const WitnessState& w : told_.witnesses.value_or(std::vector<WitnessState>())) {
      if (w.tenant == name) info.witnesses.push_back(w);
    }
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace hexr::keeper
