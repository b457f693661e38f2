// Which file an interpreter is told to run, read off its command line as it reads it itself, or not at all.
//
// Known are interpreters of the machine's own folders, by name; of these the options that neither bring code of their
// own nor change what the arguments after them mean. Whatever else stands there, a later version's options among it,
// leaves no script: to be told none is no harm, to be told another one is.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hexr::spawner {

// `exe`: the program's path, no link on it. Python 3, bash, dash, Perl and Node.js.
bool IsKnownInterpreter(std::string_view exe);
// The place in `argv` of the script that `exe` runs; none: code from the command line, a module, standard input or an
// interactive session, another program, or it cannot be told. Where the file is not there, nothing runs, or (bash,
// Node) something else: whoever asks has to find it.
std::optional<size_t> ScriptArgument(std::string_view exe, const std::vector<std::string>& argv);
// The arguments that a /proc/PID/cmdline begins with; one that is cut off is left out.
std::vector<std::string> ArgumentsOf(std::string_view cmdline);

// What runs for a file that begins so: what its "#!" names, the shell for other text; empty for a program.
std::string InterpreterOf(std::string_view head);
// The kernel reads this file's first line itself, or a shell reads the file, and what reads it is the machine's own.
bool IsScriptOfTheMachine(std::string_view head);

}  // namespace hexr::spawner
