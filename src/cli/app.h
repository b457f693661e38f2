// From argv to a running command.
#pragma once

namespace hexr::cli {

// Parses, runs, and returns the process's exit code. Messages go to stderr, results to stdout.
int Main(int argc, char** argv);

}  // namespace hexr::cli
