#include "ledger/sequencer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/limits/ledger.h"
#include "ledger/journal_writer.h"
#include "ledger/log_reader.h"
#include "ledger/testing/child.h"
#include "ledger/testing/events.h"
#include "ledger/testing/memory_storage.h"
#include "ledger/testing/memory_text_store.h"
#include "ledger/testing/raw_journal.h"
#include "ledger/testing/temp_folder.h"
#include "ledger/verify.h"
#include "wire/json.h"

namespace hexr::ledger {
namespace {

using testing::MemoryStorage;
using testing::RawJournal;
using testing::TestEvent;
using testing::TestInstance;
using testing::TestMaster;
using Fault = MemoryStorage::Fault;

class SequencerTest : public ::testing::Test {
 protected:
  SequencerOptions Options() {
    return {.tenant = IdSegment::Parse("acme").value(), .node = SpiffeId::Parse("spiffe://example.org").value()};
  }
  Result<std::unique_ptr<Sequencer>> TryOpen() {
    return Sequencer::Open(Options(), storage_, folder_.path(), TestMaster(), signer_, texts_, clock_, random_);
  }
  std::unique_ptr<Sequencer> Open() { return TryOpen().value(); }
  std::unique_ptr<JournalWriter> Writer(Sequencer& sequencer, std::string_view label = "gateway/acme") {
    NewJournal journal = sequencer.OpenJournal(label).value();
    last_writer_ = journal.ticket.writer;
    return JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
  }
  std::string JournalPath() const { return folder_.path() + "/" + last_writer_ + ".journal"; }

  std::vector<Record> Records() { return ReadRecords(storage_); }
  std::vector<Record> ReadRecords(const Storage& storage) {
    const uint64_t size = ReadCheckpoint(storage, signer_.verifier())->checkpoint().size;
    const LogReader reader(storage, size);
    std::vector<Record> records;
    for (uint64_t i = 0; i < size; ++i) {
      records.push_back(Record::Parse(reader.Entry(i).value()).value());
      EXPECT_EQ(records.back().seq, i);
    }
    return records;
  }
  // "event" of each record about the log, in order, without the sequencer's own starts.
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    for (const Record& record : Records()) {
      if (record.kind != RecordKind::kLog) continue;
      const std::string event = Field(record, "event");
      if (event != "sequencer_started") events.push_back(event);
    }
    return events;
  }
  static std::string Field(const Record& record, std::string_view key) {
    const std::string start = "\"" + std::string(key) + "\":";
    const size_t at = record.body.find(start);
    if (at == std::string::npos) return "";
    const size_t begin = at + start.size();
    std::string value = record.body.substr(begin, record.body.find_first_of(",}", begin) - begin);
    return value.front() == '"' ? value.substr(1, value.size() - 2) : value;
  }
  static std::vector<uint64_t> Numbers(const std::vector<Record>& records) {
    std::vector<uint64_t> numbers;
    for (const Record& record : records) {
      if (record.kind == RecordKind::kDecision) numbers.push_back(std::stoull(Field(record, "number")));
    }
    return numbers;
  }

  testing::TempFolder folder_;
  MemoryStorage storage_;
  testing::MemoryTextStore texts_;
  NoteSigner signer_ = testing::TestSigner("example.org/log");
  ManualClock clock_{testing::kTestTime};
  SeededRandom random_{21};
  std::string last_writer_;
};

TEST_F(SequencerTest, RecordsAndTextsReachTheirPlaces) {
  auto sequencer = Open();
  auto writer = Writer(*sequencer);
  Event event = TestEvent(1, 1);
  const SaltedText text("what is the password", random_);
  event.body.Set("prompt", text);
  ASSERT_TRUE(writer->Append(event).ok());
  ASSERT_TRUE(writer->Append(TestEvent(2, 2)).ok());
  ASSERT_TRUE(writer->EndInstance(TestInstance(2)).ok());
  ASSERT_TRUE(writer->Close().ok());
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(Events(), (std::vector<std::string>{"writer_opened", "instance_closed", "writer_closed"}));
  EXPECT_EQ(Field(Records().back(), "how"), "clean");
  EXPECT_EQ(texts_.Get(text.digest())->text, "what is the password");
  EXPECT_EQ(texts_.Get(text.digest())->instance, TestInstance(1).value());
  EXPECT_FALSE(std::filesystem::exists(JournalPath())) << "a journal that is in the log is removed";
}

// An operator or NTP sets the clock, back and far ahead: order and intervals do not hang on it.
TEST_F(SequencerTest, AClockThatIsSetChangesNoOrderAndNoInterval) {
  auto sequencer = Open();
  auto writer = Writer(*sequencer);
  ASSERT_TRUE(sequencer->Flush().ok());
  uint64_t number = 0;
  for (const std::chrono::nanoseconds step : {std::chrono::hours(0), std::chrono::hours(-5), std::chrono::hours(900)}) {
    clock_.StepWall(step);
    Event event = TestEvent(1, ++number);
    event.time = clock_.Wall();
    ASSERT_TRUE(writer->Append(event).ok());
    EXPECT_FALSE(sequencer->Poll()->committed);
    clock_.Advance(std::chrono::milliseconds(999));
    clock_.StepWall(-step);
    EXPECT_FALSE(sequencer->Poll()->committed);
    clock_.Advance(std::chrono::milliseconds(1));
    EXPECT_TRUE(sequencer->Poll()->committed);
  }
  clock_.StepWall(std::chrono::hours(-5));
  writer.reset();
  ASSERT_TRUE(sequencer->Flush().ok());
  sequencer.reset();
  ASSERT_TRUE(Open()->Flush().ok()) << "and it opens again";
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{1, 2, 3}));
  const VerifyReport report = VerifyLog(storage_, {.log_key = signer_.verifier()}).value();
  EXPECT_EQ(report.problems_total, 0u) << ToJson(report);
}

TEST_F(SequencerTest, CommitsByTimeAndByNumber) {
  auto sequencer = Open();
  auto writer = Writer(*sequencer);
  ASSERT_TRUE(sequencer->Flush().ok());
  ASSERT_TRUE(writer->Append(TestEvent(1, 1)).ok());
  EXPECT_FALSE(sequencer->Poll()->committed);
  EXPECT_FALSE(sequencer->Poll()->committed);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(sequencer->Poll()->committed);
  EXPECT_FALSE(sequencer->Poll()->committed) << "nothing new";
  for (uint64_t i = 0; i < 5000; ++i) ASSERT_TRUE(writer->Append(TestEvent(1, i)).ok());
  const auto cut = sequencer->Poll();
  EXPECT_TRUE(cut->committed);
  EXPECT_TRUE(cut->more) << "what is left can still be rewritten by its writer: it does not wait for a checkpoint";
  const auto rest = sequencer->Poll();
  EXPECT_EQ(rest->records, 904u);
  EXPECT_FALSE(rest->more);
  EXPECT_TRUE(rest->due);
}

TEST_F(SequencerTest, RestartsNeitherLoseNorRepeat) {
  uint64_t number = 0;
  std::vector<std::unique_ptr<JournalWriter>> writers;
  for (int life = 0; life < 12; ++life) {
    auto sequencer = Open();
    writers.push_back(Writer(*sequencer, "gateway/" + std::to_string(life)));
    for (int round = 0; round < 5; ++round) {
      for (auto& writer : writers) {
        if (!writer) continue;
        ASSERT_TRUE(writer->Append(TestEvent(static_cast<unsigned>(number % 5), number)).ok());
        ++number;
      }
      ASSERT_TRUE(sequencer->Poll().ok());
      clock_.Advance(std::chrono::milliseconds(400));
    }
    if (life % 3 == 1) writers[random_.Below(writers.size())].reset();  // a gateway dies
  }
  auto sequencer = Open();
  ASSERT_TRUE(sequencer->Flush().ok());
  std::vector<uint64_t> numbers = Numbers(Records());
  std::sort(numbers.begin(), numbers.end());
  ASSERT_EQ(numbers.size(), number);
  for (uint64_t i = 0; i < number; ++i) EXPECT_EQ(numbers[i], i);
}

// INV-LEDGER-07: every acknowledged record is in the log once, wherever the machine or the disk gave way.
TEST_F(SequencerTest, APowerCutAtEveryStepOfACommit) {
  for (uint64_t step = 0; step < 30; ++step) {
    storage_ = MemoryStorage();
    const std::string journals = folder_.path() + "/" + std::to_string(step);
    const auto open = [&] {
      return Sequencer::Open(Options(), storage_, journals, TestMaster(), signer_, texts_, clock_, random_).value();
    };
    std::unique_ptr<JournalWriter> writer;
    {
      auto sequencer = open();
      writer = Writer(*sequencer);
      for (uint64_t i = 0; i < 300; ++i) ASSERT_TRUE(writer->Append(TestEvent(1, i)).ok());
      ASSERT_TRUE(sequencer->Flush().ok());
      storage_.SetFault(Fault::kCrash, step);
      for (uint64_t i = 300; i < 600; ++i) ASSERT_TRUE(writer->Append(TestEvent(1, i)).ok());
      (void)sequencer->Flush();
      (void)sequencer->Flush();
    }
    storage_.PowerLoss(random_);
    auto sequencer = open();
    ASSERT_TRUE(sequencer->Flush().ok());
    const std::vector<uint64_t> numbers = Numbers(Records());
    ASSERT_EQ(numbers.size(), 600u) << step;
    for (uint64_t i = 0; i < 600; ++i) ASSERT_EQ(numbers[i], i) << step;
  }
}

// A commit that was reported as failed and is on disk all the same: nothing may be added to the log until it is
// through, a journal's opening neither, or the next start knows neither size.
TEST_F(SequencerTest, AHalfReportedCommitAndACrash) {
  for (uint64_t failing = 0; failing < 14; ++failing) {
    for (uint64_t crash = 0; crash < 14; ++crash) {
      storage_ = MemoryStorage();
      const std::string journals = folder_.path() + "/" + std::to_string(failing) + "-" + std::to_string(crash);
      const auto open = [&] {
        return Sequencer::Open(Options(), storage_, journals, TestMaster(), signer_, texts_, clock_, random_);
      };
      std::unique_ptr<JournalWriter> writer;
      {
        auto sequencer = open().value();
        writer = Writer(*sequencer);
        ASSERT_TRUE(writer->Append(TestEvent(1, 0)).ok());
        ASSERT_TRUE(sequencer->Flush().ok());
        ASSERT_TRUE(writer->Append(TestEvent(1, 1)).ok());
        storage_.SetFault(Fault::kFull, failing);
        const Status failed = sequencer->Flush();
        if (storage_.fault_happened() && !failed.ok()) {
          const bool in_commit = sequencer->log().pending() > 0;
          EXPECT_EQ(sequencer->OpenJournal("gateway/acme").ok(), !in_commit) << failing;
        }
        storage_.SetFault(Fault::kCrash, crash);
        (void)sequencer->OpenJournal("gateway/acme");
        (void)sequencer->Flush();
      }
      storage_.PowerLoss(random_);
      auto sequencer = open();
      ASSERT_TRUE(sequencer.ok()) << failing << " " << crash << " " << sequencer.error().ToString();
      ASSERT_TRUE((*sequencer)->Flush().ok());
      ASSERT_EQ(Numbers(Records()), (std::vector<uint64_t>{0, 1})) << failing << " " << crash;
    }
  }
}

TEST_F(SequencerTest, AFullDiskIsReportedAndLosesNothing) {
  auto sequencer = Open();
  auto writer = Writer(*sequencer);
  uint64_t number = 0;
  for (uint64_t step = 0; step < 15; ++step) {
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(writer->Append(TestEvent(1, number++)).ok());
    storage_.SetFault(Fault::kFull, step);
    const Status full = sequencer->Flush();
    if (storage_.fault_happened()) {
      EXPECT_EQ(full.error().code(), ErrorCode::kResourceExhausted);
    }
    storage_.SetFault(Fault::kNone);
  }
  texts_.full = true;
  Event event = TestEvent(1, number++);
  event.body.Set("text", SaltedText("kept", random_));
  ASSERT_TRUE(writer->Append(event).ok());
  EXPECT_EQ(sequencer->Flush().error().code(), ErrorCode::kResourceExhausted) << "no record without its text";
  texts_.full = false;
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Numbers(Records()).size(), number);
}

TEST_F(SequencerTest, AKilledKeeperLosesNothing) {
  const std::string folder = folder_.path() + "/kept";
  std::set<uint64_t> acknowledged;
  uint64_t number = 0;
  for (int life = 0; life < 10; ++life) {
    testing::Child child("keep", folder, std::to_string(number));
    for (uint64_t i = 0; i < 20 + random_.Below(600); ++i) {
      ASSERT_TRUE(child.Read(number));
      acknowledged.insert(number);
    }
    child.Kill();
    while (child.Read(number)) acknowledged.insert(number);
    number += 2;  // the one after may be in the journal without having been acknowledged
  }
  DirectoryStorage log = DirectoryStorage::Open(folder + "/log").value();
  auto sequencer =
      Sequencer::Open(Options(), log, folder + "/journals", TestMaster(), signer_, texts_, clock_, random_).value();
  ASSERT_TRUE(sequencer->Flush().ok());
  std::map<uint64_t, int> seen;
  for (const uint64_t n : Numbers(ReadRecords(log))) ++seen[n];
  for (const uint64_t n : acknowledged) EXPECT_EQ(seen[n], 1) << n;
  for (const auto& [n, times] : seen) EXPECT_EQ(times, 1) << n;
}

TEST_F(SequencerTest, ADeadWritersTornFrameIsNoRecord) {
  auto sequencer = Open();
  auto writer = Writer(*sequencer);
  ASSERT_TRUE(writer->Append(TestEvent(1, 1)).ok());
  ASSERT_TRUE(writer->Append(TestEvent(1, 2)).ok());
  writer.reset();
  std::filesystem::resize_file(JournalPath(), std::filesystem::file_size(JournalPath()) - 10);
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{1}));
  const Record last = Records().back();
  EXPECT_EQ(Field(last, "event"), "writer_closed");
  EXPECT_EQ(Field(last, "how"), "gone");
  EXPECT_GT(std::stoull(Field(last, "torn_bytes")), 0u);
}

TEST_F(SequencerTest, DamageIsARecordAndTheFileIsKept) {
  auto sequencer = Open();
  auto writer = Writer(*sequencer);
  ASSERT_TRUE(writer->Append(TestEvent(1, 1)).ok());
  const auto size = std::filesystem::file_size(JournalPath());
  ASSERT_TRUE(writer->Append(TestEvent(1, 2)).ok());
  std::fstream(JournalPath(), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(static_cast<std::streamoff>(size + 40))
      .put('!');
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Field(Records().back(), "how"), "damaged");
  // Its writer lives. What nobody reads must not be acknowledged.
  EXPECT_EQ(writer->Append(TestEvent(1, 3)).error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(writer->WantsRotation());
  NewJournal next = sequencer->OpenJournal("gateway/acme").value();
  EXPECT_FALSE(writer->Rotate(std::move(next.fd), std::move(next.ticket)).ok()) << "the old one's end stays open";
  ASSERT_TRUE(writer->Append(TestEvent(1, 4)).ok());
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{1, 4}));
  EXPECT_TRUE(std::filesystem::exists(JournalPath() + ".damaged"));
}

TEST_F(SequencerTest, AJournalThatWasTakenAwayOrCutIsARecord) {
  std::unique_ptr<JournalWriter> writer;
  {
    auto sequencer = Open();
    writer = Writer(*sequencer);
    ASSERT_TRUE(writer->Append(TestEvent(1, 1)).ok());
    ASSERT_TRUE(sequencer->Flush().ok());
  }
  std::filesystem::remove(JournalPath());
  {
    auto sequencer = Open();
    ASSERT_TRUE(sequencer->Flush().ok());
    EXPECT_EQ(Field(Records().back(), "how"), "missing");
    EXPECT_EQ(writer->Append(TestEvent(1, 5)).error().code(), ErrorCode::kUnavailable);
    writer = Writer(*sequencer);
    ASSERT_TRUE(writer->Append(TestEvent(1, 2)).ok());
    ASSERT_TRUE(sequencer->Flush().ok());
  }
  std::filesystem::resize_file(JournalPath(), 60);
  auto sequencer = Open();
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Field(Records().back(), "how"), "cut");
  EXPECT_EQ(writer->Append(TestEvent(1, 6)).error().code(), ErrorCode::kUnavailable);
}

// An error that says nothing about the journal itself neither ends it nor leaves it unread.
TEST_F(SequencerTest, AJournalThatCannotBeOpenedNowIsNotGivenUp) {
  auto writer = Writer(*Open());
  for (uint64_t number = 0; number < 2; ++number) {  // the second time its place is in the state
    ASSERT_TRUE(writer->Append(TestEvent(1, number)).ok());
    std::filesystem::rename(JournalPath(), JournalPath() + ".away");
    std::filesystem::create_symlink(JournalPath(), JournalPath());
    EXPECT_FALSE(TryOpen().ok()) << number;
    std::filesystem::rename(JournalPath() + ".away", JournalPath());
    ASSERT_TRUE(Open()->Flush().ok());
  }
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{0, 1}));
  EXPECT_TRUE(writer->Append(TestEvent(1, 2)).ok());
}

// What a gateway that has been taken over may try: it holds the key of its journal.
TEST_F(SequencerTest, AWriterSpeaksForItselfAndItsTenantOnly) {
  auto sequencer = Open();
  auto writer = Writer(*sequencer);
  Event other_tenant = TestEvent(1, 1);
  other_tenant.tenant = IdSegment::Parse("evil").value();
  Event other_agent = TestEvent(1, 2);
  other_agent.spiffe_id = SpiffeId::Parse("spiffe://example.org/agent/other/crew/researcher").value();
  Event about_log = TestEvent(1, 3, RecordKind::kLog);
  Event service = TestEvent(2, 4);
  service.spiffe_id = SpiffeId::Parse("spiffe://example.org/service/db").value();
  for (const Event& event : {other_tenant, other_agent, about_log, service}) ASSERT_TRUE(writer->Append(event).ok());
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{4}));
  std::vector<std::string> fields;
  for (const Record& record : Records()) {
    if (Field(record, "event") == "record_refused") fields.push_back(Field(record, "field"));
  }
  EXPECT_EQ(fields, (std::vector<std::string>{"tenant", "spiffe_id", "kind"}));
}

TEST_F(SequencerTest, ALabelRecordsWhatItHasAuthorityFor) {
  auto sequencer = Open();
  const std::vector<RecordKind> keepers = {RecordKind::kIdentity, RecordKind::kApproval, RecordKind::kKill,
                                           RecordKind::kPolicyChange, RecordKind::kConfiguration};
  const std::vector<RecordKind> gateways = {RecordKind::kDecision, RecordKind::kScan,    RecordKind::kExecution,
                                            RecordKind::kEgress,   RecordKind::kToolPin, RecordKind::kBudget,
                                            RecordKind::kFlow};
  const auto count = [&](RecordKind kind, const std::string& writer) {
    const auto records = Records();
    return std::count_if(records.begin(), records.end(),
                         [&](const Record& r) { return r.kind == kind && r.writer == writer; });
  };
  for (const char* label : {"keeper", "gateway/acme", "stranger"}) {
    auto writer = Writer(*sequencer, label);
    const std::string name = last_writer_;
    uint64_t number = 0;
    for (const auto* kinds : {&keepers, &gateways}) {
      for (const RecordKind kind : *kinds) ASSERT_TRUE(writer->Append(TestEvent(1, ++number, kind)).ok());
    }
    ASSERT_TRUE(writer->Append(TestEvent(1, ++number, RecordKind::kCredential)).ok());
    ASSERT_TRUE(sequencer->Flush().ok());
    const bool keeper = label == std::string_view("keeper");
    const bool gateway = label == std::string_view("gateway/acme");
    for (const RecordKind kind : keepers) EXPECT_EQ(count(kind, name), keeper) << label << RecordKindName(kind);
    for (const RecordKind kind : gateways) EXPECT_EQ(count(kind, name), gateway) << label << RecordKindName(kind);
    EXPECT_EQ(count(RecordKind::kCredential, name), keeper || gateway);
  }
}

// The cap that the honest writer keeps holds for the others too: every instance is a line of the state, which is
// written with each commit and has to be read at the next start.
TEST_F(SequencerTest, InventedInstancesEndTheirJournal) {
  auto sequencer = Open();
  RawJournal hostile(sequencer->OpenJournal("gateway/acme").value());
  auto honest = Writer(*sequencer);
  for (unsigned i = 0; i < 100'000; ++i) {
    Event event = TestEvent(1, i);
    event.instance = InstanceId::Make(i, "0123456789");
    hostile.Record(event, 1);
  }
  ASSERT_TRUE(honest->Append(TestEvent(1, 7, RecordKind::kFlow)).ok());
  ASSERT_TRUE(sequencer->Flush().ok());
  const std::vector<Record> records = Records();
  EXPECT_EQ(Numbers(records).size(), limits::kMaxJournalInstances);
  EXPECT_EQ(Field(records.back(), "how"), "malformed");
  EXPECT_EQ(Field(records[records.size() - 2], "field"), "instance");
  EXPECT_TRUE(std::any_of(records.begin(), records.end(), [](const Record& r) { return r.kind == RecordKind::kFlow; }));
  ASSERT_TRUE(honest->Append(TestEvent(1, 8, RecordKind::kFlow)).ok());
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_LT(std::filesystem::file_size(folder_.path() + "/state"), 4096u) << "nothing of them is left in the state";
  sequencer.reset();
  ASSERT_TRUE(TryOpen().ok());
}

TEST_F(SequencerTest, JournalsOfALabelAreBounded) {
  auto sequencer = Open();
  std::vector<NewJournal> journals;
  for (size_t i = 0; i < limits::kMaxJournalsPerLabel; ++i)
    journals.push_back(sequencer->OpenJournal("gateway/acme").value());
  EXPECT_EQ(sequencer->OpenJournal("gateway/acme").error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(sequencer->OpenJournal("keeper").ok()) << "others are not held up";
  journals.pop_back();
  EXPECT_EQ(sequencer->OpenJournal("gateway/acme").error().code(), ErrorCode::kResourceExhausted)
      << "asking again and again commits once a second, not each time";
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(sequencer->OpenJournal("gateway/acme").ok()) << "a writer is gone, and its journal is in the log";
}

TEST_F(SequencerTest, DamagedJournalsAreKeptAndBounded) {
  auto sequencer = Open();
  for (size_t i = 0; i < limits::kMaxJournalsAside; ++i) {
    Result<NewJournal> journal = sequencer->OpenJournal("gateway/acme");
    ASSERT_TRUE(journal.ok()) << journal.error().ToString();
    RawJournal(std::move(*journal)).Write(Bytes{99});
    ASSERT_TRUE(sequencer->Flush().ok());
  }
  EXPECT_EQ(sequencer->OpenJournal("gateway/acme").error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(sequencer->OpenJournal("keeper").ok());
}

// A record that fits, and does not once it has its number.
TEST_F(SequencerTest, ARecordHasRoomForItsNumber) {
  auto sequencer = Open();
  RawJournal raw(sequencer->OpenJournal("gateway/acme").value());
  const std::string base = raw.Json(TestEvent(1, 1), 1);
  const auto padded = [&](size_t size) {
    std::string json = base;
    json.insert(json.find("\"number\""), "\"n\":\"" + std::string(size - base.size() - 7, 'x') + "\",");
    EXPECT_EQ(json.size(), size);
    return json;
  };
  raw.Write(RawJournal::RecordFrame(padded(limits::kMaxRecordBytes)));
  raw.Write(RawJournal::RecordFrame(padded(limits::kMaxRecordBytes - kSeqFieldBytes + 1)));
  raw.Write(RawJournal::RecordFrame(padded(limits::kMaxRecordBytes - kSeqFieldBytes)));
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Events(), (std::vector<std::string>{"writer_opened", "record_refused", "record_refused"}));
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{1}));
  const VerifyReport report = VerifyLog(storage_, {.log_key = signer_.verifier()}).value();
  ASSERT_EQ(report.problems_total, 2u);
  for (const Problem& problem : report.problems) EXPECT_EQ(problem.code, "refused") << problem.message;
}

// What a writer with the right key and wrong intentions may write.
TEST_F(SequencerTest, GapsReplaysAndNonsenseAreRecords) {
  auto sequencer = Open();
  RawJournal raw(sequencer->OpenJournal("gateway/acme").value());
  const auto write = [&](const Bytes& plaintext) { raw.Write(plaintext); };
  const auto record = [&](uint64_t number, uint64_t instance_seq) {
    return RawJournal::RecordFrame(raw.Json(TestEvent(1, number), instance_seq));
  };
  write(record(1, 1));
  write(record(2, 4));  // 2 and 3 are missing
  write(record(3, 4));  // said twice
  Bytes nonsense = record(4, 5);
  nonsense[6] = ' ';
  write(nonsense);
  write({1, 0, 0, 0, 99});  // no frame of ours
  write(record(5, 6));
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Events(),
            (std::vector<std::string>{"writer_opened", "gap", "record_refused", "record_refused", "writer_closed"}));
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{1, 2}));
  for (const Record& r : Records()) {
    if (Field(r, "event") != "gap") continue;
    EXPECT_EQ(Field(r, "first_missing"), "2");
    EXPECT_EQ(Field(r, "last_missing"), "3");
    EXPECT_EQ(Field(r, "of"), TestInstance(1).value());
  }
  EXPECT_EQ(Field(Records().back(), "how"), "malformed");
}

// The last records of an instance leave no later number behind that would show that they are missing.
TEST_F(SequencerTest, WhatIsMissingAtTheEndOfAnInstanceIsAGapToo) {
  auto sequencer = Open();
  RawJournal raw(sequencer->OpenJournal("gateway/acme").value());
  const auto end = [&](unsigned instance, uint64_t count) {
    Bytes plaintext = {static_cast<uint8_t>(FrameType::kInstanceEnded)};
    AppendBig(plaintext, count);
    const std::string id = TestInstance(instance).value();
    plaintext.insert(plaintext.end(), id.begin(), id.end());
    raw.Write(plaintext);
  };
  raw.Record(TestEvent(1, 1), 1);
  end(1, 3);  // 2 and 3 are missing
  end(2, 1);  // all of it is
  raw.Record(TestEvent(3, 2), 1);
  end(3, 1);
  ASSERT_TRUE(sequencer->Flush().ok());
  std::vector<std::string> gaps;
  for (const Record& r : Records()) {
    if (Field(r, "event") == "gap")
      gaps.push_back(Field(r, "of") + " " + Field(r, "first_missing") + "-" + Field(r, "last_missing"));
  }
  EXPECT_EQ(gaps, (std::vector<std::string>{TestInstance(1).value() + " 2-3", TestInstance(2).value() + " 1-1"}));
}

// One that was named in its own journal only: a record says whose it is, and is believed about itself alone.
TEST_F(SequencerTest, AWriterGivesItsRecordsNoOthersName) {
  auto sequencer = Open();
  RawJournal mine(sequencer->OpenJournal("gateway/acme").value());
  const RawJournal other(sequencer->OpenJournal("gateway/acme").value());
  mine.Write(RawJournal::RecordFrame(other.Json(TestEvent(1, 1), 1)));
  mine.Record(TestEvent(1, 2), 1);
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{2}));
  size_t refused = 0;
  for (const Record& r : Records()) refused += Field(r, "event") == "record_refused" && Field(r, "field") == "writer";
  EXPECT_EQ(refused, 1u);
}

TEST_F(SequencerTest, LogStateAndJournalsBelongTogether) {
  {
    auto sequencer = Open();
    auto writer = Writer(*sequencer);
    ASSERT_TRUE(writer->Append(TestEvent(1, 1)).ok());
    ASSERT_TRUE(sequencer->Flush().ok());
  }
  const MemoryStorage log = storage_;
  {
    auto sequencer = Open();
    ASSERT_TRUE(sequencer->Flush().ok());
    auto writer = Writer(*sequencer);
    ASSERT_TRUE(sequencer->Flush().ok());
  }
  const MemoryStorage later = storage_;
  storage_ = log;
  EXPECT_EQ(TryOpen().error().code(), ErrorCode::kDataLoss) << "an old log under a newer state";
  storage_ = later;
  const std::string state = folder_.path() + "/state";
  std::filesystem::rename(state, state + ".away");
  EXPECT_EQ(TryOpen().error().code(), ErrorCode::kDataLoss) << "journals whose place nobody knows";
  std::filesystem::rename(state + ".away", state);
  std::fstream(state, std::ios::in | std::ios::out | std::ios::binary).seekp(50).put('!');
  EXPECT_EQ(TryOpen().error().code(), ErrorCode::kDataLoss) << "a state that was touched";
}

TEST_F(SequencerTest, PendingRecordsAreBounded) {
  auto sequencer = Open();
  auto writer = Writer(*sequencer);
  ASSERT_TRUE(sequencer->Flush().ok());
  const uint64_t n = limits::kMaxPendingRecords + 10000;
  for (uint64_t i = 0; i < n; ++i) ASSERT_TRUE(writer->Append(TestEvent(1, i)).ok());
  storage_.SetFault(Fault::kFull);
  for (int i = 0; i < 40; ++i) (void)sequencer->Poll();
  EXPECT_LE(sequencer->log().pending(), limits::kMaxPendingRecords);
  storage_.SetFault(Fault::kNone);
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(sequencer->log().committed().size, n + 2);
}

}  // namespace
}  // namespace hexr::ledger
