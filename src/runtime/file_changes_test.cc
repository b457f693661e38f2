// What may be remembered of a file: attacked by whoever can write it.
#include "runtime/file_changes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "runtime/unique_fd.h"

namespace hexr::runtime {
namespace {

constexpr size_t kBytes = 65536;

// A file of one byte all over, in a folder of its own.
struct Written {
  explicit Written(const std::string& where, mode_t mode = 0700) {
    std::string pattern = where + "/hexr-changes-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr) << strerror(errno);
    folder = pattern;
    fd = UniqueFd(open((folder + "/program").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode));
    EXPECT_EQ(fchmod(fd.get(), mode), 0);
    const std::string content(kBytes, 'a');
    EXPECT_EQ(pwrite(fd.get(), content.data(), kBytes, 0), static_cast<ssize_t>(kBytes));
    reader = UniqueFd(open((folder + "/program").c_str(), O_RDONLY | O_CLOEXEC));
  }
  ~Written() { std::filesystem::remove_all(folder); }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;

  int64_t Changed() const {
    struct stat st {};
    EXPECT_EQ(fstat(fd.get(), &st), 0);
    return int64_t{st.st_ctim.tv_sec} * 1'000'000'000 + st.st_ctim.tv_nsec;
  }
  bool Shows() const { return ChangesShow(reader.get(), SystemClock().Wall() + std::chrono::hours(1)); }

  std::string folder;
  UniqueFd fd, reader;
};

bool IsExt4(const std::string& where) {
  struct statfs fs {};
  return statfs(where.c_str(), &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC;
}

// The attack: a page that has been written through a mapping and not been stored is written again, and no time moves.
// Here that is after somebody was told that changes show, so they have to.
TEST(FileChanges, AreSeenOfPagesThatWereWrittenThroughAMappingBefore) {
  const std::string where = IsExt4("/tmp") ? "/tmp" : std::filesystem::current_path().string();
  const Written file(where);
  auto* const at =
      static_cast<volatile char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd.get(), 0));
  ASSERT_NE(at, MAP_FAILED);
  at[0] = 'b';
  usleep(20'000);  // longer than a tick
  const int64_t before = file.Changed();
  at[0] = 'c';
  if (IsExt4(where)) {
    EXPECT_EQ(file.Changed(), before) << "then this attack needs no answer any more";
  }
  const bool shows = file.Shows();
  EXPECT_EQ(shows, geteuid() == 0 && IsExt4(where)) << "whatever else lies here is read each time";
  at[0] = 'd';
  if (shows) {
    EXPECT_NE(file.Changed(), before);
  }
  munmap(const_cast<char*>(at), kBytes);
}

TEST(FileChanges, DoNotShowWhereMappingsTellNoTime) {
  const Written file("/dev/shm");
  EXPECT_FALSE(file.Shows());
  const UniqueFd memory(memfd_create("program", MFD_CLOEXEC));
  EXPECT_FALSE(ChangesShow(memory.get(), SystemClock().Wall() + std::chrono::hours(1)));
}

TEST(FileChanges, DoNotShowOfWhatOthersThanRootCanWrite) {
  for (const mode_t mode : {0720U, 0702U}) EXPECT_FALSE(Written("/tmp", mode).Shows());
  const Written mine("/tmp");
  if (geteuid() == 0) {
    ASSERT_EQ(fchown(mine.fd.get(), 1234, 1234), 0);
  }
  EXPECT_FALSE(mine.Shows());
}

TEST(FileChanges, DoNotShowSoSoonAfterOne) {
  const Written file(IsExt4("/tmp") ? "/tmp" : ".");
  EXPECT_FALSE(ChangesShow(file.reader.get(), SystemClock().Wall()));
  EXPECT_FALSE(ChangesShow(file.reader.get(), SystemClock().Wall() - std::chrono::hours(1))) << "nor before it";
}

}  // namespace
}  // namespace hexr::runtime
