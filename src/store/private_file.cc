#include "store/private_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace hexr::store {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Status CheckMode(const std::string& path, const struct stat& s, bool folder) {
  if (folder ? !S_ISDIR(s.st_mode) : !S_ISREG(s.st_mode)) {
    return FailedPrecondition(path + (folder ? ": not a folder" : ": not a plain file"));
  }
  if (s.st_uid != geteuid()) {
    return FailedPrecondition(
        fmt::format("{}: belongs to uid {}, not to uid {} that runs this", path, s.st_uid, geteuid()));
  }
  if ((s.st_mode & 077) != 0) {
    return FailedPrecondition(fmt::format("{}: open to others (mode {:04o}): chmod {} {}", path, s.st_mode & 07777,
                                          folder ? "0700" : "0600", path));
  }
  return Ok();
}

Status SyncFolder(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) return ErrnoError("sync " + path, errno);
  return Ok();
}

}  // namespace

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status EnsurePrivateFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoError("make folder " + path, errno);
  struct stat s {};
  if (lstat(path.c_str(), &s) != 0) return ErrnoError(path, errno);
  return CheckMode(path, s, true);
}

Status CheckPrivateFile(const std::string& path) {
  struct stat s {};
  if (lstat(path.c_str(), &s) != 0) return ErrnoError(path, errno);
  return CheckMode(path, s, false);
}

Result<crypto::Secret> ReadPrivateFile(const std::string& path, size_t max_bytes) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return ErrnoError("open " + path, errno);
  struct stat s {};
  if (fstat(fd.get(), &s) != 0) return ErrnoError(path, errno);
  RETURN_IF_ERROR(CheckMode(path, s, false));
  const auto size = static_cast<size_t>(s.st_size);
  if (size > max_bytes) return InvalidArgument(path + ": too large");
  size_t done = 0;
  int error = 0;
  crypto::Secret content = crypto::Secret::Make(size, [&](std::span<uint8_t> out) {
    while (done < out.size()) {
      const ssize_t n = read(fd.get(), out.data() + done, out.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) error = errno;
      if (n <= 0) return;
      done += static_cast<size_t>(n);
    }
  });
  if (error != 0) return ErrnoError("read " + path, error);
  if (done != size) return Unavailable(path + ": changed while it was read");
  return content;
}

Status TouchPrivateFile(const std::string& path) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (fd.get() >= 0) return SyncFolder(FolderOf(path));
  if (errno != EEXIST) return ErrnoError("make " + path, errno);
  return CheckPrivateFile(path);
}

Status ReplacePrivateFile(const std::string& path, ByteView content) {
  const std::string beside = path + ".new";
  unlink(beside.c_str());  // what an interrupted attempt left
  const auto fail = [&beside](const std::string& what) {
    const int error = errno;
    unlink(beside.c_str());
    return ErrnoError(what, error);
  };
  {
    const Fd fd(open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd.get() < 0) return ErrnoError("make " + beside, errno);
    for (size_t done = 0; done < content.size();) {
      const ssize_t n = write(fd.get(), content.data() + done, content.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail("write " + beside);
      done += static_cast<size_t>(n);
    }
    if (fsync(fd.get()) != 0) return fail("sync " + beside);
  }
  if (rename(beside.c_str(), path.c_str()) != 0) return fail("rename " + beside);
  return SyncFolder(FolderOf(path));
}

}  // namespace hexr::store
