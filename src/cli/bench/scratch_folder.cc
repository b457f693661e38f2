#include "cli/bench/scratch_folder.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace hexr::cli::bench {

Result<ScratchFolder> ScratchFolder::Make(Where where) {
  const bool memory = where == Where::kMemory && access("/dev/shm", W_OK) == 0;
  // Short on purpose: sockets lie below it, and their paths have at most 107 bytes.
  std::string path = std::string(memory ? "/dev/shm" : "/tmp") + "/hexr-bench-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return ErrnoError("make a folder in " + path, errno);
  ScratchFolder folder(std::move(path));
  if (chmod(folder.path_.c_str(), 0755) != 0) return ErrnoError(folder.path_, errno);
  return folder;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace hexr::cli::bench
