// SHA-256 of files on threads of their own: the loop waits for no disk, nor for a file system that answers when it
// likes (FUSE). Belongs to one loop.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "base/unique_function.h"
#include "crypto/digest.h"
#include "identity/digest_cache.h"
#include "identity/process.h"
#include "runtime/loop.h"

namespace hexr::identity {

class FileHasher {
 public:
  using Done = UniqueFunction<void(Result<crypto::Sha256Digest>)>;

  // HashFile, or a test's file system.
  using HashFunction = std::function<Result<crypto::Sha256Digest>(int fd, const FileIdentity& file)>;

  explicit FileHasher(runtime::Loop& loop, HashFunction hash = HashFile);
  // Waits for nobody: a thread that hangs in a read keeps what it needs. What is not done is never answered.
  ~FileHasher();
  FileHasher(const FileHasher&) = delete;
  FileHasher& operator=(const FileHasher&) = delete;

  // Of at most limits::kMaxHashingThreads at once; `done` runs on the loop.
  void Hash(runtime::UniqueFd file, const FileIdentity& identity, Done done);

 private:
  struct Shared;
  static void Work(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;
};

}  // namespace hexr::identity
