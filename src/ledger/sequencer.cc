#include "ledger/sequencer.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/limits/ledger.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "ledger/record_rules.h"
#include "ledger/tiles.h"

namespace hexr::ledger {

namespace {

constexpr char kStatePath[] = "state";
constexpr std::string_view kJournalSuffix = ".journal";
constexpr std::string_view kAsideSuffix = ".damaged";
constexpr std::string_view kKeeperLabel = "keeper";
constexpr size_t kMaxStateBytes = 256 * 1024 * 1024;
// Two snapshots of a log with two labels (the keeper's, a gateway's), every journal with as many instances as it may
// have, can be read back.
constexpr size_t kMaxCountLineBytes = 64;
static_assert(2 * 2 * limits::kMaxJournalsPerLabel * limits::kMaxJournalInstances * kMaxCountLineBytes <=
              kMaxStateBytes);
// A label that has all its journals may ask for a checkpoint that takes the finished ones away, no more often than
// this.
constexpr std::chrono::seconds kMinCommitSpacing{1};
constexpr uint64_t kRecordsPerTurn = 4096;  // one busy journal does not keep the others waiting
constexpr size_t kMaxPendingTextBytes = 64 * 1024 * 1024;

PublicName WriterName(const std::string& writer) { return PublicName::Parse(writer).value(); }  // 16 hex digits

}  // namespace

Sequencer::Sequencer(SequencerOptions options, DirectoryStorage folder, std::string journals, crypto::Secret master,
                     crypto::AeadKey state_key, TileLog log, TextStore& texts, const Clock& clock, Random& random)
    : options_(std::move(options)),
      read_buffer_(options_.read_buffer != nullptr ? options_.read_buffer : std::make_shared<Bytes>()),
      folder_(std::move(folder)),
      journals_(std::move(journals)),
      master_(std::move(master)),
      state_key_(std::move(state_key)),
      log_(std::move(log)),
      texts_(texts),
      clock_(clock),
      random_(random) {
  std::array<uint8_t, Record::kWriterBytes / 2> name;
  random_.Fill(name);
  own_writer_ = HexEncode(name);
}

Result<std::unique_ptr<Sequencer>> Sequencer::Open(SequencerOptions options, Storage& log, const std::string& journals,
                                                   const crypto::Secret& master, const NoteSigner& signer,
                                                   TextStore& texts, const Clock& clock, Random& random) {
  ASSIGN_OR_RETURN(DirectoryStorage folder, DirectoryStorage::Open(journals));
  ASSIGN_OR_RETURN(TileLog tiles, TileLog::Open(log, signer, clock));
  crypto::Secret derived = crypto::HkdfSha256(master, AsBytes(tiles.committed().origin), "hexr sequencer state v1", 32);
  ASSIGN_OR_RETURN(crypto::AeadKey state_key, crypto::AeadKey::FromSecret(std::move(derived)));
  std::unique_ptr<Sequencer> sequencer(new Sequencer(std::move(options), std::move(folder), journals, master.Clone(),
                                                     std::move(state_key), std::move(tiles), texts, clock, random));
  RETURN_IF_ERROR(sequencer->Recover());
  return sequencer;
}

Status Sequencer::Recover() {
  const Result<Bytes> sealed = folder_.Read(kStatePath, kMaxStateBytes);
  if (!sealed.ok() && sealed.error().code() != ErrorCode::kNotFound) return sealed.error();
  SequencerSnapshot snapshot{.log_size = log_.size(), .journals = {}};
  if (sealed.ok()) {
    ASSIGN_OR_RETURN(const auto snapshots, OpenSnapshots(*sealed, state_key_, log_.committed().origin));
    const auto found = std::find_if(snapshots.begin(), snapshots.end(),
                                    [&](const SequencerSnapshot& s) { return s.log_size == log_.size(); });
    // Reading on from a wrong place would put records into the log twice, or not at all.
    if (found == snapshots.end()) {
      return Error(ErrorCode::kDataLoss,
                   "the journals' state is not that of this log: one of them is from another time");
    }
    snapshot = *found;
  } else if (log_.size() > 0) {
    ASSIGN_OR_RETURN(const auto names, folder_.List("."));
    if (std::any_of(names.begin(), names.end(), [](const std::string& n) { return n.ends_with(kJournalSuffix); })) {
      return Error(ErrorCode::kDataLoss, "there are journals and no state that says what is in the log already");
    }
  }
  committed_ = BeginSnapshot(snapshot.log_size);
  for (const auto& [writer, journal] : snapshot.journals) {
    AddJournal(writer, journal, committed_);
    committed_ends_.emplace(writer, journal.end);
  }
  Body body;
  RecordAboutLog(std::move(body.Set("event", Code("sequencer_started")).Set("size", log_.size())));
  return AdoptJournals(snapshot);
}

Status Sequencer::AdoptJournals(const SequencerSnapshot& snapshot) {
  for (const auto& [writer, state] : snapshot.journals) RETURN_IF_ERROR(AddTail(writer, &state));
  ASSIGN_OR_RETURN(const auto names, folder_.List("."));
  for (const std::string& name : names) {
    if (!name.ends_with(kJournalSuffix)) continue;
    const std::string writer = name.substr(0, name.size() - kJournalSuffix.size());
    if (!tails_.contains(writer)) RETURN_IF_ERROR(AddTail(writer, nullptr));
  }
  return RemoveClosed();
}

Status Sequencer::AddTail(const std::string& writer, const JournalState* state) {
  Tail tail;
  if (state != nullptr) {
    static_cast<JournalState&>(tail) = *state;
    if (tail.end != JournalEnd::kOpen) {
      tails_.emplace(writer, std::move(tail));
      return Ok();
    }
  }
  Result<JournalReader> reader = JournalReader::OpenAt(JournalPath(writer), master_, tail.position);
  if (!reader.ok()) {
    const Error& why = reader.error();
    const bool missing = why.code() == ErrorCode::kNotFound;
    const bool header_cut = why.code() == ErrorCode::kOutOfRange;
    const bool no_journal = why.code() == ErrorCode::kInvalidArgument;
    // No descriptor left, a disk that does not answer: says nothing about the journal, and must not end it.
    if (!missing && !header_cut && !no_journal && why.code() != ErrorCode::kDataLoss)
      return why.WithContext("journal " + writer);
    if (state != nullptr) {
      CloseTail(writer, tails_.emplace(writer, std::move(tail)).first->second, missing ? Code("missing") : Code("cut"),
                0);
      return Ok();
    }
    // Made and never used: a crash came before its header was written. Or not a journal: then it is nobody's.
    Log(LogLevel::kWarn, "ledger.journal_ignored", {{"journal", writer}, {"why", why}});
    return header_cut ? folder_.Remove(writer + std::string(kJournalSuffix)) : Ok();
  }
  if (reader->header().writer != writer)
    return Error(ErrorCode::kDataLoss, "journal " + writer + " has another writer's header");
  Tail& added = tails_.emplace(writer, std::move(tail)).first->second;
  added.reader = std::move(*reader);
  added.position = added.reader->position();
  if (state == nullptr) {
    added.label = added.reader->header().label;
    Body body;
    body.Set("event", Code("writer_opened")).Set("writer", WriterName(writer));
    if (!added.label.empty()) {
      ASSIGN_OR_RETURN(const PublicName label, PublicName::Parse(added.label));
      body.Set("label", label);
    }
    RecordAboutLog(std::move(body));
  }
  return Ok();
}

size_t Sequencer::JournalsOf(std::string_view label) const {
  return static_cast<size_t>(
      std::count_if(tails_.begin(), tails_.end(), [&](const auto& tail) { return tail.second.label == label; }));
}

Status Sequencer::MakeRoomFor(std::string_view label) {
  if (JournalsOf(label) >= limits::kMaxJournalsPerLabel &&
      (!committed_at_ || clock_.Mono() - *committed_at_ >= kMinCommitSpacing)) {
    // Those of writers that are gone are read to their ends and go with a checkpoint.
    ASSIGN_OR_RETURN(const Progress progress, Poll());
    if (!progress.committed && log_.pending() > 0) RETURN_IF_ERROR(Commit());
  }
  if (JournalsOf(label) >= limits::kMaxJournalsPerLabel)
    return ResourceExhausted(fmt::format("{} has {} journals that are not in the log yet", label, JournalsOf(label)));
  if (label == kKeeperLabel) return Ok();  // what a gateway has broken does not take the keeper's voice away
  ASSIGN_OR_RETURN(const auto names, folder_.List("."));
  const auto aside =
      std::count_if(names.begin(), names.end(), [](const std::string& name) { return name.ends_with(kAsideSuffix); });
  if (static_cast<size_t>(aside) >= limits::kMaxJournalsAside)
    return ResourceExhausted(
        fmt::format("{} damaged journals lie in {}: look into why, then take them away", aside, journals_));
  return Ok();
}

Result<NewJournal> Sequencer::OpenJournal(std::string_view label) {
  // It is a record, and none may follow a commit that has failed: the state on disk knows two sizes of the log.
  if (commit_failed_) RETURN_IF_ERROR(Commit());
  RETURN_IF_ERROR(MakeRoomFor(label));
  // The file is named by its writer, which its header decides.
  const std::string fresh = journals_ + "/new";
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return ErrnoError("remove " + fresh, errno);
  ASSIGN_OR_RETURN(NewJournal journal, CreateJournal(fresh, label, master_, clock_, random_));
  const std::string path = JournalPath(journal.ticket.writer);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return ErrnoError("name journal " + path, errno);
  Status added = AddTail(journal.ticket.writer, nullptr);
  if (added.ok() && !tails_.contains(journal.ticket.writer))
    added = Internal("the journal that was just made cannot be read");
  if (!added.ok()) {
    ::unlink(path.c_str());
    return added.error();
  }
  return journal;
}

void Sequencer::RecordAboutLog(Body body) {
  const Event event{.time = clock_.Wall(),
                    .kind = RecordKind::kLog,
                    .spiffe_id = options_.node,
                    .instance = {},
                    .tenant = options_.tenant,
                    .call_id = {},
                    .body = std::move(body)};
  std::string draft;
  AppendUnsequenced(event, own_writer_, ++own_count_, draft);
  const Result<RecordView> view = ScanRecord(draft, SeqField::kAbsent);
  HEXR_CHECK(view.ok());
  std::string entry;
  AppendSequenced(draft, view->seq_offset, log_.size(), entry);
  log_.Append(AsBytes(entry));
  if (!pending_since_) pending_since_ = clock_.Mono();
}

void Sequencer::RecordGap(const std::string& writer, std::string_view instance, uint64_t first, uint64_t last) {
  Body body;
  body.Set("event", Code("gap"))
      .Set("writer", WriterName(writer))
      .Set("first_missing", first)
      .Set("last_missing", last);
  if (!instance.empty()) body.Set("of", InstanceId::Parse(instance).value());
  RecordAboutLog(std::move(body));
}

const char* Sequencer::Objection(const std::string& writer, Tail& tail, const RecordView& view) const {
  if (view.writer != writer) return "writer";
  if (!MayRecord(tail.label, view.kind)) return "kind";
  if (view.tenant != (options_.tenant ? std::string_view(options_.tenant->value()) : std::string_view()))
    return "tenant";
  if (view.spiffe_id == tail.spiffe_id) return nullptr;
  // An agent's name holds its tenant: a process of one tenant cannot speak of another's agents.
  const std::string agent = options_.node.trust_domain().Uri() + "/agent/";
  if (options_.tenant && view.spiffe_id.starts_with(agent) &&
      !view.spiffe_id.substr(agent.size()).starts_with(options_.tenant->value() + "/")) {
    return "spiffe_id";
  }
  tail.spiffe_id = view.spiffe_id;
  return nullptr;
}

void Sequencer::TakeRecord(const std::string& writer, Tail& tail, const JournalFrame& frame) {
  const Result<RecordView> view = ScanRecord(frame.record, SeqField::kAbsent);
  const char* objection = view.ok() ? Objection(writer, tail, *view) : "form";
  uint64_t* count = nullptr;
  bool too_many = false;
  if (objection == nullptr) {
    auto at = tail.counts.find(view->instance);
    too_many = at == tail.counts.end() && tail.counts.size() >= limits::kMaxJournalInstances;
    if (too_many) {
      objection = "instance";
    } else {
      if (at == tail.counts.end()) at = tail.counts.emplace(view->instance, 0).first;
      count = &at->second;
      if (view->instance_seq <= *count) objection = "instance_seq";
    }
  }
  if (objection != nullptr) {
    Body body;
    body.Set("event", Code("record_refused")).Set("writer", WriterName(writer)).Set("frame", frame.counter);
    body.Set("field", PublicName::Parse(objection).value());
    RecordAboutLog(std::move(body));
    // No writer of ours does that, and every instance is kept in the state: this one is not listened to any longer.
    if (too_many) CloseTail(writer, tail, "malformed", 0);
    return;
  }
  if (view->instance_seq != *count + 1) {
    RecordGap(writer, view->instance, *count + 1, view->instance_seq - 1);
  }
  *count = view->instance_seq;
  entry_.clear();
  AppendSequenced(frame.record, view->seq_offset, log_.size(), entry_);
  log_.Append(AsBytes(entry_));
  for (const JournalFrame::Text& text : frame.texts) {
    SaltedText::Salt salt;
    std::copy(text.salt.begin(), text.salt.end(), salt.begin());
    const SaltedText salted(std::string(text.text), salt);
    pending_texts_.push_back({.digest = salted.digest(),
                              .salt = salt,
                              .text = salted.text(),
                              .time = view->time,
                              .instance = std::string(view->instance)});
    pending_text_bytes_ += text.text.size();
  }
}

void Sequencer::TakeFrame(const std::string& writer, Tail& tail, const JournalFrame& frame) {
  switch (frame.type) {
    case FrameType::kRecord: TakeRecord(writer, tail, frame); return;
    case FrameType::kInstanceEnded: {
      const auto at = tail.counts.find(frame.instance);
      const uint64_t have = at == tail.counts.end() ? 0 : at->second;
      if (have != frame.count) {
        RecordGap(writer, frame.instance, have + 1, frame.count);
      }
      if (at != tail.counts.end()) tail.counts.erase(at);
      Body body;
      body.Set("event", Code("instance_closed"))
          .Set("writer", WriterName(writer))
          .Set("of", InstanceId::Parse(frame.instance).value());
      RecordAboutLog(std::move(body.Set("records", frame.count)));
      return;
    }
    case FrameType::kEnd: CloseTail(writer, tail, "clean", 0); return;
  }
}

void Sequencer::CloseTail(const std::string& writer, Tail& tail, Code how, uint64_t torn_bytes) {
  Body body;
  body.Set("event", Code("writer_closed")).Set("writer", WriterName(writer)).Set("how", how);
  body.Set("frames", tail.position.counter);
  if (torn_bytes > 0) body.Set("torn_bytes", torn_bytes);
  RecordAboutLog(std::move(body));
  const bool all_read = how.text() == "clean" || how.text() == "gone";
  tail.end = all_read ? JournalEnd::kRemove : JournalEnd::kPutAside;
  tail.counts.clear();
  // Its writer may live. It must not go on acknowledging what nobody reads: JournalWriter looks before each append.
  if (!all_read && ::chmod(JournalPath(writer).c_str(), kRevokedMode) != 0 && errno != ENOENT)
    Log(LogLevel::kError, "ledger.journal_not_revoked", {{"journal", writer}, {"error", ErrnoError("chmod", errno)}});
}

Status Sequencer::ReadTail(const std::string& writer, Tail& tail, Progress& progress) {
  const JournalReader::Loan loan(*tail.reader, *read_buffer_);
  for (uint64_t taken = 0; taken < kRecordsPerTurn; ++taken) {
    const bool gone = taken == 0 && tail.reader->WriterGone();  // asked before the read: what is read then is all
    Result<const JournalFrame*> next = tail.reader->Next();
    if (!next.ok() && next.error().code() == ErrorCode::kDataLoss) {
      CloseTail(writer, tail, "damaged", 0);
      return Ok();
    }
    if (!next.ok() && next.error().code() == ErrorCode::kInvalidArgument) {
      CloseTail(writer, tail, "malformed", 0);
      return Ok();
    }
    if (!next.ok()) return next.error();
    if (*next == nullptr) {
      if (!gone) return Ok();
      ASSIGN_OR_RETURN(const uint64_t torn, tail.reader->BytesBehind());
      CloseTail(writer, tail, "gone", torn);
      return Ok();
    }
    tail.position = tail.reader->position();
    TakeFrame(writer, tail, **next);
    ++progress.records;
    if (tail.end != JournalEnd::kOpen) return Ok();
    if (log_.pending() >= limits::kMaxPendingRecords || pending_text_bytes_ >= kMaxPendingTextBytes) break;
  }
  progress.more = true;
  return Ok();
}

Result<Sequencer::Progress> Sequencer::Poll() {
  const bool again = commit_failed_;
  if (again) RETURN_IF_ERROR(Commit());
  ASSIGN_OR_RETURN(Progress progress, Read());
  progress.committed = again;
  if (commit_due()) {
    RETURN_IF_ERROR(Commit());
    progress.committed = true;
    progress.due.reset();
  }
  return progress;
}

Result<Sequencer::Progress> Sequencer::Read() {
  Progress progress;
  // After a failed commit nothing new is read until it is through: the state on disk knows two sizes of the log.
  if (commit_failed_) return progress;
  Status failed;  // one journal that cannot be read keeps no other waiting
  for (auto& [writer, tail] : tails_) {
    if (tail.end != JournalEnd::kOpen) continue;
    if (Status one = ReadTail(writer, tail, progress); !one.ok() && failed.ok()) failed = std::move(one);
  }
  if (log_.pending() > 0 && !pending_since_) pending_since_ = clock_.Mono();
  RETURN_IF_ERROR(failed);
  if (log_.pending() > 0) progress.due = *pending_since_ + options_.commit_interval;
  return progress;
}

Status Sequencer::Flush() {
  for (;;) {
    ASSIGN_OR_RETURN(const Progress progress, Poll());
    if (progress.records == 0) break;
  }
  return log_.pending() > 0 ? Commit() : Ok();
}

bool Sequencer::commit_due() const {
  if (commit_failed_) return true;
  if (log_.pending() == 0) return false;
  return log_.pending() >= std::min(options_.commit_records, limits::kMaxPendingRecords) ||
         pending_text_bytes_ >= kMaxPendingTextBytes ||
         (pending_since_ && clock_.Mono() >= *pending_since_ + options_.commit_interval);
}

std::string Sequencer::Snapshot() const {
  std::string snapshot = BeginSnapshot(log_.size());
  for (const auto& [writer, tail] : tails_) AddJournal(writer, tail, snapshot);
  return snapshot;
}

Status Sequencer::Commit() {
  commit_failed_ = true;
  if (!pending_texts_.empty()) {
    RETURN_IF_ERROR(texts_.Put(pending_texts_));
    pending_texts_.clear();
    pending_text_bytes_ = 0;
  }
  const uint64_t size = log_.size();
  std::string next = Snapshot();
  RETURN_IF_ERROR(
      folder_.Replace(kStatePath, SealSnapshots(committed_ + next, state_key_, log_.committed().origin, random_)));
  Status published = log_.Commit();
  if (log_.committed().size != size) return published;
  commit_failed_ = false;
  committed_ = std::move(next);
  committed_ends_.clear();
  for (const auto& [writer, tail] : tails_) committed_ends_.emplace(writer, tail.end);
  pending_since_.reset();
  committed_at_ = clock_.Mono();
  RETURN_IF_ERROR(published);  // published, and something after it failed
  return RemoveClosed();
}

Status Sequencer::RemoveClosed() {
  // Only what a published checkpoint covers: a journal whose end is in the snapshot that is on disk.
  for (auto at = tails_.begin(); at != tails_.end();) {
    const auto end = committed_ends_.find(at->first);
    if (end == committed_ends_.end() || end->second == JournalEnd::kOpen) {
      ++at;
      continue;
    }
    const std::string path = JournalPath(at->first);
    const std::string aside = path + std::string(kAsideSuffix);
    const bool aside_wanted = end->second == JournalEnd::kPutAside;
    const int failed = aside_wanted ? ::rename(path.c_str(), aside.c_str()) : ::unlink(path.c_str());
    if (failed != 0 && errno != ENOENT) return ErrnoError("put away " + path, errno);
    at = tails_.erase(at);
  }
  return Ok();
}

}  // namespace hexr::ledger
