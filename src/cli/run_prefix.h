// Where the program of a command lives when it is no system program: the folders that it needs to see, read-only.
#pragma once

#include <string>
#include <vector>

namespace hexr::cli {

struct ProgramPlaces {
  std::string program;  // absolute path of argv[0] as the caller would run it; empty: not found
  // Folders outside the system's, for example a virtual environment and its base; files, where a folder would be too
  // much.
  std::vector<std::string> prefixes;
};

// Follows links ("python" → "python3.11"), "#!" lines and pyvenv.cfg from `program`, looked up in `path`
// (colon-separated). A prefix is the folder above "bin" (or "shims", of version managers). It is never a home nor what
// lies above one: of a program right there the file alone is named, of .local only bin and lib, of .cargo only bin.
ProgramPlaces FindProgramPlaces(const std::string& program, const std::string& path,
                                const std::vector<std::string>& homes);

// The caller's homes, canonical: what HOME says and what the accounts say.
std::vector<std::string> Homes();
// Whether a folder is one of the homes or has one below it.
bool HoldsHome(const std::string& folder, const std::vector<std::string>& homes);

}  // namespace hexr::cli
