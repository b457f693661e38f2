#include "keeper/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/unique_fd.h"

namespace hexr::keeper {

Result<WipedBytes> ReadConfiguredBytes(const std::string& path, size_t max_bytes) {
  const runtime::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return ErrnoError(path, errno);
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) return ErrnoError(path, errno);
  if (!S_ISREG(st.st_mode)) return InvalidArgument(path + " is not a file");
  WipedBytes out;
  WipedBytes buffer(16 * 1024);
  for (;;) {
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(path, errno);
    if (n == 0) return out;
    out.insert(out.end(), buffer.begin(), buffer.begin() + n);
    if (out.size() > max_bytes) return ResourceExhausted(path + " is larger than what it should hold");
  }
}

Result<std::string> ReadConfiguredFile(const std::string& path, size_t max_bytes) {
  ASSIGN_OR_RETURN(const WipedBytes bytes, ReadConfiguredBytes(path, max_bytes));
  return std::string(bytes.begin(), bytes.end());
}

}  // namespace hexr::keeper
