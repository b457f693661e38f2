#include "cli/guard/engine.h"

#include <sys/stat.h>

#include <cerrno>

namespace hexr::cli {

Result<std::unique_ptr<guard::Worker>> OpenGuard(const Invocation& in) {
  guard::EngineOptions options;
  const std::string folder = in.paths.state_dir + "/guard";
  // No node, no folder of its own: nothing is made for it.
  if (mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) options.cache_dir = folder;
  ASSIGN_OR_RETURN(auto engine, guard::Engine::Create(std::move(options)));
  return guard::Worker::Create(std::move(engine));
}

}  // namespace hexr::cli
