// Where a log's files live, as a dependency, so that tests can take the disk away at any point.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "runtime/unique_fd.h"

namespace hexr::ledger {

// Paths are relative to the storage, with '/' between parts. An instance belongs to one thread at a time.
class Storage {
 public:
  struct File {
    std::string path;
    Bytes bytes;
  };

  virtual ~Storage() = default;
  // NOT_FOUND when there is none, RESOURCE_EXHAUSTED when it is larger than `max_bytes`.
  virtual Result<Bytes> Read(const std::string& path, size_t max_bytes) const = 0;
  // Writes all of them, folders included. On OK they are on disk, names and all. On an error any of them may be
  // missing or cut: only files that nothing refers to yet may be written so.
  virtual Status Write(const std::vector<File>& files) = 0;
  // Puts a new content in the place of the old one, on disk when OK: a reader, or the next start, sees either the
  // old or the new one whole.
  virtual Status Replace(const std::string& path, ByteView bytes) = 0;
  // Adds to the end; on disk when OK. On an error the end may be torn.
  virtual Status Append(const std::string& path, ByteView bytes) = 0;
  // A file or a folder with all in it. OK when there is none.
  virtual Status Remove(const std::string& path) = 0;
  // Names in a folder, sorted; empty when there is none.
  virtual Result<std::vector<std::string>> List(const std::string& path) const = 0;
};

// A folder of the file system. Folders 0700, files 0600; symbolic links inside are not followed.
class DirectoryStorage final : public Storage {
 public:
  // Makes `root` when it is missing.
  static Result<DirectoryStorage> Open(const std::string& root);
  // `path` and the folders above it, 0700, where they are missing.
  static Status MakeFolder(const std::string& path);
  // The same as Open for reading alone: NOT_FOUND when `root` is missing; every change is PERMISSION_DENIED.
  static Result<DirectoryStorage> OpenReadOnly(const std::string& root);

  Result<Bytes> Read(const std::string& path, size_t max_bytes) const override;
  Status Write(const std::vector<File>& files) override;
  Status Replace(const std::string& path, ByteView bytes) override;
  Status Append(const std::string& path, ByteView bytes) override;
  Status Remove(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& path) const override;

 private:
  DirectoryStorage(runtime::UniqueFd root, bool writable) : root_(std::move(root)), writable_(writable) {}
  Result<runtime::UniqueFd> OpenFile(const std::string& path, int flags) const;
  // Makes the folders above `path`; those whose entries changed are added to `changed`.
  Status MakeFolders(const std::string& path, std::set<std::string>& changed);
  // Writes and syncs them, and says which folders are still to be synced.
  Status WriteFiles(const std::vector<File>& files, std::set<std::string>& folders);
  Status SyncFolders(const std::set<std::string>& folders) const;
  Status RemoveAt(const std::string& path, unsigned depth);

  runtime::UniqueFd root_;
  bool writable_ = false;
};

}  // namespace hexr::ledger
