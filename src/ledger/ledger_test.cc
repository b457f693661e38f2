#include "ledger/ledger.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "ledger/journal_writer.h"
#include "ledger/prove.h"
#include "ledger/sealed_text_store.h"
#include "ledger/testing/events.h"
#include "ledger/testing/temp_folder.h"
#include "ledger/verify.h"

namespace hexr::ledger {
namespace {

using testing::TestEvent;
using testing::TestInstance;

class LedgerTest : public ::testing::Test {
 protected:
  Ledger Open() {
    LedgerOptions options{
        .root = folder_.path() + "/ledger", .trust_domain = TrustDomain::Parse("example.org").value(), .node = "node1"};
    return Ledger::Open(std::move(options), testing::TestMaster(), clock_, random_).value();
  }
  // Every byte of every file of the ledger.
  std::string Disk() const {
    std::string all;
    for (const auto& file : std::filesystem::recursive_directory_iterator(folder_.path())) {
      if (!file.is_regular_file()) continue;
      std::ifstream in(file.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(in), {});
    }
    return all;
  }

  testing::TempFolder folder_;
  ManualClock clock_{testing::kTestTime};
  SeededRandom random_{41};
};

TEST_F(LedgerTest, EachTenantHasItsOwnLogKeyAndTexts) {
  std::string acme_key;
  {
    Ledger ledger = Open();
    TenantLedger* acme = ledger.Of(IdSegment::Parse("acme").value()).value();
    TenantLedger* other = ledger.Of(IdSegment::Parse("node").value()).value();
    TenantLedger* node = ledger.Of(std::nullopt).value();
    EXPECT_EQ(acme->key().name(), "example.org/ledger/node1/acme");
    EXPECT_EQ(other->key().name(), "example.org/ledger/node1/node");
    EXPECT_EQ(node->key().name(), "example.org/ledger/node1");
    acme_key = acme->key().ToString();
    NewJournal journal = acme->sequencer().OpenJournal("gateway/acme").value();
    auto writer = JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
    ASSERT_TRUE(writer->Append(TestEvent(1, 1)).ok());
    EXPECT_EQ(ledger.Poll().progress.records, 1u);
    ASSERT_TRUE(ledger.Flush().ok());
    EXPECT_EQ(ledger.Of(IdSegment::Parse("acme").value()).value(), acme);
  }
  Ledger ledger = Open();
  TenantLedger* acme = ledger.Of(IdSegment::Parse("acme").value()).value();
  EXPECT_EQ(acme->key().ToString(), acme_key);
  ASSERT_TRUE(ledger.Flush().ok());
  const DirectoryStorage log =
      DirectoryStorage::OpenReadOnly(Ledger::LogFolder(folder_.path() + "/ledger", "acme")).value();
  const VerifyReport report = VerifyLog(log, {.log_key = acme->key()}).value();
  EXPECT_EQ(report.problems_total, 0u) << ToJson(report);
  EXPECT_EQ(report.records, 5u);  // started, opened, the record, started again, closed: its writer is gone
}

// A journal of acme and one of other.
static std::vector<std::unique_ptr<JournalWriter>> TwoWriters(Ledger& ledger) {
  std::vector<std::unique_ptr<JournalWriter>> writers;
  for (const char* tenant : {"acme", "other"}) {
    NewJournal journal =
        ledger.Of(IdSegment::Parse(tenant).value()).value()->sequencer().OpenJournal("gateway/x").value();
    writers.push_back(
        JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value());
  }
  return writers;
}

// A node may have many tenants: what one writes is no work for the others.
TEST_F(LedgerTest, OnlyLogsThatChangedOrAreDueAreLookedAt) {
  Ledger ledger = Open();
  const auto writers = TwoWriters(ledger);
  ledger.Poll();
  for (const auto& writer : writers) ASSERT_TRUE(writer->Append(TestEvent(1, 1)).ok());
  EXPECT_EQ(ledger.Poll({"acme"}).progress.records, 1u);
  const Ledger::Turn nothing = ledger.Poll(std::set<std::string>{});
  EXPECT_EQ(nothing.progress.records, 0u);
  ASSERT_TRUE(nothing.progress.due.has_value()) << "of the logs that were not looked at";
  clock_.Advance(*nothing.progress.due - clock_.Mono());
  const Ledger::Turn due = ledger.Poll(std::set<std::string>{});
  EXPECT_TRUE(due.progress.committed);
  EXPECT_EQ(due.progress.records, 1u) << "whose turn it is is read as well";
  // One checkpoint a turn: what is written meanwhile is read before the next one.
  EXPECT_EQ(due.committed.size(), 1u);
  ASSERT_TRUE(due.progress.due && *due.progress.due <= clock_.Mono());
  ASSERT_TRUE(writers[0]->Append(TestEvent(1, 2)).ok());
  const Ledger::Turn next = ledger.Poll({"acme"});
  EXPECT_EQ(next.progress.records, 1u);
  EXPECT_EQ(next.committed.size(), 1u);
  EXPECT_EQ(ledger.Poll(std::set<std::string>{}).committed.size(), 1u);  // acme's, other's and the node's are all there
  EXPECT_FALSE(ledger.Poll(std::set<std::string>{}).progress.due.has_value());
}

// A log whose disk gives way is tried again, and is nobody else's trouble.
TEST_F(LedgerTest, ALogThatCannotBeCommittedKeepsNobodyWaiting) {
  Ledger ledger = Open();
  for (const char* tenant : {"acme", "other"}) ASSERT_TRUE(ledger.Of(IdSegment::Parse(tenant).value()).ok());
  ASSERT_TRUE(ledger.Flush().ok());
  const auto writers = TwoWriters(ledger);
  const std::string state = folder_.path() + "/ledger/journals/tenants/acme/state";
  std::filesystem::remove(state);
  std::filesystem::create_directory(state);  // no file can take its place
  ledger.Poll({"acme", "other"});
  clock_.Advance(std::chrono::seconds(1));
  Ledger::Turn turn = ledger.Poll(std::set<std::string>{});
  EXPECT_FALSE(turn.status.ok());
  EXPECT_EQ(turn.committed, std::vector<std::string>{"other"});
  ASSERT_TRUE(turn.progress.due.has_value());
  EXPECT_GT(*turn.progress.due, clock_.Mono()) << "not at once";
  EXPECT_TRUE(ledger.Poll(std::set<std::string>{}).status.ok());
  ASSERT_TRUE(writers[0]->Append(TestEvent(1, 1)).ok());
  EXPECT_EQ(ledger.Poll({"acme"}).progress.records, 0u) << "what follows waits for the commit";
  std::filesystem::remove(state);
  clock_.Advance(*turn.progress.due - clock_.Mono());
  turn = ledger.Poll(std::set<std::string>{});
  EXPECT_TRUE(turn.status.ok());
  EXPECT_EQ(turn.committed, std::vector<std::string>{"acme"});
  EXPECT_TRUE(turn.progress.more);
  EXPECT_EQ(ledger.Poll(std::set<std::string>{}).progress.records, 1u);
}

// The pages of texts are not read at start; a damaged one is found with the text that is on it.
TEST_F(LedgerTest, ADamagedTextIsFoundWhenItIsRead) {
  std::vector<SaltedText> texts;
  for (unsigned i = 0; i < 200; ++i) texts.emplace_back(std::string(500, 'x') + std::to_string(i), random_);
  {
    Ledger ledger = Open();
    std::vector<StoredText> stored;
    for (const SaltedText& t : texts)
      stored.push_back(
          {.digest = t.digest(), .salt = t.salt(), .text = t.text(), .time = testing::kTestTime, .instance = ""});
    ASSERT_TRUE(ledger.Of(IdSegment::Parse("acme").value()).value()->texts().Put(stored).ok());
  }
  const std::string path = folder_.path() + "/ledger/texts/tenants/acme.db";
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(10 * 4096);
  file << std::string(4096, '\xff');
  file.close();
  Ledger ledger = Open();
  const auto acme = ledger.Of(IdSegment::Parse("acme").value());
  ASSERT_TRUE(acme.ok()) << acme.error().ToString();
  size_t whole = 0;
  for (const SaltedText& t : texts) {
    const auto got = (*acme)->texts().Get(t.digest());
    if (got.ok()) {
      EXPECT_EQ(got->text, t.text());
    }
    whole += got.ok();
  }
  EXPECT_GT(whole, 0u);
  EXPECT_LT(whole, texts.size());
}

TEST_F(LedgerTest, ADestroyedTenantLeavesALogThatVerifiesAndNothingElse) {
  const IdSegment acme = IdSegment::Parse("acme").value();
  const std::string texts = folder_.path() + "/ledger/texts/tenants/acme.db", copy = folder_.path() + "/copy.db";
  const auto open = [&](const char* secret) {
    LedgerOptions options{
        .root = folder_.path() + "/ledger", .trust_domain = TrustDomain::Parse("example.org").value(), .node = "node1"};
    options.text_secret = [secret](const IdSegment&) -> Result<crypto::Secret> {
      return crypto::Secret::Copy(AsBytes(std::string_view(secret)));
    };
    return Ledger::Open(std::move(options), testing::TestMaster(), clock_, random_).value();
  };
  std::string key;
  const SaltedText text("a prompt that is nobody's business", random_);
  {
    Ledger ledger = open("one");
    TenantLedger* log = ledger.Of(acme).value();
    key = log->key().ToString();
    NewJournal journal = log->sequencer().OpenJournal("gateway/acme").value();
    auto writer = JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
    Event event = TestEvent(1, 1);
    event.body.Set("text", text);
    ASSERT_TRUE(writer->Append(event).ok());
    ASSERT_TRUE(ledger.Flush().ok());
  }
  std::filesystem::copy_file(texts, copy);  // somebody keeps a copy of the sealed texts
  {
    Ledger ledger = open("one");
    TenantLedger* log = ledger.Of(acme).value();
    ASSERT_TRUE(log->texts().Get(text.digest()).ok());
    NewJournal journal = log->sequencer().OpenJournal("gateway/acme").value();
    auto writer = JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
    ASSERT_TRUE(writer->Append(TestEvent(2, 1)).ok());  // only in the journal when the end comes
    ASSERT_TRUE(writer->Close().ok());
    ASSERT_TRUE(ledger.Destroy(acme).ok());
    EXPECT_TRUE(ledger.Destroy(acme).ok()) << "again is no mistake";
  }
  EXPECT_FALSE(std::filesystem::exists(texts));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/ledger/journals/tenants/acme"));
  const auto records = [&] {
    const DirectoryStorage files =
        DirectoryStorage::OpenReadOnly(Ledger::LogFolder(folder_.path() + "/ledger", "acme")).value();
    const VerifyReport report = VerifyLog(files, {.log_key = VerifierKey::Parse(key).value()}).value();
    EXPECT_EQ(report.problems_total, 0u) << ToJson(report);
    return report.records;
  };
  const uint64_t before = records();
  EXPECT_GE(before, 8u);  // twice started, opened, closed; two records

  // A tenant of that name, later: its log goes on, and the copy does not open under its key.
  std::filesystem::copy_file(copy, texts);
  {
    Ledger ledger = open("two");
    const auto stolen = ledger.Of(acme).value()->texts().Get(text.digest());
    ASSERT_FALSE(stolen.ok());
    EXPECT_NE(stolen.error().code(), ErrorCode::kNotFound) << "the row is there, and does not open";
    ASSERT_TRUE(ledger.Flush().ok());
  }
  EXPECT_GT(records(), before);
}

// INV-LEDGER-10: an erased text is gone from the disk, and the log that commits to it stays valid.
TEST_F(LedgerTest, TextsAreSealedAndErasable) {
  Ledger ledger = Open();
  TenantLedger* acme = ledger.Of(IdSegment::Parse("acme").value()).value();
  NewJournal journal = acme->sequencer().OpenJournal("gateway/acme").value();
  auto writer = JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
  std::vector<SaltedText> texts;
  for (unsigned i = 0; i < 4; ++i) {
    texts.emplace_back("the patient's name is Ada " + std::to_string(i), random_);
    Event event = TestEvent(i % 2, i);
    event.time = testing::kTestTime + std::chrono::hours(i);
    event.body.Set("prompt", texts.back());
    ASSERT_TRUE(writer->Append(event).ok());
  }
  ASSERT_TRUE(ledger.Flush().ok());
  EXPECT_EQ(Disk().find("Ada"), std::string::npos) << "nothing is readable on the disk";
  EXPECT_EQ(acme->texts().Get(texts[0].digest())->text, texts[0].text());
  EXPECT_EQ(acme->texts().Get(texts[3].digest())->instance, TestInstance(1).value());

  EXPECT_EQ(acme->texts().Erase(texts[0].digest()).value(), 1u);
  EXPECT_EQ(acme->texts().Get(texts[0].digest()).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(acme->texts().Erase(texts[0].digest()).value(), 0u);
  EXPECT_EQ(acme->texts().EraseInstance(TestInstance(1)).value(), 2u);
  EXPECT_EQ(acme->texts().EraseBefore(testing::kTestTime + std::chrono::hours(2)).value(), 0u);
  EXPECT_EQ(acme->texts().EraseBefore(testing::kTestTime + std::chrono::hours(3)).value(), 1u);
  const DirectoryStorage log =
      DirectoryStorage::OpenReadOnly(Ledger::LogFolder(folder_.path() + "/ledger", "acme")).value();
  EXPECT_EQ(VerifyLog(log, {.log_key = acme->key()})->problems_total, 0u);
}

TEST_F(LedgerTest, ATextOpensForItsTenantAndDigestOnly) {
  const std::string path = folder_.path() + "/texts.db";
  const auto key = [] { return crypto::AeadKey::FromSecret(testing::TestMaster()).value(); };
  const SaltedText text("secret", random_);
  const StoredText stored{
      .digest = text.digest(), .salt = text.salt(), .text = text.text(), .time = testing::kTestTime, .instance = ""};
  {
    SealedTextStore store = SealedTextStore::Open({.path = path, .max_pages = {}}, "acme", key(), random_).value();
    ASSERT_TRUE(store.Put({stored, stored}).ok());
    ASSERT_TRUE(store.Put({stored}).ok()) << "the same again, after a restart";
    EXPECT_EQ(store.Get(text.digest())->text, "secret");
    StoredText lie = stored;
    lie.text = "another";
    lie.digest = SaltedText("third", random_).digest();
    ASSERT_TRUE(store.Put({lie}).ok());
    EXPECT_EQ(store.Get(lie.digest).error().code(), ErrorCode::kDataLoss) << "not what its digest says";
  }
  // The sealed bytes themselves leave the disk with their rows: each begins with the key's id.
  const std::string sealed(AsText(key().key_id()));
  ASSERT_NE(Disk().find(sealed), std::string::npos);
  {
    SealedTextStore store = SealedTextStore::Open({.path = path, .max_pages = {}}, "acme", key(), random_).value();
    ASSERT_EQ(store.EraseBefore(testing::kTestTime + std::chrono::hours(1)).value(), 2u);
    EXPECT_EQ(Disk().find(sealed), std::string::npos);
    ASSERT_TRUE(store.Put({stored}).ok());
  }
  SealedTextStore other = SealedTextStore::Open({.path = path, .max_pages = {}}, "evil", key(), random_).value();
  EXPECT_EQ(other.Get(text.digest()).error().code(), ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace hexr::ledger
