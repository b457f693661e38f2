// Commands as data: one table gives parsing, --help with examples and shell completion. Each file of commands brings
// its own rows; commands.cc puts them in order.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/exit_codes.h"
#include "base/result.h"
#include "config/paths.h"

namespace hexr::cli {

// Exit codes (docs/operations.md).
inline constexpr int kYes = 0;
inline constexpr int kNo = 1;           // a negative answer: denied, verification failed
inline constexpr int kUsage = 2;        // arguments or configuration
inline constexpr int kUnreachable = 3;  // the node cannot be reached
inline constexpr int kFault = 4;        // our fault

// What --help calls a value is also what the shell offers for it: FILE, FOLDER and PATH are found on disk, TENANT,
// INSTANCE, SECRET, ENTRY, KEY and COMMAND are asked for (complete.h). Other words are only words.
struct Flag {
  std::string name;   // "--tenant", or with a short form "-d,--data"; known to commands by its last form
  std::string value;  // what --help calls its value; empty: a switch
  std::string help;
  std::string fallback = "";  // shown in --help and used where the flag is absent
  bool required = false;
  bool repeated = false;
  std::vector<std::string> choices = {};  // the only values that are taken; none: any

  std::string Key() const { return name.substr(name.rfind(',') + 1); }
  // "-d" and "--data" alike.
  bool Is(const std::string& word) const { return ("," + name + ",").find("," + word + ",") != std::string::npos; }
};

// What every command takes; --config is only shown where one reads a configuration.
const std::vector<Flag>& CommonFlags();
const Flag* FlagNamed(const std::vector<Flag>& flags, const std::string& word);

struct Positional {
  std::string name;  // "CMD"
  std::string help;
  bool required = true;
  bool rest = false;  // takes everything that is left, flags included (after --)
  bool many = false;  // any number of them, flags between them too
  std::vector<std::string> choices = {};
};

enum class Output { kText, kJson };

// One parsed command line.
class Invocation {
 public:
  std::string Get(const std::string& name) const;  // the last value, or the fallback
  std::vector<std::string> All(const std::string& name) const;
  bool Has(const std::string& name) const;  // given on the command line
  Output output = Output::kText;
  config::Paths paths;
  bool config_named = false;  // paths.config_file is from the command line

  std::map<std::string, std::vector<std::string>> values;  // by flag or positional name
  std::map<std::string, std::string> fallbacks;
};

struct Command {
  std::string path;     // "vault put"
  std::string summary;  // one line, imperative
  std::string example;  // one or more whole command lines
  std::vector<Flag> flags;
  std::vector<Positional> positionals;
  int (*run)(const Invocation&);
  bool hidden = false;  // started by hexr itself: neither in --help nor in completion
  // --config names the file that this command reads. Others ask a node that runs, or need neither.
  bool reads_config = false;
};

// Of this process's user and environment.
Result<config::Paths> PathsHere();

// OK, or which value is none of a flag's or an argument's choices.
Status CheckChoices(const Command& command, const Invocation& in);

// Reads the plainest form alone: flags with values, "--", then the rest. Nothing for all else, mistakes and --help
// among them: the full reader of app.h has the words for those.
std::optional<Invocation> ReadPlainly(const Command& command, const std::vector<std::string>& arguments);

// Every command, in the order of --help.
const std::vector<Command>& Commands();

}  // namespace hexr::cli
