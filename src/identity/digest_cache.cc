#include "identity/digest_cache.h"

#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/limits/identity.h"
#include "runtime/file_changes.h"

namespace hexr::identity {
namespace {

constexpr size_t kReadBytes = 256 * 1024;

}  // namespace

Result<FileDigest> HashFile(int fd, const FileIdentity& file, WallTime now) {
  if (file.size > limits::kMaxHashedFileBytes) return ResourceExhausted("the executable is too large to be hashed");
  const bool lasts = runtime::ChangesShow(fd, now);
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
  return FileDigest{hasher.Finish(), lasts};
}

Result<crypto::Sha256Digest> DigestCache::DigestOf(int fd, const FileIdentity& file) {
  if (const auto it = entries_.find(file); it != entries_.end()) {
    ++hits_;
    by_age_.splice(by_age_.end(), by_age_, it->second.age);
    return it->second.digest;
  }
  ++misses_;
  ASSIGN_OR_RETURN(const FileDigest digest, hash_(fd, file, clock_.Wall()));
  Remember(file, digest);
  return digest.sha256;
}

void DigestCache::Remember(const FileIdentity& file, const FileDigest& digest) {
  if (!digest.lasts || entries_.contains(file)) return;
  if (entries_.size() == limits::kMaxCachedDigests) {
    entries_.erase(by_age_.front());
    by_age_.pop_front();
  }
  entries_.emplace(file, Entry{digest.sha256, by_age_.insert(by_age_.end(), file)});
}

}  // namespace hexr::identity
