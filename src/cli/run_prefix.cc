#include "cli/run_prefix.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <set>

#include "runtime/unique_fd.h"
#include "spawner/folders.h"

namespace hexr::cli {
namespace {

constexpr int kLongestChain = 16;

std::string Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool IsProgram(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && access(path.c_str(), X_OK) == 0;
}

std::string Normal(const std::string& path) {
  char folder[PATH_MAX];
  return realpath(Parent(path).c_str(), folder) != nullptr ? std::string(folder) + "/" + BaseName(path) : path;
}

std::string Look(const std::string& program, const std::string& path) {
  if (program.find('/') != std::string::npos) {
    char cwd[PATH_MAX];
    const std::string full =
        program[0] == '/' || getcwd(cwd, sizeof cwd) == nullptr ? program : std::string(cwd) + "/" + program;
    return IsProgram(full) ? Normal(full) : "";
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string full = path.substr(begin, end - begin) + "/" + program;
    if (full[0] == '/' && IsProgram(full)) return Normal(full);
    begin = end + 1;
  }
  return "";
}

class Search {
 public:
  Search(std::string path, const std::vector<std::string>& homes) : path_(std::move(path)), homes_(homes) {}

  void Follow(const std::string& program) {
    if (program.empty() || ++steps_ > kLongestChain || !seen_.insert(program).second) return;
    AddPrefixOf(program);
    char target[PATH_MAX];
    const ssize_t n = readlink(program.c_str(), target, sizeof target);
    if (n > 0) {
      const std::string link(target, static_cast<size_t>(n));
      return Follow(Normal(link[0] == '/' ? link : Parent(program) + "/" + link));
    }
    FollowInterpreter(program);
  }

  std::vector<std::string> prefixes;

 private:
  void Add(const std::string& place) {
    struct stat st {};
    if (spawner::IsSystemPath(place) || stat(place.c_str(), &st) != 0) return;
    if (std::find(prefixes.begin(), prefixes.end(), place) == prefixes.end()) prefixes.push_back(place);
  }
  void AddFolderOf(const std::string& program) {
    const std::string folder = Parent(program);
    Add(HoldsHome(folder, homes_) ? program : folder);
  }
  bool IsInHome(const std::string& folder, const char* name) const {
    return std::any_of(homes_.begin(), homes_.end(), [&](const std::string& h) { return folder == h + name; });
  }

  void AddPrefixOf(const std::string& program) {
    const std::string folder = Parent(program);
    if (BaseName(folder) != "bin" && BaseName(folder) != "shims") return AddFolderOf(program);
    const std::string prefix = Parent(folder);
    // Too much lies beside these: keys, other programs' data.
    if (HoldsHome(prefix, homes_) || IsInHome(prefix, "/.cargo")) return AddFolderOf(program);
    if (IsInHome(prefix, "/.local")) {
      Add(folder);
      return Add(prefix + "/lib");
    }
    Add(prefix);
    std::ifstream config(prefix + "/pyvenv.cfg");
    for (std::string line; std::getline(config, line);) {
      if (line.starts_with("home = ")) Follow(Look("python3", line.substr(7)));
    }
  }

  void FollowInterpreter(const std::string& program) {
    std::ifstream file(program, std::ios::binary);
    std::string line;
    if (file.get() != '#' || file.get() != '!' || !std::getline(file, line)) return;
    std::vector<std::string> words;
    for (size_t begin = line.find_first_not_of(" \t"); begin != std::string::npos && words.size() < 8;) {
      const size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
      words.push_back(line.substr(begin, end - begin));
      begin = line.find_first_not_of(" \t\r", end);
    }
    if (words.empty()) return;
    if (BaseName(words[0]) != "env") return Follow(Look(words[0], path_));
    for (size_t i = 1; i < words.size(); ++i) {
      if (words[i][0] != '-' && words[i].find('=') == std::string::npos) return Follow(Look(words[i], path_));
    }
  }

  std::string path_;
  const std::vector<std::string>& homes_;
  std::set<std::string> seen_;
  int steps_ = 0;
};

}  // namespace

std::vector<std::string> Homes() {
  std::vector<std::string> homes;
  const auto add = [&](const char* home) {
    char real[PATH_MAX];
    if (home == nullptr || home[0] != '/' || realpath(home, real) == nullptr) return;
    if (std::find(homes.begin(), homes.end(), real) == homes.end()) homes.emplace_back(real);
  };
  add(std::getenv("HOME"));
  const passwd* account = getpwuid(geteuid());
  add(account != nullptr ? account->pw_dir : nullptr);
  return homes;
}

bool HoldsHome(const std::string& folder, const std::vector<std::string>& homes) {
  return std::any_of(homes.begin(), homes.end(), [&](const std::string& h) { return spawner::IsBelow(h, folder); });
}

ProgramPlaces FindProgramPlaces(const std::string& program, const std::string& path,
                                const std::vector<std::string>& homes) {
  ProgramPlaces places;
  places.program = Look(program, path);
  Search search(path, homes);
  search.Follow(places.program);
  places.prefixes = std::move(search.prefixes);
  return places;
}

}  // namespace hexr::cli
