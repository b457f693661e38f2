#include "gateway/journal_sink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <semaphore>

#include "ledger/testing/temp_folder.h"

namespace hexr::gateway {
namespace {

using crypto::RevealToken;

runtime::Message Answer(ledger::NewJournal journal) {
  runtime::Message m;
  auto& j = *m.body.mutable_journal();
  j.set_key(std::string(AsText(journal.ticket.key.Reveal(RevealToken::For("journal key to its writer")))));
  j.set_writer(journal.ticket.writer);
  j.set_chain(std::string(journal.ticket.chain.begin(), journal.ticket.chain.end()));
  m.fds.push_back(std::move(journal.fd));
  return m;
}

TEST(JournalSink, WritesToTheJournalThatTheKeeperOpened) {
  const ledger::testing::TempFolder folder;
  const std::string path = std::string(folder.path()) + "/journal";
  SystemClock clock;
  SystemRandom random;
  for (const ledger::SyncPolicy policy : {ledger::SyncPolicy::kWritten, ledger::SyncPolicy::kDurable}) {
    std::filesystem::remove(path);
    const crypto::Secret master = crypto::Secret::Random(32, random);
    auto journal = ledger::CreateJournal(path, "gateway/acme", master, clock, random);
    ASSERT_TRUE(journal.ok()) << journal.error().ToString();
    const auto before = std::filesystem::file_size(path);
    runtime::Loop loop;
    auto sink = OpenJournalSink(loop, policy)(Answer(std::move(*journal)));
    ASSERT_TRUE(sink.ok()) << sink.error().ToString();
    std::optional<bool> written;
    (*sink)->Append(ledger::Event{.time = clock.Wall(),
                                  .kind = ledger::RecordKind::kDecision,
                                  .spiffe_id = *SpiffeId::Parse("spiffe://example.org/agent/acme/crew/main"),
                                  .instance = InstanceId::Make(1, "0123456789"),
                                  .tenant = *IdSegment::Parse("acme")},
                    [&](const Status& s) { written = s.ok(); });
    while (!written) loop.RunFor(std::chrono::seconds(10));
    EXPECT_TRUE(*written);
    EXPECT_GT(std::filesystem::file_size(path), before);
    EXPECT_FALSE((*sink)->WantsReplacement());
  }
}

// What the keeper could not read on is not written to: the call that is to be recorded is refused, and another journal
// is asked for.
TEST(JournalSink, RefusesOnceTheKeeperHasGivenTheJournalUp) {
  const ledger::testing::TempFolder folder;
  const std::string path = folder.path() + "/journal";
  SystemClock clock;
  SystemRandom random;
  auto journal = ledger::CreateJournal(path, "gateway/acme", crypto::Secret::Random(32, random), clock, random);
  ASSERT_TRUE(journal.ok()) << journal.error().ToString();
  runtime::Loop loop;
  auto sink = OpenJournalSink(loop, ledger::SyncPolicy::kWritten)(Answer(std::move(*journal)));
  ASSERT_TRUE(sink.ok()) << sink.error().ToString();
  ASSERT_EQ(::chmod(path.c_str(), ledger::kRevokedMode), 0);
  const auto size = std::filesystem::file_size(path);
  std::optional<ErrorCode> refused;
  (*sink)->Append(ledger::Event{.time = clock.Wall(),
                                .kind = ledger::RecordKind::kDecision,
                                .spiffe_id = *SpiffeId::Parse("spiffe://example.org/agent/acme/crew/main"),
                                .tenant = *IdSegment::Parse("acme")},
                  [&](const Status& s) {
                    if (!s.ok()) refused = s.error().code();
                  });
  EXPECT_EQ(refused, ErrorCode::kUnavailable);
  EXPECT_TRUE((*sink)->WantsReplacement());
  EXPECT_EQ(std::filesystem::file_size(path), size);
}

// A full journal is followed by the next one while the disk hangs: the loop goes on.
TEST(JournalSink, AReplacementWaitsForNoDisk) {
  const ledger::testing::TempFolder folder;
  SystemClock clock;
  SystemRandom random;
  const crypto::Secret master = crypto::Secret::Random(32, random);
  const auto journal = [&](const std::string& name) {
    auto made = ledger::CreateJournal(folder.path() + "/" + name, "gateway/acme", master, clock, random);
    EXPECT_TRUE(made.ok());
    return Answer(std::move(*made));
  };
  for (const ledger::SyncPolicy policy : {ledger::SyncPolicy::kWritten, ledger::SyncPolicy::kDurable}) {
    const std::string prefix = policy == ledger::SyncPolicy::kWritten ? "w" : "d";
    std::counting_semaphore<> disk{0};
    std::atomic<int> synced = 0;
    runtime::Loop loop;
    auto sink = OpenJournalSink(loop, policy, [&](int) {
      (void)disk.try_acquire_for(std::chrono::seconds(20));
      ++synced;
      return 0;
    })(journal(prefix + "1"));
    ASSERT_TRUE(sink.ok()) << sink.error().ToString();
    int written = 0;
    const auto append = [&] {
      (*sink)->Append(ledger::Event{.time = clock.Wall(),
                                    .kind = ledger::RecordKind::kDecision,
                                    .spiffe_id = *SpiffeId::Parse("spiffe://example.org/agent/acme/crew/main"),
                                    .tenant = *IdSegment::Parse("acme")},
                      [&](const Status& s) { written += s.ok(); });
    };
    append();
    EXPECT_FALSE((*sink)->Replace({}).ok());  // no journal: the old one goes on
    append();
    ASSERT_TRUE((*sink)->Replace(journal(prefix + "2")).ok());
    append();
    EXPECT_EQ(synced, 0) << "the loop waited for the disk";
    EXPECT_EQ(written, policy == ledger::SyncPolicy::kWritten ? 3 : 0);
    disk.release(100);
    while (written < 3) loop.RunFor(std::chrono::seconds(10));
    EXPECT_FALSE((*sink)->WantsReplacement());
  }
}

TEST(JournalSink, RefusesWhatIsNoJournal) {
  runtime::Loop loop;
  const OpenSink open = OpenJournalSink(loop, ledger::SyncPolicy::kWritten);
  runtime::Message empty;
  EXPECT_FALSE(open(std::move(empty)).ok());
  runtime::Message short_chain;
  short_chain.body.mutable_journal()->set_chain("short");
  short_chain.fds.push_back(runtime::UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)));
  EXPECT_FALSE(open(std::move(short_chain)).ok());
}

}  // namespace
}  // namespace hexr::gateway
