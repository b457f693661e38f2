#include "keeper/evidence.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <semaphore>

#include "base/limits/ledger.h"
#include "ledger/log_reader.h"
#include "ledger/testing/events.h"
#include "ledger/testing/raw_journal.h"
#include "ledger/testing/temp_folder.h"
#include "ledger/testing/test_keys.h"
#include "ledger/verify.h"

namespace hexr::keeper {
namespace {

using ledger::JournalWriter;
using ledger::NewJournal;
using ledger::RecordKind;
using ledger::SyncPolicy;
using ledger::testing::RawJournal;
using ledger::testing::TestEvent;

constexpr std::chrono::seconds kLong{10};  // a checkpoint interval that no test waits for

class EvidenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto config =
        config::ParseOrError("trust_domain: example.org\ntenant: acme\nmachine_key: file\n", "test.yaml");
    ASSERT_TRUE(config.ok()) << config.error().ToString();
    auto state = State::Open(*config, folder_.path(), random_);
    ASSERT_TRUE(state.ok()) << state.error().ToString();
    state_ = std::move(*state);
  }
  void Start(SyncPolicy sync = SyncPolicy::kWritten) {
    evidence_.reset();
    auto started = Evidence::Start({.trust_domain = TrustDomain::Parse("example.org").value(),
                                    .state_dir = folder_.path(),
                                    .sync = sync,
                                    .checkpoint_interval = interval_,
                                    .witnesses = witnesses_,
                                    .text_retention = retention_,
                                    .post = post_,
                                    .sync_file = sync_file_},
                                   {acme_, other_}, *state_, loop_, clock_, random_);
    ASSERT_TRUE(started.ok()) << started.error().ToString();
    evidence_ = std::move(*started);
  }
  static ledger::Event Identity(uint64_t number) { return TestEvent(1, number, RecordKind::kIdentity); }
  Result<NewJournal> OpenJournal(const IdSegment& tenant) {
    std::optional<Result<NewJournal>> out;
    evidence_->OpenJournal(tenant, "gateway/" + tenant.value(), [&](Result<NewJournal> j) { out = std::move(j); });
    while (!out) loop_.RunFor(std::chrono::seconds(1));
    return std::move(*out);
  }
  std::string Journals() const { return folder_.path() + "/ledger/journals/tenants/acme"; }
  std::string PathOf(const std::string& writer) const { return Journals() + "/" + writer + ".journal"; }
  // Whether the ledger thread has come to the end of this journal and given it up, well before the next checkpoint.
  bool GivenUp(const std::string& path) {
    const MonoTime deadline = clock_.Mono() + kLong / 2;
    struct stat info = {};
    while (::stat(path.c_str(), &info) == 0 && (info.st_mode & S_IWUSR) != 0) {
      if (clock_.Mono() > deadline) return false;
      loop_.RunFor(std::chrono::milliseconds(1));
    }
    return true;
  }
  // How many records of `kind` the log of acme has after the last checkpoint. Its own rules hold.
  uint64_t Count(RecordKind kind) {
    evidence_->Finish();
    const auto storage =
        ledger::DirectoryStorage::OpenReadOnly(ledger::Ledger::LogFolder(folder_.path() + "/ledger", "acme")).value();
    std::string vkey;
    for (const auto& log : evidence_->logs()) {
      if (log.tenant == "acme") vkey = log.verifier_key;
    }
    const auto report = ledger::VerifyLog(storage, {.log_key = ledger::VerifierKey::Parse(vkey).value()}).value();
    const ledger::LogReader reader(storage, report.records);
    uint64_t n = 0;
    for (uint64_t i = 0; i < report.records; ++i)
      n += ledger::Record::Parse(reader.Entry(i).value()).value().kind == kind;
    return n;
  }

  ledger::testing::TempFolder folder_;
  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<State> state_;
  runtime::Loop loop_;
  std::unique_ptr<Evidence> evidence_;
  ledger::JournalWriter::SyncFile sync_file_;
  std::optional<std::chrono::milliseconds> retention_;
  std::chrono::milliseconds interval_ = kLong;
  std::vector<config::Witness> witnesses_;
  Witnesses::Post post_;
  const IdSegment acme_ = IdSegment::Parse("acme").value();
  const IdSegment other_ = IdSegment::Parse("other").value();
};

// A gateway that is taken over holds its journal's key and descriptor: what is not read by then it can rewrite.
TEST_F(EvidenceTest, JournalsAreReadPromptlyWhateverTheCheckpointInterval) {
  Start();
  ASSERT_TRUE(evidence_->Record(Identity(1)).ok());  // from here on there is something that waits for its checkpoint
  auto opened = OpenJournal(acme_);
  ASSERT_TRUE(opened.ok()) << opened.error().ToString();
  RawJournal journal(std::move(*opened));
  constexpr uint64_t kFrames = 10'000;  // more than one turn takes
  for (uint64_t i = 1; i <= kFrames; ++i) journal.Record(TestEvent(1, i), i);
  journal.Write(Bytes{99});  // no frame of ours: when the reader comes to it, it shows in the file's mode
  EXPECT_TRUE(GivenUp(PathOf(journal.writer())));
  EXPECT_EQ(Count(RecordKind::kDecision), kFrames);
}

TEST_F(EvidenceTest, ADamagedJournalTakesNothingMoreAndIsReplaced) {
  Start();
  auto opened = OpenJournal(acme_);
  ASSERT_TRUE(opened.ok()) << opened.error().ToString();
  const std::string path = PathOf(opened->ticket.writer);
  auto writer = JournalWriter::Open(std::move(opened->fd), std::move(opened->ticket), SyncPolicy::kWritten).value();
  // Each frame is changed as soon as it is written, until the reader has come to one of them.
  const MonoTime deadline = clock_.Mono() + kLong / 2;
  for (;;) {
    const auto size = std::filesystem::file_size(path);
    if (!writer->Append(TestEvent(1, 1)).ok()) break;
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
        .seekp(static_cast<std::streamoff>(size + 40))
        .put('!');
    ASSERT_LT(clock_.Mono(), deadline) << "acknowledged, and never read";
  }
  EXPECT_TRUE(writer->WantsRotation());
  auto next = OpenJournal(acme_);
  ASSERT_TRUE(next.ok()) << next.error().ToString();
  (void)writer->Rotate(std::move(next->fd), std::move(next->ticket));
  EXPECT_TRUE(writer->Append(TestEvent(1, 3, RecordKind::kFlow)).ok());
  writer.reset();
  EXPECT_EQ(Count(RecordKind::kFlow), 1u);
}

TEST_F(EvidenceTest, TextsThatAreOlderThanTheirTimeAreErasedByThemselves) {
  for (const bool configured : {false, true}) {
    retention_.reset();
    Start();
    ledger::Event event = Identity(1);  // of a time that is long ago
    event.body.Set("sub", ledger::SaltedText("alice", random_));
    ASSERT_TRUE(evidence_->Record(event).ok());
    evidence_->Finish();
    if (configured) retention_ = std::chrono::hours(1);
    Start();
    std::optional<Result<uint64_t>> left;
    evidence_->EraseTexts(acme_, WallTime::max(), [&](Result<uint64_t> n) { left = std::move(n); });
    while (!left) loop_.RunFor(std::chrono::milliseconds(5));
    ASSERT_TRUE(left->ok()) << left->error().ToString();
    EXPECT_EQ(**left, configured ? 0u : 1u);
  }
}

// What only a journal holds when somebody asks for its erasure does not come back from it.
TEST_F(EvidenceTest, AnErasureReachesWhatIsInTheJournalStill) {
  Start();
  const auto files = [this] {
    std::string all;
    for (const auto& file : std::filesystem::directory_iterator(Journals()))
      all += file.path().filename().string() + " ";
    return all;
  };
  ledger::Event event = Identity(1);
  event.body.Set("sub", ledger::SaltedText("alice", random_));
  ASSERT_TRUE(evidence_->Record(event).ok());
  const std::string before = files();
  std::optional<Result<uint64_t>> erased;
  evidence_->EraseTexts(acme_, *event.instance, [&](Result<uint64_t> n) { erased = std::move(n); });
  while (!erased) loop_.RunFor(std::chrono::milliseconds(5));
  ASSERT_TRUE(erased->ok()) << erased->error().ToString();
  EXPECT_EQ(**erased, 1u);
  EXPECT_NE(files(), before) << "the journal that held it has gone";
  EXPECT_EQ(std::ranges::count(files(), '.'), std::ranges::count(before, '.')) << files();
}

// One failed write or sync of the keeper's own journal must not end identity until a restart.
TEST_F(EvidenceTest, ABrokenJournalOfTheKeepersIsReplacedAndTheRecordMade) {
  for (const SyncPolicy sync : {SyncPolicy::kWritten, SyncPolicy::kDurable}) {
    Start(sync);
    ASSERT_TRUE(evidence_->Record(Identity(1)).ok());
    for (const auto& file : std::filesystem::directory_iterator(Journals())) {
      if (file.path().extension() != ".journal") continue;
      ASSERT_EQ(::chmod(file.path().c_str(), ledger::kRevokedMode), 0);
    }
    EXPECT_TRUE(evidence_->Record(Identity(2)).ok());
    EXPECT_TRUE(evidence_->Record(Identity(3)).ok());
    evidence_->Note(Identity(4));
    EXPECT_EQ(Count(RecordKind::kIdentity), sync == SyncPolicy::kWritten ? 4u : 8u);
    EXPECT_FALSE(evidence_->Record(Identity(5)).ok()) << "closed";
  }
}

// A tenant whose disk hangs waits for it alone, and the loop waits for nobody.
TEST_F(EvidenceTest, ASlowDiskHoldsUpItsOwnLogAlone) {
  std::binary_semaphore disk{0};
  std::atomic<bool> hangs = false;
  sync_file_ = [&](int fd) {
    char path[512] = {};
    if (readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path - 1) > 0 &&
        std::string_view(path).find("/tenants/acme/") != std::string_view::npos && hangs.exchange(false)) {
      disk.acquire();
    }
    return ::fdatasync(fd);
  };
  Start(SyncPolicy::kDurable);
  hangs = true;
  std::optional<Status> slow, fast;
  evidence_->Record(Identity(1), [&](const Status& s) { slow = s; });
  ledger::Event event = Identity(2);
  event.tenant = other_;
  evidence_->Record(event, [&](const Status& s) { fast = s; });
  while (!fast) loop_.RunFor(std::chrono::milliseconds(1));
  EXPECT_TRUE(fast->ok());
  EXPECT_FALSE(slow);
  disk.release();
  while (!slow) loop_.RunFor(std::chrono::milliseconds(1));
  EXPECT_TRUE(slow->ok());
  evidence_.reset();  // before what its disk hangs on is gone
}

TEST_F(EvidenceTest, RecordsThatWaitForAJournalAreBounded) {
  Start();
  for (const auto& file : std::filesystem::directory_iterator(Journals())) {
    if (file.path().extension() != ".journal") continue;
    ASSERT_EQ(::chmod(file.path().c_str(), ledger::kRevokedMode), 0);
  }
  size_t made = 0, refused = 0;
  for (size_t i = 0; i < limits::kMaxWaitingRecords + 3; ++i) {
    evidence_->Record(Identity(i), [&](const Status& s) {
      ++(s.ok() ? made : refused);
      EXPECT_TRUE(s.ok() || s.error().code() == ErrorCode::kResourceExhausted);
    });
  }
  EXPECT_EQ(made, 0u);
  EXPECT_EQ(refused, 3u);
  while (made < limits::kMaxWaitingRecords) loop_.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(Count(RecordKind::kIdentity), limits::kMaxWaitingRecords);
}

// INV-KPR-08: one tenant's log is that tenant's matter.
TEST_F(EvidenceTest, ALogThatDoesNotOpenDisablesItsTenantAlone) {
  Start();
  ASSERT_TRUE(evidence_->Record(Identity(1)).ok());
  evidence_->Finish();
  const std::string state = Journals() + "/state";
  std::filesystem::copy_file(state, state + ".good");
  std::ofstream(state, std::ios::trunc) << "nonsense";

  Start();
  EXPECT_FALSE(evidence_->Has(acme_));
  EXPECT_TRUE(evidence_->Has(other_));
  EXPECT_EQ(evidence_->Record(Identity(2)).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(OpenJournal(acme_).error().code(), ErrorCode::kNotFound) << "its gateway has nothing to allow with";
  EXPECT_TRUE(OpenJournal(other_).ok());
  EXPECT_FALSE(evidence_->AddTenant(acme_).ok());
  ledger::Event node = TestEvent(1, 3, RecordKind::kConfiguration);
  node.tenant.reset();
  EXPECT_TRUE(evidence_->Record(node).ok());

  std::filesystem::rename(state + ".good", state);
  const Status mended = evidence_->AddTenant(acme_);
  ASSERT_TRUE(mended.ok()) << mended.error().ToString();
  EXPECT_TRUE(evidence_->Record(Identity(4)).ok());
  EXPECT_EQ(Count(RecordKind::kIdentity), 2u);
}

// An agent that tries to exec without end: each try takes its identity away and gives it back.
TEST_F(EvidenceTest, WhatAnInstanceRepeatsIsCounted) {
  Start();
  constexpr uint64_t kTries = 5'000;
  const std::string journal = [&] {
    for (const auto& file : std::filesystem::directory_iterator(Journals())) {
      if (file.path().extension() == ".journal") return file.path().string();
    }
    return std::string();
  }();
  ledger::Event event = Identity(0);
  for (uint64_t i = 0; i < kTries; ++i) {
    for (const auto& what : {ledger::Code("svid.withheld"), ledger::Code("restored")}) {
      event.body = ledger::Body();
      event.body.Set("event", what);
      evidence_->Note(event);
    }
  }
  event.body = ledger::Body();
  event.body.Set("event", ledger::Code("ended"));
  evidence_->Note(event);
  EXPECT_LT(std::filesystem::file_size(journal), 200'000u);
  evidence_->EndInstance(acme_, *event.instance);
  const uint64_t records = Count(RecordKind::kIdentity);
  EXPECT_GE(records, limits::kNotesPerSecond * limits::kRepeatBurstSeconds);
  EXPECT_LE(records, kTries / 10);
}

// A witness may take as long as it likes, and its tenant may be gone by then, or be another.
TEST_F(EvidenceTest, AWitnessThatAnswersAfterItsLogHasGoneIsHeardByNobody) {
  std::vector<Witnesses::OnAnswer> held;
  post_ = [&](const std::string&, const std::string&, Witnesses::OnAnswer done) { held.push_back(std::move(done)); };
  const auto witness =
      ledger::testing::TestSigner("witness.example/w", ledger::NoteKeyType::kCosignatureV1, 7).verifier().ToString();
  witnesses_ = {{.url = "https://witness.example", .key = witness}};
  interval_ = std::chrono::milliseconds(20);
  Start();
  ASSERT_TRUE(evidence_->Record(Identity(1)).ok());
  const runtime::Timer later = loop_.After(std::chrono::hours(1), [] {});  // so that RunFor waits
  const auto wait_for = [&](size_t questions) {
    for (int i = 0; i < 1000 && held.size() < questions; ++i) loop_.RunFor(std::chrono::milliseconds(10));
    return held.size();
  };
  ASSERT_EQ(wait_for(3), 3u) << "the node's log and two tenants'";
  ASSERT_TRUE(evidence_->DestroyTenant(acme_).ok());
  ASSERT_TRUE(evidence_->AddTenant(acme_).ok());
  ASSERT_EQ(wait_for(4), 4u) << "about the log that has its name now";
  for (size_t i = 0; i < 3; ++i) held[i](WitnessAnswerText{500, "no"});
  const auto error_of = [&](const std::string& tenant) {
    for (const auto& log : evidence_->logs()) {
      if (log.tenant == tenant && !log.witnesses.empty()) return log.witnesses.front().error;
    }
    return std::string();
  };
  for (int i = 0; i < 1000 && error_of("other").empty(); ++i) loop_.RunFor(std::chrono::milliseconds(10));
  EXPECT_FALSE(error_of("other").empty());
  EXPECT_EQ(error_of("acme"), "");
  evidence_.reset();
}

// Somebody may have kept a copy of the texts: nothing opens it any more, whoever has the tenant's name next.
TEST_F(EvidenceTest, TheKeyOfADestroyedTenantsTextsIsGone) {
  Start();
  const auto key_of = [&](const char* tenant) {
    return state_->KeyFor(std::string("ledger texts of ") + tenant, random_).value();
  };
  const crypto::Secret before = key_of("acme"), others = key_of("other");
  EXPECT_TRUE(key_of("acme") == before);
  ASSERT_TRUE(evidence_->DestroyTenant(acme_).ok());
  ASSERT_TRUE(evidence_->AddTenant(acme_).ok());
  EXPECT_FALSE(key_of("acme") == before);
  EXPECT_TRUE(key_of("other") == others);
}

TEST_F(EvidenceTest, JournalsOfAGatewayAreBounded) {
  Start();
  std::vector<NewJournal> held;
  for (size_t i = 0; i < limits::kMaxJournalsPerLabel; ++i) {
    auto journal = OpenJournal(acme_);
    ASSERT_TRUE(journal.ok()) << journal.error().ToString();
    held.push_back(std::move(*journal));
  }
  EXPECT_EQ(OpenJournal(acme_).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(OpenJournal(other_).ok());
  EXPECT_TRUE(evidence_->Record(Identity(1)).ok());
}

}  // namespace
}  // namespace hexr::keeper
