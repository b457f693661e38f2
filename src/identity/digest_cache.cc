#include "identity/digest_cache.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <vector>

#include "base/limits/identity.h"

namespace hexr::identity {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
// A file written twice within one tick of the file system's clock looks the same both times: what has changed only just
// now is hashed again next time instead of being remembered.
constexpr std::chrono::seconds kSettled{2};

}  // namespace

Result<crypto::Sha256Digest> HashFile(int fd, const FileIdentity& file) {
  if (file.size > limits::kMaxHashedFileBytes) return ResourceExhausted("the executable is too large to be hashed");
  crypto::Sha256Hasher hasher;
  std::vector<uint8_t> buffer(kReadBytes);
  for (uint64_t at = 0; at <= file.size;) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read executable", errno);
    if (n == 0) break;
    hasher.Update(ByteView(buffer.data(), static_cast<size_t>(n)));
    at += static_cast<uint64_t>(n);
  }
  ASSIGN_OR_RETURN(const FileIdentity after, FileIdentityOf(fd));
  if (after != file) return Error(ErrorCode::kAborted, "the executable changed while it was hashed");
  return hasher.Finish();
}

Result<crypto::Sha256Digest> DigestCache::DigestOf(int fd, const FileIdentity& file) {
  if (const auto it = entries_.find(file); it != entries_.end()) {
    ++hits_;
    by_age_.splice(by_age_.end(), by_age_, it->second.age);
    return it->second.digest;
  }
  ++misses_;
  ASSIGN_OR_RETURN(const crypto::Sha256Digest digest, HashFile(fd, file));
  Remember(file, digest);
  return digest;
}

void DigestCache::Remember(const FileIdentity& file, const crypto::Sha256Digest& digest) {
  const WallTime changed{std::chrono::nanoseconds(file.ctime_ns)};
  const WallTime now = clock_.Wall();
  if (changed > now || now - changed < kSettled || entries_.contains(file)) return;
  if (entries_.size() == limits::kMaxCachedDigests) {
    entries_.erase(by_age_.front());
    by_age_.pop_front();
  }
  entries_.emplace(file, Entry{digest, by_age_.insert(by_age_.end(), file)});
}

}  // namespace hexr::identity
