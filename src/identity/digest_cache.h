// SHA-256 of executables, once per state of a file whose changes show, and not once per call.
// Belongs to one thread.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/limits/identity.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "identity/process.h"

namespace hexr::identity {

struct FileDigest {
  crypto::Sha256Digest sha256;
  bool lasts = false;  // for as long as the file's identity stays (runtime/file_changes.h)
};

// Reads the whole file that `fd` has open and `file` described at `now` or later. Files over
// limits::kMaxHashedFileBytes are RESOURCE_EXHAUSTED; ABORTED when the file changes while it is read. Thread-safe.
Result<FileDigest> HashFile(int fd, const FileIdentity& file, WallTime now);
// That, or a test's file system.
using HashFunction = std::function<Result<FileDigest>(int fd, const FileIdentity& file, WallTime now)>;

class DigestCache {
 public:
  explicit DigestCache(const Clock& clock, HashFunction hash = HashFile) : clock_(clock), hash_(std::move(hash)) {}

  // What is known, else HashFile.
  Result<crypto::Sha256Digest> DigestOf(int fd, const FileIdentity& file);
  // What HashFile has found, if it lasts.
  void Remember(const FileIdentity& file, const FileDigest& digest);

  // Null when it is not known.
  const crypto::Sha256Digest* Find(const FileIdentity& file) const {
    const auto it = entries_.find(file);
    return it == entries_.end() ? nullptr : &it->second.digest;
  }

  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    crypto::Sha256Digest digest;
    std::list<FileIdentity>::iterator age;
  };
  const Clock& clock_;
  HashFunction hash_;
  std::map<FileIdentity, Entry> entries_;
  std::list<FileIdentity> by_age_;  // least recently used first
  uint64_t hits_ = 0;
  uint64_t misses_ = 0;
};

}  // namespace hexr::identity
