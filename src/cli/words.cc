#include "cli/words.h"

#include <algorithm>
#include <set>

#include "base/nearest.h"
#include "cli/app.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

std::string Joined(const std::string& path, const std::string& word) { return path.empty() ? word : path + " " + word; }

const Command* Named(const std::string& path) {
  const auto it = std::ranges::find(Commands(), path, &Command::path);
  return it == Commands().end() ? nullptr : &*it;
}

std::string Mistake(const std::string& path, const std::string& word) {
  const std::vector<std::string> known = Followers(path);
  const std::string near = Nearest(word, {known.begin(), known.end()});
  return "no command is called '" + Joined(path, word) + "'" +
         (near.empty() ? "" : "; did you mean 'hexr " + Joined(path, near) + "'?") + "; `hexr " +
         Joined(path, "--help") + "` lists them";
}

int RunHelp(const Invocation& in) {
  std::vector<std::string> words = {"hexr"};
  for (const std::string& word : in.All("COMMAND")) words.push_back(word);
  words.push_back("--help");
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return Main(static_cast<int>(words.size()), argv.data());
}

}  // namespace

std::vector<std::string> Words(const std::string& path) {
  std::vector<std::string> words;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find(' ', at), path.size());
    words.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::vector<std::string> Followers(const std::string& path) {
  const std::string prefix = path.empty() ? "" : path + " ";
  std::vector<std::string> out;
  for (const Command& c : Commands()) {
    if (c.hidden || !c.path.starts_with(prefix)) continue;
    const std::string word = c.path.substr(prefix.size(), c.path.find(' ', prefix.size()) - prefix.size());
    if (std::ranges::find(out, word) == out.end()) out.push_back(word);
  }
  return out;
}

CommandWords FindCommand(const std::vector<std::string>& words) {
  CommandWords found;
  for (; found.used < words.size() && found.command == nullptr; ++found.used) {
    const std::string& word = words[found.used];
    if (const Flag* common = FlagNamed(CommonFlags(), word); common != nullptr && !common->value.empty()) {
      ++found.used;  // and its value
    } else if (word == "--help" || word == "-h" || word == "--version") {
      return found;
    } else if (!word.starts_with('-')) {
      const std::string longer = Joined(found.path, word);
      found.command = Named(longer);
      if (found.command == nullptr && Followers(longer).empty()) {
        found.mistake = Mistake(found.path, word);
        return found;
      }
      found.path = longer;
    }
  }
  found.used = std::min(found.used, words.size());
  return found;
}

std::vector<Command> HelpCommands() {
  return {
      {"help",
       "Show what a command does, with an example and every flag",
       "hexr help vault put",
       {},
       {{"COMMAND", "its words", false, false, true}},
       RunHelp},
  };
}

}  // namespace hexr::cli
