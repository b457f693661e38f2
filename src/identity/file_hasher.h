// SHA-256 of files on threads of their own: the loop waits for no disk, nor for a file system that answers when it
// likes (FUSE). Belongs to one loop.
#pragma once

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
  using Done = UniqueFunction<void(Result<FileDigest>)>;

  explicit FileHasher(runtime::Loop& loop, HashFunction hash = HashFile);
  // Waits for nobody: a thread that hangs in a read keeps what it needs. What is not done is never answered.
  ~FileHasher();
  FileHasher(const FileHasher&) = delete;
  FileHasher& operator=(const FileHasher&) = delete;

  // Of at most limits::kMaxHashingThreads at once; `done` runs on the loop. `now`: of the caller's clock.
  void Hash(runtime::UniqueFd file, const FileIdentity& identity, WallTime now, Done done);

 private:
  struct Shared;
  static void Work(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;
};

}  // namespace hexr::identity
