#include "cli/backup/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/limits/backup.h"

namespace hexr::cli::backup {
namespace {

constexpr crypto::ScryptCost kCheap{.n = 16, .r = 1, .p = 1};

crypto::Secret Passphrase(std::string text = "correct horse battery") { return crypto::Secret::Take(text); }

Source From(const std::string& bytes) {
  return [&bytes, at = size_t{0}](std::span<uint8_t> out) mutable -> Result<size_t> {
    const size_t n = std::min(out.size(), bytes.size() - at);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), n, out.begin());
    at += n;
    return n;
  };
}

using Files = std::map<std::string, std::string>;

std::string Write(const Files& files) {
  SystemRandom random;
  std::string out;
  ArchiveWriter writer = std::move(*ArchiveWriter::Begin(
      [&out](ByteView b) {
        out += AsText(b);
        return Ok();
      },
      Passphrase(), kCheap, random));
  for (const auto& [path, content] : files) {
    Source source = From(content);
    EXPECT_TRUE(writer.AddFile(path, content.size(), source).ok());
  }
  EXPECT_TRUE(writer.Finish().ok());
  return out;
}

class Collector final : public ArchiveVisitor {
 public:
  Status OnFile(const std::string& path, uint64_t) override {
    last_ = &files[path];
    return Ok();
  }
  Status OnContent(ByteView bytes) override {
    *last_ += AsText(bytes);
    return Ok();
  }
  Files files;

 private:
  std::string* last_ = nullptr;
};

ErrorCode CodeOf(const std::string& archive, crypto::Secret passphrase = Passphrase()) {
  Collector c;
  const Status s = ReadArchive(From(archive), passphrase, c);
  return s.ok() ? ErrorCode{0} : s.error().code();
}

const Files kFiles = {{"config/hexr.yaml", "trust_domain: td\n"},
                      {"state/empty", ""},
                      {"state/exactly", std::string(limits::kMaxBackupChunkBytes, 'x')},
                      {"state/large", std::string(3 * limits::kMaxBackupChunkBytes + 17, 'y')}};

TEST(Archive, GivesBackWhatWentIn) {
  const std::string archive = Write(kFiles);
  Collector c;
  ASSERT_TRUE(ReadArchive(From(archive), Passphrase(), c).ok());
  EXPECT_EQ(c.files, kFiles);
  EXPECT_EQ(archive.find("hexr.yaml"), std::string::npos) << "not even names are legible";
  Collector none;
  const std::string empty = Write({});
  EXPECT_TRUE(ReadArchive(From(empty), Passphrase(), none).ok());
  EXPECT_NE(Write(kFiles), archive) << "each backup has a key of its own";
}

TEST(Archive, AnotherPassphraseOpensNothing) {
  EXPECT_EQ(CodeOf(Write(kFiles), Passphrase("another passphrase")), ErrorCode::kPermissionDenied);
}

TEST(Archive, EveryCutIsFound) {
  const std::string archive = Write({{"state/a", std::string(200'000, 'x')}});
  for (size_t size = 0; size < archive.size(); size += size < 200 ? 1 : 4999) {
    EXPECT_NE(CodeOf(archive.substr(0, size)), ErrorCode{0}) << size;
  }
  EXPECT_EQ(CodeOf(archive + "x"), ErrorCode::kDataLoss);
}

TEST(Archive, EveryChangeIsFound) {
  const std::string archive = Write({{"state/a", std::string(70'000, 'x')}});
  for (size_t at = 0; at < archive.size(); at += at < 200 ? 1 : 4999) {
    if (at >= kMagic.size() && at < kMagic.size() + 9) continue;  // a cost that would take its time
    std::string changed = archive;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_NE(CodeOf(changed), ErrorCode{0}) << at;
  }
}

TEST(Archive, ChunksKeepTheirOrder) {
  const std::string archive = Write({{"state/a", std::string(3 * limits::kMaxBackupChunkBytes, 'x')}});
  const size_t chunk = 5 + limits::kMaxBackupChunkBytes + crypto::AeadStream::kTagBytes;
  std::string swapped = archive;
  std::swap_ranges(swapped.begin() + static_cast<std::ptrdiff_t>(kHeaderBytes),
                   swapped.begin() + static_cast<std::ptrdiff_t>(kHeaderBytes + chunk),
                   swapped.begin() + static_cast<std::ptrdiff_t>(kHeaderBytes + chunk));
  EXPECT_NE(CodeOf(swapped), ErrorCode{0});
  std::string dropped = archive;
  dropped.erase(kHeaderBytes + chunk, chunk);
  EXPECT_EQ(CodeOf(dropped), ErrorCode::kDataLoss);
}

TEST(Archive, AnAbsurdCostIsRefused) {
  std::string archive = Write({});
  archive[kMagic.size()] = 60;
  EXPECT_EQ(CodeOf(archive), ErrorCode::kInvalidArgument);
  archive[kMagic.size()] = 40;
  EXPECT_NE(CodeOf(archive), ErrorCode{0});
}

TEST(Archive, PathsStayInTheirFolder) {
  for (const char* good : {"a", "state/keeper.db", "a/..b/c.", ".hidden"}) EXPECT_TRUE(CheckPath(good).ok()) << good;
  for (const char* bad : {"", "/", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a/."}) {
    EXPECT_FALSE(CheckPath(bad).ok()) << bad;
  }
  EXPECT_FALSE(CheckPath(std::string_view("a\0b", 3)).ok());
  EXPECT_TRUE(CheckPath(std::string(limits::kMaxBackupPathBytes, 'a')).ok());
  EXPECT_FALSE(CheckPath(std::string(limits::kMaxBackupPathBytes + 1, 'a')).ok());
}

// The joined plaintext of files without content.
std::string Heads(uint64_t count, std::string_view path) {
  std::string one = {static_cast<char>(path.size() >> 8), static_cast<char>(path.size())};
  one += path;
  one.append(8, '\0');
  std::string all;
  for (uint64_t i = 0; i < count; ++i) all += one;
  return all;
}

class Counter final : public ArchiveVisitor {
 public:
  Status OnFile(const std::string&, uint64_t) override {
    ++files;
    return Ok();
  }
  Status OnContent(ByteView) override { return Ok(); }
  uint64_t files = 0;
};

TEST(ContentParser, TakesSoManyFilesAndNoMore) {
  Counter c;
  ContentParser parser(c);
  const std::string thousand = Heads(1000, "a");
  for (uint64_t i = 0; i < limits::kMaxBackupFiles / 1000; ++i) ASSERT_TRUE(parser.Feed(AsBytes(thousand)).ok());
  EXPECT_EQ(parser.Feed(AsBytes(thousand)).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(c.files, limits::kMaxBackupFiles);
}

TEST(ContentParser, RefusesWhatAWriterWouldNotWrite) {
  Counter c;
  EXPECT_FALSE(ContentParser(c).Feed(AsBytes(Heads(1, "../x"))).ok());
  EXPECT_FALSE(ContentParser(c).Feed(AsBytes(Heads(1, std::string(limits::kMaxBackupPathBytes + 1, 'a')))).ok());
  ContentParser cut(c);
  ASSERT_TRUE(cut.Feed(AsBytes(Heads(1, "a").substr(0, 5))).ok());
  EXPECT_FALSE(cut.Finish().ok());
}

TEST(ArchiveWriter, AFileThatShrinksIsAnError) {
  SystemRandom random;
  ArchiveWriter writer = std::move(*ArchiveWriter::Begin([](ByteView) { return Ok(); }, Passphrase(), kCheap, random));
  const std::string content = "short";
  Source source = From(content);
  EXPECT_EQ(writer.AddFile("state/a", 6, source).error().code(), ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace hexr::cli::backup
