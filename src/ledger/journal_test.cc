#include "ledger/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <semaphore>
#include <thread>

#include "base/limits/ledger.h"
#include "ledger/journal_reader.h"
#include "ledger/journal_writer.h"
#include "ledger/record_scan.h"
#include "ledger/testing/child.h"
#include "ledger/testing/events.h"
#include "ledger/testing/temp_folder.h"

namespace hexr::ledger {
namespace {

using testing::TestEvent;
using testing::TestInstance;
using testing::TestMaster;

class JournalTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_.path() + "/one.journal"; }
  NewJournal Create() { return Create(path()); }
  NewJournal Create(const std::string& at) {
    return CreateJournal(at, "gateway/acme", TestMaster(), clock_, random_).value();
  }
  std::unique_ptr<JournalWriter> Writer(SyncPolicy policy = SyncPolicy::kWritten) {
    NewJournal journal = Create();
    return JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), policy).value();
  }
  JournalReader Reader() { return JournalReader::Open(path(), TestMaster()).value(); }

  static std::string Slurp(const std::string& at) {
    std::ifstream in(at, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void Spit(const std::string& at, std::string_view bytes) {
    std::ofstream(at, std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  // The numbers of the records that can be read, and whether the end is whole.
  struct Seen {
    std::vector<uint64_t> numbers;
    bool damaged = false;
    bool ended = false;
  };
  Seen ReadAll() {
    Seen seen;
    Result<JournalReader> reader = JournalReader::Open(path(), TestMaster());
    if (!reader.ok()) return {.numbers = {}, .damaged = true, .ended = false};
    for (;;) {
      const Result<const JournalFrame*> frame = reader->Next();
      if (!frame.ok()) return seen.damaged = true, seen;
      if (*frame == nullptr) return seen;
      if ((*frame)->type == FrameType::kEnd) seen.ended = true;
      if ((*frame)->type != FrameType::kRecord) continue;
      seen.numbers.push_back(Number((*frame)->record));
    }
  }
  static uint64_t Number(std::string_view record) {
    const size_t at = record.find("\"number\":") + 9;
    return std::stoull(std::string(record.substr(at, record.find(',', at) - at)));
  }

  testing::TempFolder folder_;
  ManualClock clock_{testing::kTestTime};
  SeededRandom random_{11};
};

TEST_F(JournalTest, CarriesRecordsAndTexts) {
  auto writer = Writer();
  Event event = TestEvent(1, 7);
  event.body.Set("args", SaltedText("rm -rf /", random_));
  ASSERT_TRUE(writer->Append(event).ok());
  ASSERT_TRUE(writer->Append(TestEvent(1, 8)).ok());
  ASSERT_TRUE(writer->Append(TestEvent(2, 9)).ok());
  ASSERT_TRUE(writer->EndInstance(TestInstance(1)).ok());
  ASSERT_TRUE(writer->Close().ok());

  JournalReader reader = Reader();
  EXPECT_EQ(reader.header().label, "gateway/acme");
  const JournalFrame* frame = reader.Next().value();
  const RecordView first = ScanRecord(frame->record, SeqField::kAbsent).value();
  EXPECT_EQ(first.writer, reader.header().writer);
  EXPECT_EQ(first.instance_seq, 1u);
  ASSERT_EQ(frame->texts.size(), 1u);
  EXPECT_EQ(frame->texts[0].text, "rm -rf /");
  SaltedText::Salt salt;
  std::copy(frame->texts[0].salt.begin(), frame->texts[0].salt.end(), salt.begin());
  EXPECT_NE(first.body.find(HexEncode(SaltedText("rm -rf /", salt).digest())), std::string_view::npos);
  frame = reader.Next().value();
  EXPECT_EQ(ScanRecord(frame->record, SeqField::kAbsent)->instance_seq, 2u);
  frame = reader.Next().value();
  EXPECT_EQ(ScanRecord(frame->record, SeqField::kAbsent)->instance_seq, 1u) << "each instance counts for itself";
  frame = reader.Next().value();
  EXPECT_EQ(frame->type, FrameType::kInstanceEnded);
  EXPECT_EQ(frame->instance, TestInstance(1).value());
  EXPECT_EQ(frame->count, 2u);
  EXPECT_EQ(reader.Next().value()->type, FrameType::kEnd);
  EXPECT_EQ(reader.Next().value(), nullptr);
  // Nothing of it is readable on the disk.
  const std::string bytes = Slurp(path());
  for (const char* word : {"rm -rf", "example.org", "tools.call", "acme/"})
    EXPECT_EQ(bytes.find(word), std::string::npos) << word;
  EXPECT_FALSE(writer->Append(TestEvent(1, 10)).ok()) << "closed";
}

TEST_F(JournalTest, AReaderFollowsAndResumes) {
  auto writer = Writer();
  JournalReader reader = Reader();
  EXPECT_EQ(reader.Next().value(), nullptr);
  uint64_t next = 0;
  for (uint64_t number = 0; number < 300;) {
    for (uint64_t i = random_.Below(7); i > 0; --i) ASSERT_TRUE(writer->Append(TestEvent(1, number++)).ok());
    while (const JournalFrame* frame = reader.Next().value()) EXPECT_EQ(Number(frame->record), next++);
    EXPECT_EQ(next, number);
    if (random_.Below(3) == 0) reader = JournalReader::OpenAt(path(), TestMaster(), reader.position()).value();
  }
  EXPECT_FALSE(reader.WriterGone());
  EXPECT_EQ(reader.BytesBehind().value(), 0u);
  writer.reset();
  EXPECT_TRUE(reader.WriterGone());
  const JournalPosition at = reader.position();
  std::filesystem::resize_file(path(), at.offset - 1);
  EXPECT_EQ(JournalReader::OpenAt(path(), TestMaster(), at).error().code(), ErrorCode::kDataLoss)
      << "cut while nobody looked";
}

TEST_F(JournalTest, AReaderKeepsNothingOfABufferThatWasLent) {
  auto writer = Writer();
  JournalReader reader = Reader();
  Bytes buffer;
  for (unsigned i = 1; i <= 3; ++i) {
    ASSERT_TRUE(writer->Append(TestEvent(1, i)).ok());
    ASSERT_TRUE(writer->Append(TestEvent(1, i)).ok());
    {
      const JournalReader::Loan loan(reader, buffer);
      EXPECT_EQ(reader.Next().value()->counter, 2 * i - 1);  // the second has been read ahead by now
    }
    const uint8_t* const at = buffer.data();
    EXPECT_NE(at, nullptr);
    std::fill(buffer.begin(), buffer.end(), uint8_t{0});  // another's bytes
    const JournalReader::Loan loan(reader, buffer);
    EXPECT_EQ(reader.Next().value()->counter, 2 * i);
  }
}

TEST_F(JournalTest, LargeFramesAndLongFiles) {
  auto writer = Writer();
  for (uint64_t number = 0; number < 40; ++number) {
    Event event = TestEvent(1, number);
    event.body.Set("text", SaltedText(std::string(number * 20'000, 'x'), random_));
    ASSERT_TRUE(writer->Append(event).ok());
  }
  JournalReader reader = Reader();
  for (uint64_t number = 0; number < 40; ++number) {
    const JournalFrame* frame = reader.Next().value();
    ASSERT_NE(frame, nullptr);
    EXPECT_EQ(Number(frame->record), number);
    EXPECT_EQ(frame->texts.at(0).text.size(), number * 20'000);
  }
}

TEST_F(JournalTest, TextsOverTheLimitsLeaveTheirDigestAlone) {
  auto writer = Writer();
  Event event = TestEvent(1, 1);
  event.body.Set("huge", SaltedText(std::string(limits::kMaxStoredTextBytes + 1, 'x'), random_));
  for (const Code key : {Code("a"), Code("b"), Code("c"), Code("d"), Code("e")}) {
    event.body.Set(key, SaltedText(std::string(limits::kMaxStoredTextBytes, 'y'), random_));
  }
  ASSERT_TRUE(writer->Append(event).ok());
  JournalReader reader = Reader();
  const JournalFrame* frame = reader.Next().value();
  EXPECT_EQ(frame->texts.size(), limits::kMaxFrameTextBytes / limits::kMaxStoredTextBytes);
  EXPECT_NE(frame->record.find("\"huge\":{\"bytes\":1048577,"), std::string_view::npos);
}

TEST_F(JournalTest, BoundsAreRefused) {
  auto writer = Writer();
  Event event = TestEvent(1, 1);
  event.body.Set(
      "list", std::vector<PublicName>(limits::kMaxRecordBytes / 250, PublicName::Parse(std::string(256, 'n')).value()));
  EXPECT_EQ(writer->Append(event).error().code(), ErrorCode::kResourceExhausted);
  ASSERT_TRUE(writer->Append(TestEvent(1, 2)).ok()) << "the writer goes on";
  JournalReader reader = Reader();
  EXPECT_EQ(ScanRecord(reader.Next().value()->record, SeqField::kAbsent)->instance_seq, 1u)
      << "and counts no refused record";
  EXPECT_FALSE(CreateJournal(folder_.path() + "/x", std::string(256, 'l'), TestMaster(), clock_, random_).ok());
  EXPECT_FALSE(CreateJournal(path(), "gateway/acme", TestMaster(), clock_, random_).ok()) << "never over another";
}

TEST_F(JournalTest, InstancesAreBounded) {
  auto writer = Writer();
  for (unsigned i = 0; i < limits::kMaxJournalInstances; ++i) {
    Event event = TestEvent(1, i);
    event.instance = InstanceId::Make(i, "0123456789");
    ASSERT_TRUE(writer->Append(event).ok());
  }
  EXPECT_EQ(writer->Append(TestEvent(2, 0)).error().code(), ErrorCode::kResourceExhausted);
  ASSERT_TRUE(writer->EndInstance(InstanceId::Make(7, "0123456789")).ok());
  EXPECT_TRUE(writer->Append(TestEvent(2, 0)).ok());
  EXPECT_TRUE(writer->WantsRotation() == (std::filesystem::file_size(path()) >= limits::kRotateJournalBytes));
}

// INV-LEDGER-05: a frame that is changed, moved, repeated or taken out does not pass.
TEST_F(JournalTest, AFrameLargerThanAnyIsDamageAndNotWaitedFor) {
  auto writer = Writer();
  ASSERT_TRUE(writer->Append(TestEvent(1, 0)).ok());
  const std::string good = Slurp(path());
  const auto after = [&](uint32_t length) {
    std::string prefix;
    for (int shift = 24; shift >= 0; shift -= 8) prefix += static_cast<char>(length >> shift);
    Spit(path(), good + prefix + std::string(8, '\x7f'));
    JournalReader reader = Reader();
    EXPECT_TRUE(reader.Next().ok());
    return reader.Next().ok();
  };
  EXPECT_TRUE(after(limits::kMaxJournalFrameBytes - 4)) << "its rest may be on the way";
  EXPECT_FALSE(after(limits::kMaxJournalFrameBytes - 3));
}

TEST_F(JournalTest, EveryChangeInsideShows) {
  auto writer = Writer();
  std::vector<size_t> ends = {std::filesystem::file_size(path())};
  for (uint64_t number = 0; number < 5; ++number) {
    ASSERT_TRUE(writer->Append(TestEvent(1, number)).ok());
    ends.push_back(std::filesystem::file_size(path()));
  }
  ASSERT_TRUE(writer->Close().ok());
  const std::string good = Slurp(path());
  ASSERT_TRUE(ReadAll().ended);
  const auto frame = [&](size_t i) { return good.substr(ends[i], ends[i + 1] - ends[i]); };
  const std::string header = good.substr(0, ends[0]);
  const std::string rest = good.substr(ends[5]);

  for (size_t i = 0; i < good.size(); i += i < ends[1] ? 1 : 17) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    Spit(path(), bad);
    const Seen seen = ReadAll();
    EXPECT_FALSE(seen.ended) << "byte " << i;
    EXPECT_LE(seen.numbers.size(), 5u);
  }
  const std::vector<std::string> tampered = {
      header + frame(1) + frame(0) + frame(2) + frame(3) + frame(4) + rest,             // moved
      header + frame(0) + frame(0) + frame(1) + frame(2) + frame(3) + frame(4) + rest,  // repeated
      header + frame(0) + frame(2) + frame(3) + frame(4) + rest,                        // taken out
      header + frame(1) + frame(2) + frame(3) + frame(4) + rest,                        // the first taken out
      header + frame(0) + frame(1) + rest,                                              // cut before the end
      good + frame(4),                                                                  // added: never looked at
  };
  for (size_t i = 0; i < tampered.size(); ++i) {
    Spit(path(), tampered[i]);
    const Seen seen = ReadAll();
    if (i == 5)
      EXPECT_EQ(seen.numbers.size(), 5u);
    else
      EXPECT_TRUE(seen.damaged) << i;
  }
  // Another journal's frames do not fit either, under the same master key.
  const NewJournal other = Create(folder_.path() + "/two.journal");
  Spit(path(), Slurp(folder_.path() + "/two.journal") + good.substr(ends[0]));
  EXPECT_TRUE(ReadAll().damaged);
  // Cut at any byte: what was whole is read, no more.
  for (size_t n = ends[0]; n < good.size(); n += n < ends[1] + 20 ? 1 : 17) {
    Spit(path(), good.substr(0, n));
    const Seen seen = ReadAll();
    EXPECT_FALSE(seen.damaged);
    EXPECT_FALSE(seen.ended);
    const auto whole = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), n) - ends.begin()) - 1;
    EXPECT_EQ(seen.numbers.size(), whole) << n;
  }
  EXPECT_EQ(JournalReader::Open(path(), crypto::Secret::Copy(Bytes(32, 1)))->Next().error().code(),
            ErrorCode::kDataLoss);
}

// The last of a disk is the keeper's: a kill is still recorded when no call is allowed any more.
TEST_F(JournalTest, SpaceIsKeptBackFromRecordsButNotFromTheEnd) {
  std::atomic<uint64_t> free = limits::kDiskKeptBack + 1;
  std::atomic<uint64_t> total = 1'000 * limits::kDiskKeptBack;
  NewJournal journal = Create();
  const auto writer =
      JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kDurable, [&](int) {
        return DiskSpace{.free = free, .total = total};
      }).value();
  ASSERT_TRUE(writer->Append(TestEvent(1, 0)).ok());
  free = limits::kDiskKeptBack;
  (void)writer->Append(TestEvent(1, 1));  // the sync of this one sees it
  const Seen before = ReadAll();
  EXPECT_EQ(writer->Append(TestEvent(1, 2)).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(ReadAll().numbers, before.numbers);
  EXPECT_FALSE(writer->WantsRotation()) << "another journal would not help";
  ASSERT_TRUE(writer->EndInstance(TestInstance(1)).ok());
  free = limits::kDiskKeptBack + 1;
  EXPECT_TRUE(writer->Append(TestEvent(1, 3)).ok()) << "space again";
  // A small disk keeps back a part of itself.
  total = limits::kDiskKeptBackPart * 1000;
  free = 1001;
  EXPECT_TRUE(writer->Append(TestEvent(1, 4)).ok());
  free = 1000;
  (void)writer->Append(TestEvent(1, 5));
  EXPECT_FALSE(writer->Append(TestEvent(1, 6)).ok());
  EXPECT_TRUE(writer->Close().ok());
  const Result<DiskSpace> here = DiskSpaceOf(Create(folder_.path() + "/two.journal").fd.get());
  ASSERT_TRUE(here.ok());
  EXPECT_GT(here->total, here->free / 2);
}

// A limit on the file's size gives real short writes: the write that crosses it is cut, later ones fail.
TEST_F(JournalTest, ACutWriteIsTakenBackAndSpaceIsWaitedFor) {
  testing::Child child("cut", path());
  const int acknowledged = child.Wait();
  ASSERT_GE(acknowledged, 20);
  const Seen seen = ReadAll();
  EXPECT_FALSE(seen.damaged);
  EXPECT_TRUE(seen.ended);
  ASSERT_EQ(seen.numbers.size(), static_cast<size_t>(acknowledged));
  EXPECT_LT(seen.numbers.size(), 40u) << "some were refused";
  for (size_t i = 0; i < seen.numbers.size(); ++i) EXPECT_EQ(seen.numbers[i], i);
}

TEST_F(JournalTest, AFullDeviceIsAnError) {
  NewJournal journal = Create();
  auto writer = JournalWriter::Open(runtime::UniqueFd(::open("/dev/full", O_WRONLY | O_APPEND)),
                                    std::move(journal.ticket), SyncPolicy::kWritten)
                    .value();
  const Status s = writer->Append(TestEvent(1, 0));
  EXPECT_EQ(s.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_NE(s.error().message().find("No space left"), std::string::npos) << s.error().message();
}

TEST_F(JournalTest, AFailedSyncBreaksTheJournalAndRotationHeals) {
  // A pipe takes writes and cannot be synced.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const runtime::UniqueFd out(ends[0]);
  NewJournal journal = Create();
  auto writer =
      JournalWriter::Open(runtime::UniqueFd(ends[1]), std::move(journal.ticket), SyncPolicy::kDurable).value();
  EXPECT_EQ(writer->Append(TestEvent(1, 0)).error().code(), ErrorCode::kUnavailable) << "not acknowledged";
  EXPECT_EQ(writer->Append(TestEvent(1, 1)).error().code(), ErrorCode::kUnavailable) << "and no later one is";
  EXPECT_TRUE(writer->WantsRotation());
  NewJournal next = Create(folder_.path() + "/next.journal");
  (void)writer->Rotate(std::move(next.fd), std::move(next.ticket));
  EXPECT_FALSE(writer->WantsRotation());
  EXPECT_TRUE(writer->Append(TestEvent(1, 2)).ok());
}

// Somebody else's hand on a live journal, and the keeper's own when it gives one up: nothing more is acknowledged.
TEST_F(JournalTest, AWriterStopsWhenItsFileIsNotItsOwnAnyMore) {
  const auto broken = [&](auto change) {
    std::filesystem::remove(path());
    auto writer = Writer();
    ASSERT_TRUE(writer->Append(TestEvent(1, 0)).ok());
    change();
    EXPECT_EQ(writer->Append(TestEvent(1, 1)).error().code(), ErrorCode::kUnavailable);
    EXPECT_TRUE(writer->WantsRotation());
    EXPECT_FALSE(writer->EndInstance(TestInstance(1)).ok());
    EXPECT_FALSE(writer->Close().ok());
  };
  broken([&] { std::filesystem::resize_file(path(), std::filesystem::file_size(path()) - 1); });
  broken([&] { std::ofstream(path(), std::ios::app | std::ios::binary) << "more"; });
  broken([&] { std::filesystem::remove(path()); });
  broken([&] { ASSERT_EQ(::chmod(path().c_str(), kRevokedMode), 0); });
}

TEST_F(JournalTest, DurableAppendsShareSyncsAndKeepOrder) {
  auto writer = Writer(SyncPolicy::kDurable);
  std::vector<std::thread> threads;
  std::atomic<int> acknowledged = 0;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 25; ++i) {
        if (writer->Append(TestEvent(t, i)).ok()) ++acknowledged;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(acknowledged, 100);
  JournalReader reader = Reader();
  std::map<std::string, uint64_t> counts;
  for (int i = 0; i < 100; ++i) {
    const RecordView view = ScanRecord(reader.Next().value()->record, SeqField::kAbsent).value();
    EXPECT_EQ(view.instance_seq, ++counts[std::string(view.instance)]);
  }
}

// `ledger.sync: written`: nobody asks for the sync, and it comes after each record, over what is written by then.
TEST_F(JournalTest, WhatIsWrittenIsSyncedUnasked) {
  std::atomic<uint64_t> covered = 0;
  std::counting_semaphore<> syncs{0};
  NewJournal journal = Create();
  auto writer =
      JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten, {}, [&](int fd) {
        struct stat info {};
        if (::fstat(fd, &info) != 0) return -1;
        covered = static_cast<uint64_t>(info.st_size);
        syncs.release();
        return ::fdatasync(fd);
      }).value();
  for (uint64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(writer->Append(TestEvent(1, i)).ok());
    const uint64_t written = std::filesystem::file_size(path());
    while (covered < written) {
      // Only a sync that never comes takes as long.
      ASSERT_TRUE(syncs.try_acquire_for(std::chrono::seconds(30))) << "record " << i << " is not synced";
    }
  }
  EXPECT_LE(JournalWriter::kSyncDelay, std::chrono::milliseconds(25)) << "as much again is the disk's, of the 50 ms";
}

TEST_F(JournalTest, RotationMovesOnWithoutLoss) {
  auto writer = Writer();
  ASSERT_TRUE(writer->Append(TestEvent(1, 0)).ok());
  NewJournal next = Create(folder_.path() + "/next.journal");
  const std::string name = next.ticket.writer;
  ASSERT_TRUE(writer->Rotate(std::move(next.fd), std::move(next.ticket)).ok());
  ASSERT_TRUE(writer->Append(TestEvent(1, 1)).ok());
  EXPECT_TRUE(ReadAll().ended);
  JournalReader reader = JournalReader::Open(folder_.path() + "/next.journal", TestMaster()).value();
  const RecordView view = ScanRecord(reader.Next().value()->record, SeqField::kAbsent).value();
  EXPECT_EQ(view.writer, name);
  EXPECT_EQ(view.instance_seq, 1u);
  EXPECT_FALSE(reader.WriterGone());
  ASSERT_TRUE(writer->Close().ok());  // the old one is closed by then
  EXPECT_TRUE(Reader().WriterGone());
}

// A disk that hangs holds up whoever waits for it, and nobody else.
TEST_F(JournalTest, ASlowDiskHoldsUpNoCaller) {
  std::binary_semaphore disk{0};
  std::atomic<int> syncs = 0;
  NewJournal journal = Create();
  auto writer =
      JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kDurable, {}, [&](int fd) {
        if (++syncs == 1) disk.acquire();
        return ::fdatasync(fd);
      }).value();
  std::atomic<int> acknowledged = 0;
  const auto append = [&](uint64_t n) {
    writer->Append(TestEvent(1, n), [&](const Status& s) { acknowledged += s.ok() ? 1 : 100; });
  };
  append(0);
  while (syncs == 0) std::this_thread::yield();
  append(1);
  NewJournal next = Create(folder_.path() + "/next.journal");
  EXPECT_TRUE(writer->Rotate(std::move(next.fd), std::move(next.ticket)).ok()) << "returns while the disk hangs";
  append(2);
  EXPECT_EQ(acknowledged, 0);
  disk.release();
  EXPECT_TRUE(writer->Close().ok());
  EXPECT_EQ(acknowledged, 3);
  EXPECT_EQ(ReadAll().numbers.size(), 2u);
}

// INV-LEDGER-06: a process that is killed at any moment has lost nothing that it acknowledged.
TEST_F(JournalTest, AKilledWriterLosesNothingAcknowledged) {
  for (int round = 0; round < 12; ++round) {
    const std::string file = folder_.path() + "/kill" + std::to_string(round);
    testing::Child child("write", file);
    uint64_t last = 0;
    for (uint64_t i = 0; i < 50 + random_.Below(2000); ++i) ASSERT_TRUE(child.Read(last));
    child.Kill();
    for (uint64_t more = 0; child.Read(more);) last = more;
    JournalReader reader = JournalReader::Open(file, TestMaster()).value();
    EXPECT_TRUE(reader.WriterGone());
    uint64_t next = 0;
    while (const JournalFrame* frame = reader.Next().value()) ASSERT_EQ(Number(frame->record), next++);
    EXPECT_GT(next, last);
  }
}

}  // namespace
}  // namespace hexr::ledger
