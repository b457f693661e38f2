#include "ledger/ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "crypto/digest.h"
#include "ledger/sealed_text_store.h"

namespace hexr::ledger {

namespace {

// A full disk is tried again this often.
constexpr std::chrono::milliseconds kCommitRetry{500};

// "node", or "tenants/T": a tenant may have any name, "node" too.
std::string Place(std::string_view tenant) {
  return tenant.empty() ? std::string("node") : fmt::format("tenants/{}", tenant);
}

std::string_view NameOf(const std::optional<IdSegment>& tenant) {
  return tenant ? std::string_view(tenant->value()) : std::string_view();
}

}  // namespace

std::string Ledger::LogFolder(const std::string& root, std::string_view tenant) {
  return fmt::format("{}/logs/{}", root, Place(tenant));
}

std::string Ledger::LogOrigin(const TrustDomain& trust_domain, std::string_view node, std::string_view tenant) {
  std::string origin = fmt::format("{}/ledger/{}", trust_domain.name(), node);
  if (!tenant.empty()) origin += fmt::format("/{}", tenant);
  return origin;
}

Result<Ledger> Ledger::Open(LedgerOptions options, crypto::Secret master, const Clock& clock, Random& random) {
  if (master.size() != 32) return InvalidArgument("the ledger's master key has 32 bytes");
  if (!IdSegment::Parse(options.node).ok()) return InvalidArgument("the node's name in the ledger is one path segment");
  Ledger ledger(std::move(options), std::move(master), clock, random);
  if (const Result<TenantLedger*> node = ledger.Of(std::nullopt); !node.ok()) return node.error();
  return ledger;
}

crypto::Secret Ledger::Derive(std::string_view origin, std::string_view purpose) const {
  return crypto::HkdfSha256(master_, AsBytes(origin), purpose, 32);
}

Result<TenantLedger*> Ledger::Of(const std::optional<IdSegment>& tenant) {
  const std::string name(NameOf(tenant));
  if (const auto found = logs_.find(name); found != logs_.end()) return found->second.get();

  const std::string origin = LogOrigin(options_.trust_domain, options_.node, name);
  auto log = std::make_unique<TenantLedger>();
  ASSIGN_OR_RETURN(crypto::Ed25519PrivateKey key,
                   crypto::Ed25519PrivateKey::FromSeed(Derive(origin, "hexr log signing key v1")));
  ASSIGN_OR_RETURN(NoteSigner signer, NoteSigner::Make(origin, NoteKeyType::kEd25519, std::move(key)));
  log->signer_ = std::make_unique<NoteSigner>(std::move(signer));
  ASSIGN_OR_RETURN(DirectoryStorage storage, DirectoryStorage::Open(LogFolder(options_.root, name)));
  log->storage_ = std::make_unique<DirectoryStorage>(std::move(storage));

  const std::string texts = fmt::format("{}/texts/{}.db", options_.root, Place(name));
  RETURN_IF_ERROR(DirectoryStorage::MakeFolder(texts.substr(0, texts.rfind('/'))));
  crypto::Secret text_secret = Derive(origin, "hexr text store v1");
  if (tenant && options_.text_secret) {
    ASSIGN_OR_RETURN(const crypto::Secret own, options_.text_secret(*tenant));
    text_secret = crypto::HkdfSha256(text_secret, own.Reveal(crypto::RevealToken::For("salt of a derivation")),
                                     "hexr tenant's text store v1", 32);
  }
  ASSIGN_OR_RETURN(crypto::AeadKey text_key, crypto::AeadKey::FromSecret(std::move(text_secret)));
  ASSIGN_OR_RETURN(SealedTextStore text_store,
                   SealedTextStore::Open({.path = texts, .max_pages = {}, .check_at_open = false}, origin,
                                         std::move(text_key), *random_));
  log->texts_ = std::make_unique<SealedTextStore>(std::move(text_store));

  SequencerOptions options{.tenant = tenant,
                           .node = SpiffeId::ForTrustDomain(options_.trust_domain),
                           .commit_interval = options_.commit_interval,
                           .commit_records = options_.commit_records,
                           .read_buffer = read_buffer_};
  ASSIGN_OR_RETURN(
      log->sequencer_,
      Sequencer::Open(std::move(options), *log->storage_, fmt::format("{}/journals/{}", options_.root, Place(name)),
                      Derive(origin, "hexr journal master v1"), *log->signer_, *log->texts_, *clock_, *random_));
  return logs_.emplace(name, std::move(log)).first->second.get();
}

Result<uint64_t> TenantLedger::Erase(const TextSelection& which) {
  RETURN_IF_ERROR(sequencer_->Flush());
  if (const auto* digest = std::get_if<crypto::Sha256Digest>(&which)) return texts_->Erase(*digest);
  if (const auto* instance = std::get_if<InstanceId>(&which)) return texts_->EraseInstance(*instance);
  return texts_->EraseBefore(std::get<WallTime>(which));
}

Result<uint64_t> Ledger::EraseBefore(WallTime time) {
  uint64_t erased = 0;
  std::optional<Error> first;
  for (auto& [name, log] : logs_) {
    const Result<uint64_t> one = log->texts_->EraseBefore(time);
    if (one.ok())
      erased += *one;
    else if (!first)
      first = one.error().WithContext(Place(name));
  }
  if (first) return *first;
  return erased;
}

Status Ledger::Destroy(const IdSegment& tenant) {
  if (const auto open = logs_.find(tenant.value()); open != logs_.end()) {
    RETURN_IF_ERROR(open->second->sequencer().Flush());
    ASSIGN_OR_RETURN(const uint64_t erased, open->second->texts().EraseBefore(WallTime::max()));
    Log(LogLevel::kInfo, "ledger.texts_erased", {{"tenant", tenant.value()}, {"texts", erased}});
    logs_.erase(open);
  }
  ASSIGN_OR_RETURN(DirectoryStorage root, DirectoryStorage::Open(options_.root));
  const std::string texts = fmt::format("texts/{}.db", Place(tenant.value()));
  for (const std::string& path :
       {fmt::format("journals/{}", Place(tenant.value())), texts, texts + "-wal", texts + "-shm"}) {
    RETURN_IF_ERROR(root.Remove(path));
  }
  return Ok();
}

Ledger::Turn Ledger::Poll() {
  Turn turn;
  for (auto& [name, log] : logs_) ReadOne(name, *log, turn);
  CommitDue(logs_.size(), turn);
  return turn;
}

Ledger::Turn Ledger::Poll(const std::set<std::string>& changed) {
  Turn turn;
  const MonoTime now = clock_->Mono();
  for (auto& [name, log] : logs_) {
    if (changed.contains(name) || log->again_ || (log->due_ && *log->due_ <= now)) ReadOne(name, *log, turn);
  }
  CommitDue(1, turn);
  return turn;
}

void Ledger::ReadOne(const std::string& name, TenantLedger& log, Turn& turn) {
  // Until its commit is through there is nothing to read; then all of it.
  if (log.sequencer_->commit_failed()) return;
  const Result<Sequencer::Progress> one = log.sequencer_->Read();
  log.again_ = !one.ok() || one->more;
  if (!one.ok()) {
    if (turn.status.ok()) turn.status = one.error().WithContext(Place(name));
    return;
  }
  log.due_ = one->due;
  turn.progress.records += one->records;
  turn.progress.more = turn.progress.more || one->more;
}

void Ledger::CommitDue(size_t most, Turn& turn) {
  const MonoTime now = clock_->Mono();
  const auto when = [now](const TenantLedger& log) -> std::optional<MonoTime> {
    if (log.retry_at_) return log.retry_at_;
    if (log.sequencer_->commit_due()) return std::min(log.due_.value_or(now), now);
    return log.due_ > now ? log.due_ : std::nullopt;
  };
  std::vector<std::pair<MonoTime, std::string>> due;
  for (const auto& [name, log] : logs_) {
    if (const auto at = when(*log); at && *at <= now) due.emplace_back(*at, name);
  }
  std::sort(due.begin(), due.end());
  for (const auto& [at, name] : due) {
    TenantLedger& log = *logs_.at(name);
    if (turn.committed.size() == most) break;
    const bool again = log.sequencer_->commit_failed();
    if (const Status s = log.sequencer_->Commit(); !s.ok()) {
      if (turn.status.ok()) turn.status = s.error().WithContext(Place(name));
      if (log.sequencer_->commit_failed()) {
        log.retry_at_ = clock_->Mono() + kCommitRetry;
        continue;
      }
    }
    turn.committed.push_back(name);
    log.retry_at_.reset();
    log.due_.reset();
    if (again) log.again_ = turn.progress.more = true;  // nothing was read meanwhile
  }
  turn.progress.committed = !turn.committed.empty();
  for (const auto& [name, log] : logs_) {
    const auto at = when(*log);
    if (at && (!turn.progress.due || *at < *turn.progress.due)) turn.progress.due = at;
  }
}

Status Ledger::Flush() {
  Status first;
  for (auto& [name, log] : logs_) {
    Status one = log->sequencer_->Flush();
    if (!one.ok() && first.ok()) first = one.error().WithContext(Place(name));
  }
  return first;
}

}  // namespace hexr::ledger
