// Each test takes a sound log and does by hand what somebody with write access, or even with the log's key, could do.
#include "ledger/verify.h"

#include <gtest/gtest.h>

#include <set>

#include "ledger/journal_writer.h"
#include "ledger/log_reader.h"
#include "ledger/prove.h"
#include "ledger/sequencer.h"
#include "ledger/testing/events.h"
#include "ledger/testing/memory_storage.h"
#include "ledger/testing/memory_text_store.h"
#include "ledger/testing/temp_folder.h"
#include "ledger/tiles.h"
#include "wire/json.h"

namespace hexr::ledger {
namespace {

using testing::MemoryStorage;
using testing::TestEvent;
using testing::TestMaster;
using testing::TestSigner;

class VerifyTest : public ::testing::Test {
 protected:
  // A log of 603 records whose checkpoint at `kWitnessed` is cosigned.
  static constexpr uint64_t kWitnessed = 402;
  static constexpr uint64_t kRecords = 603;

  void SetUp() override {
    SequencerOptions options{.tenant = IdSegment::Parse("acme").value(),
                             .node = SpiffeId::Parse("spiffe://example.org").value()};
    auto sequencer =
        Sequencer::Open(std::move(options), log_, folder_.path(), TestMaster(), signer_, texts_, clock_, random_)
            .value();
    NewJournal journal = sequencer->OpenJournal("gateway/acme").value();
    auto writer = JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
    for (uint64_t i = 0; i < 600; ++i) {
      ASSERT_TRUE(writer->Append(TestEvent(static_cast<unsigned>(i % 3), i)).ok());
      if (i == 399) {
        ASSERT_TRUE(sequencer->Flush().ok());
        Note note = sequencer->log().committed_note();
        ASSERT_TRUE(note.Add(witness_.Sign(note.text(), clock_.Wall())).ok());
        ASSERT_TRUE(sequencer->log().AddCosignatures(note).ok());
        seen_ = note.ToString();
      }
    }
    ASSERT_TRUE(writer->Close().ok());
    ASSERT_TRUE(sequencer->Flush().ok());
    ASSERT_EQ(sequencer->log().committed().size, kRecords);
  }

  VerifyReport Verify() {
    return VerifyLog(log_, {.log_key = signer_.verifier(), .witnesses = {witness_.verifier()}}).value();
  }
  VerifyReport VerifyWithSeen() {
    return VerifyLog(log_, {.log_key = signer_.verifier(), .witnesses = {witness_.verifier()}, .seen = {seen_}})
        .value();
  }
  static std::set<std::string> Codes(const VerifyReport& report) {
    std::set<std::string> codes;
    for (const Problem& problem : report.problems) codes.insert(problem.code);
    return codes;
  }
  using CodeSet = std::set<std::string>;

  std::vector<std::string> Entries() const {
    std::vector<std::string> entries;
    const LogReader reader(log_, kRecords);
    for (uint64_t i = 0; i < kRecords; ++i) entries.push_back(reader.Entry(i).value());
    return entries;
  }
  // What the holder of the log's key can always do: a whole new log over other entries, with the old history beside it.
  void Rewrite(const std::vector<std::string>& entries, bool keep_history) {
    const std::map<std::string, Bytes> old = log_.Files();
    log_ = MemoryStorage();
    TileLog forged = TileLog::Open(log_, signer_, clock_).value();
    for (const std::string& entry : entries) forged.Append(AsBytes(entry));
    ASSERT_TRUE(forged.Commit().ok());
    if (!keep_history) return;
    for (const auto& [path, bytes] : old)
      if (path.starts_with(kHistoryFolder)) log_.Put(path, bytes);
  }

  testing::TempFolder folder_;
  MemoryStorage log_;
  testing::MemoryTextStore texts_;
  NoteSigner signer_ = TestSigner("example.org/log");
  NoteSigner witness_ = TestSigner("witness.example/w", NoteKeyType::kCosignatureV1, 5);
  ManualClock clock_{testing::kTestTime};
  SeededRandom random_{31};
  std::string seen_;
};

TEST_F(VerifyTest, ASoundLogPasses) {
  const VerifyReport report = VerifyWithSeen();
  EXPECT_EQ(ToJson(report),
            "{\"origin\":\"example.org/log\",\"records\":603,\"checkpoints\":4,\"witnessed\":402,\"problems\":[]}");
  EXPECT_TRUE(wire::ParseJson(ToJson(report)).ok());
}

TEST_F(VerifyTest, NothingToLookAt) {
  const MemoryStorage empty;
  EXPECT_EQ(VerifyLog(empty, {.log_key = signer_.verifier()}).error().code(), ErrorCode::kNotFound);
}

// INV-LEDGER-08: one changed byte in any file that a checkpoint needs is found.
TEST_F(VerifyTest, AnyChangedByteIsFound) {
  const std::map<std::string, Bytes> files = log_.Files();
  for (const auto& [path, bytes] : files) {
    if (path == kKeyPath || path == TilePath(1, 0, 1)) continue;  // of an earlier size: no longer needed
    for (int round = 0; round < 12; ++round) {
      const size_t at = random_.Below(bytes.size());
      log_.Edit(path)[at] ^= 0x20;
      EXPECT_GT(VerifyWithSeen().problems_total, 0u) << path << " byte " << at;
      log_.Edit(path)[at] ^= 0x20;
    }
    if (!path.starts_with(kHistoryFolder)) {
      log_.Edit(path).pop_back();
      EXPECT_GT(Verify().problems_total, 0u) << path << " cut";
      log_.Put(path, bytes);
      log_.Erase(path);
      EXPECT_GT(Verify().problems_total, 0u) << path << " gone";
      log_.Put(path, bytes);
    }
  }
  EXPECT_EQ(Verify().problems_total, 0u);
}

TEST_F(VerifyTest, SwappedEntriesAreFound) {
  std::vector<std::string> entries = Entries();
  std::swap(entries[300], entries[303]);  // of one instance
  Bytes bundle;
  for (size_t i = 256; i < 512; ++i) AppendEntry(AsBytes(entries[i]), bundle);
  log_.Edit("tile/entries/001") = bundle;
  const VerifyReport report = Verify();
  EXPECT_EQ(Codes(report), (CodeSet{"entry", "seq", "counter", "root", "tile"}));
  EXPECT_EQ(report.problems[0].record, 300u);
  // Signed anew by the holder of the key: the tree agrees, the records do not, and the witness has seen another tree.
  Rewrite(entries, true);
  EXPECT_EQ(Codes(Verify()), (CodeSet{"seq", "counter", "root"}));
}

TEST_F(VerifyTest, AnEntryThatWasDroppedIsFound) {
  std::vector<std::string> entries = Entries();
  // The careful forger renumbers what follows.
  entries.erase(entries.begin() + 450);
  for (size_t i = 450; i < entries.size(); ++i) {
    Record record = Record::Parse(entries[i]).value();
    record.seq = i;
    entries[i] = record.ToJson();
  }
  Rewrite(entries, false);
  EXPECT_EQ(Codes(VerifyLog(log_, {.log_key = signer_.verifier()}).value()), CodeSet{"counter"})
      << "by the counters alone";
}

// The holder of the log's key rewrites history without a trace: only the witness tells.
TEST_F(VerifyTest, ReSigningIsFoundByTheWitness) {
  const MemoryStorage sound = log_;
  std::vector<std::string> entries = Entries();
  Record record = Record::Parse(entries[200]).value();
  record.body.replace(record.body.find("allow"), 5, "taken");
  entries[200] = record.ToJson();
  Rewrite(entries, false);
  EXPECT_EQ(VerifyLog(log_, {.log_key = signer_.verifier()})->problems_total, 0u)
      << "with the log's key alone it looks sound";
  EXPECT_EQ(Codes(Verify()), CodeSet{"witness"}) << "no cosigned checkpoint";
  EXPECT_EQ(Codes(VerifyWithSeen()), CodeSet{"root"}) << "another root than the witness has seen";
  log_ = sound;
  Rewrite(entries, true);
  EXPECT_EQ(Codes(Verify()), CodeSet{"root"}) << "another root than the history that was left beside it";
}

TEST_F(VerifyTest, AForkIsFound) {
  // Two checkpoints of one size, both signed by the log.
  Checkpoint other{.origin = "example.org/log", .size = 500, .root = LeafHash({}), .extensions = {}};
  Note note(other.ToText());
  ASSERT_TRUE(note.Add(signer_.Sign(note.text(), clock_.Wall())).ok());
  const VerifyReport report = VerifyLog(log_, {.log_key = signer_.verifier(), .seen = {note.ToString()}}).value();
  EXPECT_EQ(Codes(report), CodeSet{"root"});
}

TEST_F(VerifyTest, TruncationIsFound) {
  std::vector<std::string> entries = Entries();
  entries.resize(300);
  Rewrite(entries, true);
  EXPECT_EQ(Codes(Verify()), CodeSet{"truncated"});
  Rewrite(entries, false);
  EXPECT_EQ(Codes(VerifyWithSeen()), CodeSet{"truncated"});
}

TEST_F(VerifyTest, OnlyTheRightKeysCount) {
  EXPECT_EQ(
      Codes(VerifyLog(log_, {.log_key = TestSigner("example.org/log", NoteKeyType::kEd25519, 9).verifier()}).value()),
      CodeSet{"signature"});
  const NoteSigner stranger = TestSigner("witness.example/w", NoteKeyType::kCosignatureV1, 6);
  EXPECT_EQ(Codes(VerifyLog(log_, {.log_key = signer_.verifier(), .witnesses = {stranger.verifier()}}).value()),
            CodeSet{"witness"});
}

TEST_F(VerifyTest, LossesThatTheLogAdmitsAreProblems) {
  std::vector<std::string> entries = Entries();
  Record gap = Record::Parse(entries.back()).value();
  ASSERT_NE(gap.body.find("writer_closed"), std::string::npos);
  gap.body.replace(gap.body.find("clean"), 5, "damaged");
  entries.back() = gap.ToJson();
  Rewrite(entries, false);
  EXPECT_EQ(Codes(VerifyLog(log_, {.log_key = signer_.verifier()}).value()), CodeSet{"journal"});
}

TEST_F(VerifyTest, ProblemsAreBounded) {
  std::vector<std::string> entries(50, "no record");
  Rewrite(entries, false);
  const VerifyReport report = VerifyLog(log_, {.log_key = signer_.verifier(), .max_problems = 10}).value();
  EXPECT_EQ(report.problems.size(), 10u);
  EXPECT_EQ(report.problems_total, 50u);
}

TEST_F(VerifyTest, KeyFiles) {
  const std::string keys =
      "# our witnesses\n" + signer_.verifier().ToString() + "\n\n" + witness_.verifier().ToString() + "\n";
  EXPECT_EQ(ParseKeyFile(keys)->keys.size(), 2u);
  const KeyFile both = ParseKeyFile(keys + "\n" + seen_ + seen_).value();
  EXPECT_EQ(both.keys.size(), 2u);
  EXPECT_EQ(both.checkpoints, (std::vector<std::string>{seen_, seen_}));
  EXPECT_NE(ParseKeyFile(keys + "nonsense\n").error().message().find("line 5"), std::string::npos);
}

TEST_F(VerifyTest, ProofsStandAlone) {
  for (const uint64_t index : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, kRecords - 1}) {
    const std::string proof = Prove(log_, signer_.verifier(), index).value();
    const ProvenRecord proven = VerifyProof(proof, signer_.verifier(), {}, 0).value();
    EXPECT_EQ(proven.record.seq, index);
    EXPECT_EQ(proven.checkpoint.size, kRecords);
    EXPECT_EQ(VerifyProof(proof, signer_.verifier(), {witness_.verifier()}, 1).error().code(),
              ErrorCode::kPermissionDenied)
        << "the latest checkpoint is not cosigned yet";
    for (size_t i = 0; i < proof.size(); i += 3) {
      std::string bad = proof;
      bad[i] = bad[i] == 'A' ? 'B' : 'A';
      const Result<ProvenRecord> other = VerifyProof(bad, signer_.verifier(), {}, 0);
      EXPECT_FALSE(other.ok()) << i;
    }
  }
  EXPECT_EQ(Prove(log_, signer_.verifier(), kRecords).error().code(), ErrorCode::kOutOfRange);
  log_.Put(kCheckpointPath, ToBytes(seen_));
  const std::string proof = Prove(log_, signer_.verifier(), 7).value();
  EXPECT_EQ(VerifyProof(proof, signer_.verifier(), {witness_.verifier()}, 1)->witnesses,
            std::vector<std::string>{"witness.example/w"});
}

TEST_F(VerifyTest, RecordsAreReadWithProof) {
  EXPECT_EQ(ReadRecord(log_, signer_.verifier(), 17)->seq, 17u);
  EXPECT_EQ(ReadRecords(log_, signer_.verifier(), 600, 10)->size(), 3u);
  EXPECT_EQ(ReadRecord(log_, signer_.verifier(), kRecords).error().code(), ErrorCode::kOutOfRange);
  log_.Edit("tile/entries/000")[200] ^= 1;
  EXPECT_EQ(ReadRecord(log_, signer_.verifier(), 0).error().code(), ErrorCode::kDataLoss);
}

TEST_F(VerifyTest, AnExportVerifiesByItself) {
  const testing::TempFolder folder;
  DirectoryStorage copy = DirectoryStorage::Open(folder.path() + "/copy").value();
  ASSERT_TRUE(Export(log_, signer_.verifier(), copy).ok());
  EXPECT_EQ(Export(log_, signer_.verifier(), copy).error().code(), ErrorCode::kAlreadyExists);
  const DirectoryStorage read = DirectoryStorage::OpenReadOnly(folder.path() + "/copy").value();
  const KeyFile keys = ParseKeyFile(AsText(read.Read(kKeyPath, 1000).value())).value();
  const VerifyReport report =
      VerifyLog(read, {.log_key = keys.keys.at(0), .witnesses = {witness_.verifier()}, .seen = {seen_}}).value();
  EXPECT_EQ(ToJson(report), ToJson(VerifyWithSeen()));
}

}  // namespace
}  // namespace hexr::ledger
