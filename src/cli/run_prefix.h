// Where the program of a command lives when it is no system program: the folders that it needs to see, read-only.
#pragma once

#include <string>
#include <vector>

namespace hexr::cli {

struct ProgramPlaces {
  std::string program;                // absolute path of argv[0] as the caller would run it; empty: not found
  std::vector<std::string> prefixes;  // folders outside the system's, for example a virtual environment and its base
};

// Follows links ("python" → "python3.11"), "#!" lines and pyvenv.cfg from `program`, looked up in `path`
// (colon-separated). A prefix is the folder above "bin" (or "shims", of version managers); never `home` itself, of
// whose .local only bin and lib are named.
ProgramPlaces FindProgramPlaces(const std::string& program, const std::string& path, const std::string& home);

}  // namespace hexr::cli
