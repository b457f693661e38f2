#include "spawner/node_places.h"

#include <sys/stat.h>
#include <unistd.h>

#include <climits>

#include "base/limits/agents.h"

namespace hexr::spawner {

void NodePlaces::Add(const std::string& path) {
  std::string at, rest = path;  // `at` is without links and exists; "" is the root
  for (int links = 0; !rest.empty();) {
    const size_t end = rest.find('/');
    const std::string name = rest.substr(0, end);
    rest = end == std::string::npos ? "" : rest.substr(end + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      at.resize(at.empty() ? 0 : at.rfind('/'));
      continue;
    }
    const std::string next = at + "/" + name;
    struct stat st {};
    if (lstat(next.c_str(), &st) != 0) {
      names.push_back(next);
      return;
    }
    if (!S_ISLNK(st.st_mode)) {
      at = next;
      continue;
    }
    names.push_back(next);
    char target[PATH_MAX];
    const ssize_t n = readlink(next.c_str(), target, sizeof target);
    if (n <= 0 || ++links > limits::kMaxNodeLinks) return;
    if (target[0] == '/') at.clear();
    rest = std::string(target, static_cast<size_t>(n)) + "/" + rest;
  }
  places.push_back(at.empty() ? "/" : at);
}

NodePlaces NodePlacesOf(const config::Paths& paths) {
  const auto parent = [](const std::string& p) { return p.substr(0, p.rfind('/')); };
  const std::string folder = parent(paths.config_file);
  // A configuration may lie in a folder of the user's: of such a one, the file.
  const bool own = folder.ends_with("/hexr") || (!folder.empty() && parent(folder) == parent(paths.state_dir));
  NodePlaces out;
  if (own) out.Add(folder);
  for (const std::string& p : {paths.state_dir, paths.run_dir, paths.config_file}) {
    if (!p.empty()) out.Add(p);
  }
  return out;
}

}  // namespace hexr::spawner
