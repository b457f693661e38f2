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
#include "ledger/testing/temp_folder.h"
#include "wire/json.h"

namespace hexr::ledger {
namespace {

using testing::MemoryStorage;
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
  EXPECT_TRUE(sequencer->Poll()->committed);
  EXPECT_EQ(sequencer->Poll()->records, 904u);
}

TEST_F(SequencerTest, RestartsNeitherLoseNorRepeat) {
  uint64_t number = 0;
  std::vector<std::unique_ptr<JournalWriter>> writers;
  for (int life = 0; life < 12; ++life) {
    auto sequencer = Open();
    writers.push_back(Writer(*sequencer));
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
  EXPECT_EQ(sequencer->LostWriters(), std::vector<std::string>{last_writer_}) << "its writer lives and needs another";
  NewJournal next = sequencer->OpenJournal("gateway/acme").value();
  ASSERT_TRUE(writer->Rotate(std::move(next.fd), std::move(next.ticket)).ok());
  EXPECT_TRUE(sequencer->LostWriters().empty());
  ASSERT_TRUE(writer->Append(TestEvent(1, 3)).ok());
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Numbers(Records()), (std::vector<uint64_t>{1, 3}));
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
    writer = Writer(*sequencer);
    ASSERT_TRUE(writer->Append(TestEvent(1, 2)).ok());
    ASSERT_TRUE(sequencer->Flush().ok());
  }
  std::filesystem::resize_file(JournalPath(), 60);
  auto sequencer = Open();
  ASSERT_TRUE(sequencer->Flush().ok());
  EXPECT_EQ(Field(Records().back(), "how"), "cut");
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

// A frame by hand, as a writer with the right key and wrong intentions would make it.
TEST_F(SequencerTest, GapsReplaysAndNonsenseAreRecords) {
  auto sequencer = Open();
  NewJournal journal = sequencer->OpenJournal("gateway/acme").value();
  crypto::AeadStream stream = crypto::AeadStream::ForSealing(journal.ticket.key).value();
  Chain chain = journal.ticket.chain;
  uint64_t counter = 0;
  const auto write = [&](const Bytes& plaintext) {
    Bytes frame(plaintext.size() + kFrameOverheadBytes);
    const auto put = [&frame](size_t at, uint64_t v, size_t n) {
      for (size_t i = 0; i < n; ++i) frame[at + i] = static_cast<uint8_t>(v >> (8 * (n - 1 - i)));
    };
    put(0, frame.size() - 4, 4);
    put(4, ++counter, 8);
    Bytes aad(chain.begin(), chain.end());
    aad.insert(aad.end(), frame.begin(), frame.begin() + kFramePrefixBytes);
    stream.Seal(counter, aad, plaintext, std::span(frame).subspan(kFramePrefixBytes));
    std::copy(frame.end() - kChainBytes, frame.end(), chain.begin());
    ASSERT_EQ(::write(journal.fd.get(), frame.data(), frame.size()), static_cast<ssize_t>(frame.size()));
  };
  const auto record = [&](uint64_t number, uint64_t instance_seq) {
    std::string json;
    AppendUnsequenced(TestEvent(1, number), journal.ticket.writer, instance_seq, json);
    const std::string prefix = {1, 0, 0, static_cast<char>(json.size() >> 8), static_cast<char>(json.size())};
    return ToBytes(prefix + json);
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
