// The words that name a command: "vault put". Stateless; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<std::string> Words(const std::string& path);

// What the words of a command line name, flags in between left aside.
struct CommandWords {
  std::string path;                  // as far as it is known: "", "vault", "vault put"
  const Command* command = nullptr;  // absent: nothing more than a group
  size_t used = 0;                   // how many words were read, flags among them
  std::string mistake;               // for people, with the nearest that there is; empty: none, or one for CLI11
};
CommandWords FindCommand(const std::vector<std::string>& words);

// What may follow a path, in the order of --help: "vault" gives put, get, list…
std::vector<std::string> Followers(const std::string& path);

std::vector<Command> HelpCommands();

}  // namespace hexr::cli
