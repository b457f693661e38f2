// `hexr` itself: runs agents, and hands every other command to hexr-commands beside it.
//
// Agents start as often as programs do. Loading what the other commands need (TLS, SQLite, YAML…) takes several times
// as long as starting an agent, so this program is linked without.
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "cli/run.h"

namespace {

int HandOn(char** argv) {
  char self[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self);
  std::string path(self, n > 0 ? static_cast<size_t>(n) : 0);
  path = path.substr(0, path.rfind('/') + 1) + "hexr-commands";
  execv(path.c_str(), argv);
  std::fprintf(stderr, "hexr: %s: %s; it belongs beside hexr\n", path.c_str(), std::strerror(errno));
  return hexr::cli::kFault;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || std::string_view(argv[1]) != "run") return HandOn(argv);
  const hexr::cli::Command& command = hexr::cli::RunCommand();
  auto invocation = hexr::cli::ReadPlainly(command, {argv + 2, argv + argc});
  const auto paths = hexr::cli::PathsHere();
  if (!invocation || !paths.ok()) return HandOn(argv);
  invocation->paths = *paths;
  return command.run(*invocation);
}
