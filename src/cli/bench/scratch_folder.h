// A folder for one benchmark, gone with the object.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace hexr::cli::bench {

class ScratchFolder {
 public:
  enum class Where : uint8_t { kDisk, kMemory };  // kMemory: /dev/shm where it is there, else as kDisk
  // 0755, so that agents of other uids may be given folders below it.
  static Result<ScratchFolder> Make(Where where = Where::kDisk);
  ~ScratchFolder();
  ScratchFolder(ScratchFolder&& o) noexcept : path_(std::exchange(o.path_, "")) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace hexr::cli::bench
