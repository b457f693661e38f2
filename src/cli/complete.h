// What may come next on a command line, for the shells: `hexr complete WORD…`, whose last word is the one being typed.
// The scripts of completion.h ask it with every Tab, so that they know nothing of commands themselves.
#pragma once

#include <string>
#include <vector>

namespace hexr::cli {

// One candidate a line, "word<TAB>description"; ":files" alone where a path is expected. A node that cannot be asked
// offers nothing: never an error. Returns the exit code.
int Complete(const std::vector<std::string>& words);

}  // namespace hexr::cli
