#include "ledger/tile_log.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "ledger/log_reader.h"
#include "ledger/testing/memory_storage.h"
#include "ledger/testing/naive_tree.h"
#include "ledger/testing/temp_folder.h"
#include "ledger/testing/test_keys.h"
#include "ledger/tiles.h"

namespace hexr::ledger {
namespace {

using testing::MemoryStorage;
using testing::NaiveRoot;
using testing::TestSigner;
using Fault = MemoryStorage::Fault;

std::string EntryText(uint64_t i) { return "entry " + std::to_string(i); }

// What a reader finds: the published checkpoint is signed, its tiles lead to its root, and its entries are the ones
// that were appended, in order.
void ExpectSound(const Storage& storage, const NoteSigner& signer, uint64_t at_least) {
  const VerifiedCheckpoint published = ReadCheckpoint(storage, signer.verifier()).value();
  const uint64_t size = published.checkpoint().size;
  ASSERT_GE(size, at_least);
  const LogReader reader(storage, size);
  ASSERT_EQ(RootAt(reader, size).value(), published.checkpoint().root);
  std::vector<Hash> leaves;
  for (uint64_t i = 0; i < size; ++i) {
    if (i % kTileWidth == 0) {
      const auto bundle = reader.ReadBundle(i / kTileWidth);
      ASSERT_TRUE(bundle.ok()) << bundle.error().ToString();
      const auto entries = ParseEntries(bundle->bytes, bundle->width, Width::kAtLeast).value();
      for (size_t j = 0; j < entries.size(); ++j) {
        ASSERT_EQ(AsText(entries[j]), EntryText(i + j));
        leaves.push_back(LeafHash(entries[j]));
      }
    }
  }
  if (size > 0) {
    ASSERT_EQ(RootOf(leaves), published.checkpoint().root);
  }
}

TEST(Tiles, PathsFollowTheSpecification) {
  EXPECT_EQ(TilePath(0, 1234067, 256), "tile/0/x001/x234/067");
  EXPECT_EQ(TilePath(2, 0, 1), "tile/2/000.p/1");
  EXPECT_EQ(EntriesPath(273, 112), "tile/entries/273.p/112");
  EXPECT_EQ(EntriesPath(1000, 256), "tile/entries/x001/000");
  // The example of the specification: 70,000 entries.
  EXPECT_EQ(TileWidth(0, 272, 70000), 256u);
  EXPECT_EQ(TileWidth(0, 273, 70000), 112u);
  EXPECT_EQ(TileWidth(0, 274, 70000), 0u);
  EXPECT_EQ(TileWidth(1, 0, 70000), 256u);
  EXPECT_EQ(TileWidth(1, 1, 70000), 17u);
  EXPECT_EQ(TileWidth(2, 0, 70000), 1u);
  EXPECT_EQ(TileWidth(3, 0, 70000), 0u);
  EXPECT_EQ(TileWidth(1, 0, 256), 1u);
}

TEST(Tiles, CutFilesAreNoticed) {
  Bytes bundle;
  AppendEntry(AsBytes("one"), bundle);
  AppendEntry({}, bundle);
  EXPECT_EQ(ParseEntries(bundle, 2)->at(0).size(), 3u);
  EXPECT_FALSE(ParseEntries(bundle, 1).ok());
  EXPECT_TRUE(ParseEntries(bundle, 1, Width::kAtLeast).ok());
  EXPECT_FALSE(ParseEntries(bundle, 3).ok());
  for (size_t n = 0; n < bundle.size(); ++n) EXPECT_FALSE(ParseEntries({bundle.data(), n}, 2).ok());
  EXPECT_FALSE(ParseTile(Bytes(63), 2).ok());
  EXPECT_FALSE(ParseTile(Bytes(96), 2).ok());
  EXPECT_TRUE(ParseTile(Bytes(96), 2, Width::kAtLeast).ok());
  EXPECT_FALSE(ParseTile(Bytes(97), 2, Width::kAtLeast).ok());
}

TEST(TileLog, EveryCheckpointIsSound) {
  MemoryStorage storage;
  const NoteSigner signer = TestSigner("example.org/log");
  ManualClock clock(testing::kTestTime);
  SeededRandom random(4);
  TileLog log = TileLog::Open(storage, signer, clock).value();
  ExpectSound(storage, signer, 0);
  while (log.size() < 3000) {
    const uint64_t n = random.Below(400);
    for (uint64_t i = 0; i < n; ++i) log.Append(AsBytes(EntryText(log.size())));
    EXPECT_EQ(log.pending(), n);
    ASSERT_TRUE(log.Commit().ok());
    EXPECT_EQ(log.pending(), 0u);
    ExpectSound(storage, signer, log.size());
    if (random.Below(4) == 0) {
      log = TileLog::Open(storage, signer, clock).value();
      EXPECT_EQ(log.committed().size, log.size());
    }
    clock.Advance(std::chrono::seconds(40));
  }
  // Proofs between any two sizes hold over the tiles alone.
  const LogReader reader(storage, log.size());
  for (int round = 0; round < 50; ++round) {
    const uint64_t index = random.Below(log.size());
    const uint64_t old_size = random.Below(log.size()) + 1;
    EXPECT_TRUE(VerifyInclusion(index, log.size(), LeafHash(AsBytes(reader.Entry(index).value())),
                                InclusionProof(reader, index, log.size()).value(), log.committed().root)
                    .ok());
    EXPECT_TRUE(VerifyConsistency(old_size, log.size(), RootAt(reader, old_size).value(), log.committed().root,
                                  ConsistencyProof(reader, old_size, log.size()).value())
                    .ok());
  }
  EXPECT_EQ(reader.Entry(log.size()).error().code(), ErrorCode::kOutOfRange);
  // Partial tiles go when the full one is there.
  const auto files = storage.Files();
  EXPECT_EQ(files.count("tile/0/000"), 1u);
  for (const auto& [path, bytes] : files) EXPECT_FALSE(path.starts_with("tile/0/000.p")) << path;
}

// INV-LEDGER-04: whatever is taken away at whatever point, the published checkpoint has all its tiles.
TEST(TileLog, SurvivesAPowerCutAtEveryStep) {
  const NoteSigner signer = TestSigner("example.org/log");
  ManualClock clock(testing::kTestTime);
  SeededRandom random(5);
  for (uint64_t step = 0; step < 40; ++step) {
    for (const bool machine : {false, true}) {
      MemoryStorage storage;
      uint64_t acknowledged = 0;
      {
        TileLog log = TileLog::Open(storage, signer, clock).value();
        for (int i = 0; i < 250; ++i) log.Append(AsBytes(EntryText(log.size())));
        ASSERT_TRUE(log.Commit().ok());
        acknowledged = log.size();
        storage.SetFault(Fault::kCrash, step);
        for (int round = 0; round < 4; ++round) {
          for (int i = 0; i < 100; ++i) log.Append(AsBytes(EntryText(log.size())));
          if (log.Commit().ok()) acknowledged = log.size();
        }
        ASSERT_TRUE(storage.fault_happened() || step > 20);
      }
      if (machine) storage.PowerLoss(random);
      SCOPED_TRACE("step " + std::to_string(step) + (machine ? " power" : " process"));
      storage.Restart();
      Result<TileLog> log = TileLog::Open(storage, signer, clock);
      ASSERT_TRUE(log.ok()) << step << " " << log.error().ToString();
      ExpectSound(storage, signer, acknowledged);
      while (log->size() < 1000) log->Append(AsBytes(EntryText(log->size())));
      ASSERT_TRUE(log->Commit().ok());
      ExpectSound(storage, signer, 1000);
    }
  }
}

TEST(TileLog, AFullDiskIsAClearErrorAndIsWaitedOut) {
  const NoteSigner signer = TestSigner("example.org/log");
  ManualClock clock(testing::kTestTime);
  for (uint64_t step = 0; step < 20; ++step) {
    MemoryStorage storage;
    TileLog log = TileLog::Open(storage, signer, clock).value();
    for (int i = 0; i < 600; ++i) log.Append(AsBytes(EntryText(log.size())));
    storage.SetFault(Fault::kFull, step);
    const Status full = log.Commit();
    if (storage.fault_happened()) {
      ASSERT_FALSE(full.ok());
      EXPECT_EQ(full.error().code(), ErrorCode::kResourceExhausted);
      EXPECT_NE(full.error().message().find("No space left"), std::string::npos);
    }
    for (int i = 0; i < 50; ++i) log.Append(AsBytes(EntryText(log.size())));
    storage.SetFault(Fault::kNone);
    ASSERT_TRUE(log.Commit().ok());
    ExpectSound(storage, signer, 650);
    clock.Advance(std::chrono::minutes(2));
    log.Append(AsBytes(EntryText(log.size())));
    ASSERT_TRUE(log.Commit().ok());
    const std::vector<std::string> days = storage.List(kHistoryFolder).value();
    for (const std::string& day : days) {
      const Bytes text = storage.Read(std::string(kHistoryFolder) + "/" + day, kMaxHistoryBytes).value();
      EXPECT_FALSE(SplitHistory(AsText(text)).torn);
    }
  }
}

TEST(TileLog, DoesNotBeginAgainOverAnOldLog) {
  MemoryStorage storage;
  const NoteSigner signer = TestSigner("example.org/log");
  ManualClock clock(testing::kTestTime);
  {
    TileLog log = TileLog::Open(storage, signer, clock).value();
    for (int i = 0; i < 10; ++i) log.Append(AsBytes(EntryText(log.size())));
    ASSERT_TRUE(log.Commit().ok());
  }
  const Bytes checkpoint = storage.Read(kCheckpointPath, 1000).value();
  storage.Erase(kCheckpointPath);
  EXPECT_EQ(TileLog::Open(storage, signer, clock).error().code(), ErrorCode::kDataLoss);
  storage.Put(kCheckpointPath, checkpoint);
  EXPECT_EQ(TileLog::Open(storage, TestSigner("example.org/log", NoteKeyType::kEd25519, 2), clock).error().code(),
            ErrorCode::kPermissionDenied);
  storage.Edit("tile/0/000.p/10")[5] ^= 1;
  EXPECT_EQ(TileLog::Open(storage, signer, clock).error().code(), ErrorCode::kDataLoss);
}

TEST(TileLog, KeepsCosignedCheckpoints) {
  MemoryStorage storage;
  const NoteSigner signer = TestSigner("example.org/log");
  const NoteSigner witness = TestSigner("witness.example/w", NoteKeyType::kCosignatureV1, 7);
  ManualClock clock(testing::kTestTime);
  TileLog log = TileLog::Open(storage, signer, clock).value();
  log.Append(AsBytes(EntryText(0)));
  ASSERT_TRUE(log.Commit().ok());
  Note first = log.committed_note();
  ASSERT_TRUE(first.Add(witness.Sign(first.text(), clock.Wall())).ok());
  ASSERT_TRUE(log.AddCosignatures(first).ok());
  EXPECT_EQ(witness.verifier().Check(ReadCheckpoint(storage, signer.verifier())->note()).state,
            VerifierKey::Verdict::State::kGood);
  // A line that comes after the next checkpoint goes to the history alone.
  log.Append(AsBytes(EntryText(1)));
  ASSERT_TRUE(log.Commit().ok());
  ASSERT_TRUE(log.AddCosignatures(first).ok());
  EXPECT_EQ(ReadCheckpoint(storage, signer.verifier())->checkpoint().size, 2u);
  const Bytes text = storage.Read(std::string(kHistoryFolder) + "/2026-05-28", kMaxHistoryBytes).value();
  const History history = SplitHistory(AsText(text));
  EXPECT_FALSE(history.torn);
  EXPECT_EQ(history.notes.size(), 3u);
  EXPECT_EQ(history.notes.back(), first.ToString());
}

TEST(TileLog, WorksOnADirectory) {
  const testing::TempFolder folder;
  DirectoryStorage storage = DirectoryStorage::Open(folder.path() + "/logs/acme").value();
  const NoteSigner signer = TestSigner("example.org/log");
  ManualClock clock(testing::kTestTime);
  TileLog log = TileLog::Open(storage, signer, clock).value();
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 200; ++i) log.Append(AsBytes(EntryText(log.size())));
    ASSERT_TRUE(log.Commit().ok());
  }
  ExpectSound(storage, signer, 600);
  const auto mode = [&](const char* path) {
    return std::filesystem::status(folder.path() + "/logs/acme/" + path).permissions();
  };
  EXPECT_EQ(mode("checkpoint"), std::filesystem::perms(0600));
  EXPECT_EQ(mode("tile"), std::filesystem::perms(0700));
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/logs/acme/tile/entries/000.p"));
  DirectoryStorage reader = DirectoryStorage::OpenReadOnly(folder.path() + "/logs/acme").value();
  ExpectSound(reader, signer, 600);
  EXPECT_EQ(reader.Replace("checkpoint", {}).error().code(), ErrorCode::kPermissionDenied);
  // A log from elsewhere cannot lead a reader out of its folder.
  std::filesystem::create_symlink("/etc/hostname", folder.path() + "/logs/acme/link");
  EXPECT_FALSE(reader.Read("link", 1000).ok());
  EXPECT_FALSE(reader.Read("../acme/checkpoint", 1000).ok());
  EXPECT_EQ(DirectoryStorage::OpenReadOnly(folder.path() + "/none").error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace hexr::ledger
