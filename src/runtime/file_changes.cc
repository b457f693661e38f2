#include "runtime/file_changes.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <cstdint>
#include <string>

namespace hexr::runtime {
namespace {

constexpr uint64_t kXfs = 0x58465342;  // in no header for programs
// They ask for the time at the first write to a stored page (page_mkwrite), or cannot be written at all.
constexpr std::array<uint64_t, 5> kTellTime = {EXT4_SUPER_MAGIC, kXfs, BTRFS_SUPER_MAGIC, SQUASHFS_MAGIC,
                                               EROFS_SUPER_MAGIC_V1};

// A file written twice within one tick of the file system's clock looks the same both times.
constexpr std::chrono::seconds kSettled{2};

// As the file stands at its own path here, if it does: through an idmapped mount nobody owns what is root's.
struct statx AsWeSee(int fd, const struct statx& st) {
  char path[PATH_MAX];
  const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path - 1);
  struct statx ours {};
  if (n <= 0) return st;
  path[n] = '\0';
  if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &ours) != 0) return st;
  const bool same =
      ours.stx_ino == st.stx_ino && ours.stx_dev_major == st.stx_dev_major && ours.stx_dev_minor == st.stx_dev_minor;
  return same ? ours : st;
}

}  // namespace

bool ChangesShow(int fd, WallTime now) {
  struct statfs fs {};
  struct statx st {};
  if (fstatfs(fd, &fs) != 0 || std::ranges::find(kTellTime, static_cast<uint64_t>(fs.f_type)) == kTellTime.end())
    return false;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) != 0 || !S_ISREG(st.stx_mode)) return false;
  if (st.stx_uid != 0) st = AsWeSee(fd, st);
  // The bits of the group are also the most that any entry of an access control list gives (acl(5)).
  if (st.stx_uid != 0 || (st.stx_mode & (S_IWGRP | S_IWOTH)) != 0) return false;
  const WallTime changed{std::chrono::seconds(st.stx_ctime.tv_sec) + std::chrono::nanoseconds(st.stx_ctime.tv_nsec)};
  if (changed > now || now - changed < kSettled) return false;
  // All three: every page that was written is stored before this returns, and told of when it is written again.
  constexpr unsigned kAll = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  return sync_file_range(fd, 0, 0, kAll) == 0;
}

}  // namespace hexr::runtime
