// The joined plaintext of a backup, and the backup around it: nothing leads out of the folder, nothing crashes.
#include <algorithm>
#include <cstdlib>

#include "cli/backup/archive.h"

namespace hexr::cli::backup {
namespace {

class Checker final : public ArchiveVisitor {
 public:
  Status OnFile(const std::string& path, uint64_t size) override {
    if (remaining_ != 0 || path.starts_with('/') || ("/" + path + "/").find("/../") != std::string::npos) std::abort();
    remaining_ = size;
    return Ok();
  }
  Status OnContent(ByteView bytes) override {
    if (bytes.size() > remaining_) std::abort();
    remaining_ -= bytes.size();
    return Ok();
  }

 private:
  uint64_t remaining_ = 0;
};

}  // namespace
}  // namespace hexr::cli::backup

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // The first byte says how the rest comes in pieces.
  const size_t piece = 1 + data[0];
  hexr::ByteView rest(data + 1, size - 1);
  hexr::cli::backup::Checker checker;
  hexr::cli::backup::ContentParser parser(checker);
  while (!rest.empty()) {
    const size_t n = std::min(piece, rest.size());
    if (!parser.Feed(rest.first(n)).ok()) return 0;
    rest = rest.subspan(n);
  }
  (void)parser.Finish();
  return 0;
}
