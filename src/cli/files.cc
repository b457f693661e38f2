#include "cli/files.h"

#include <cerrno>
#include <fstream>
#include <sstream>

namespace hexr::cli {

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return ErrnoError(path, errno);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Result<std::string> ReadNamedFile(const std::string& path) {
  auto text = ReadFile(path);
  if (!text.ok()) return InvalidArgument(text.error().message());
  return text;
}

}  // namespace hexr::cli
