#include "cli/complete.h"

#include <algorithm>
#include <map>
#include <utility>

#include "cli/admin_client.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/words.h"

namespace hexr::cli {
namespace {

// By word, with its description.
using Candidates = std::map<std::string, std::string>;

constexpr std::string_view kFiles = ":files";

struct Asked {
  const char* method;
  const char* list;         // the member that holds the objects
  const char* word;         // of each, what is typed
  const char* description;  // of each
};

// What a running node knows, by what --help calls it.
const std::map<std::string_view, Asked> kAsked = {
    {"TENANT", {"tenant.list", "tenants", "tenant", "state"}},
    {"INSTANCE", {"ps", "instances", "instance", "spiffe_id"}},
    {"TARGET", {"ps", "instances", "instance", "spiffe_id"}},
    {"SECRET", {"vault.list", "secrets", "name", "updated"}},
    {"ENTRY", {"entry.list", "entries", "entry", "spiffe_id"}},
    {"KEY", {"authority.list", "keys", "id", "use"}},
    {"TRUST_DOMAIN", {"bundle.list", "bundles", "trust_domain", "source"}},
};

Candidates FromNode(const Asked& asked) {
  Candidates out;
  const auto paths = PathsHere();
  if (!paths.ok()) return out;
  const auto reply = Admin(*paths, asked.method, {});
  if (!reply.ok()) return out;
  if (const wire::JsonArray* items = reply->json.FindArray(asked.list)) {
    for (const wire::Json& item : *items) out[Text(item, asked.word)] = Text(item, asked.description);
  }
  return out;
}

Candidates Values(const std::string& kind, const std::vector<std::string>& choices) {
  Candidates out;
  for (const std::string& choice : choices) out[choice];
  if (!choices.empty()) return out;
  if (const auto asked = kAsked.find(kind); asked != kAsked.end()) return FromNode(asked->second);
  for (const std::string_view file : {"FILE", "FOLDER", "PATH", "CMD"}) {
    if (kind == file) out[std::string(kFiles)];
  }
  return out;
}

Candidates NextWords(const std::string& path) {
  Candidates out;
  for (const std::string& word : Followers(path)) {
    const auto command = std::ranges::find(Commands(), path.empty() ? word : path + " " + word, &Command::path);
    out[word] = command == Commands().end() ? "" : command->summary;
  }
  return out;
}

std::vector<Flag> FlagsOf(const Command* command) {
  std::vector<Flag> flags = command == nullptr ? std::vector<Flag>() : command->flags;
  for (const Flag& f : CommonFlags()) {
    if (f.name != "--config" || (command != nullptr && command->reads_config)) flags.push_back(f);
  }
  return flags;
}

// What follows a command's own words: values of flags, flags, arguments in their order.
Candidates Arguments(const Command& command, const std::vector<std::string>& words, size_t at) {
  const std::vector<Flag> flags = FlagsOf(&command);
  const std::string& typed = words.back();
  size_t position = 0;
  bool only_arguments = false;
  for (; at + 1 < words.size(); ++at) {
    const std::string& word = words[at];
    if (only_arguments || !word.starts_with('-') || word == "-") {
      ++position;
    } else if (word == "--") {
      only_arguments = true;
    } else if (const Flag* f = FlagNamed(flags, word); f != nullptr && !f->value.empty()) {
      size_t value = at + 1;
      if (value < words.size() && words[value] == "=" && value + 1 < words.size()) ++value;  // bash: a word of its own
      if (value + 1 == words.size()) return Values(f->value, f->choices);
      at = value;
    }
  }
  if (!only_arguments && typed.starts_with('-')) {
    Candidates out;
    for (const Flag& f : flags) out[f.Key()] = f.help;
    return out;
  }
  const std::vector<Positional>& all = command.positionals;
  if (all.empty() || (position >= all.size() && !all.back().many && !all.back().rest)) return {};
  const Positional& p = all[std::min(position, all.size() - 1)];
  if (p.name == "COMMAND") {
    std::string path;
    for (size_t i = words.size() - 1 - position; i + 1 < words.size(); ++i)
      path += (path.empty() ? "" : " ") + words[i];
    return NextWords(path);
  }
  return Values(p.name, p.choices);
}

Candidates After(const std::vector<std::string>& words) {
  if (words.empty()) return {};
  const std::vector<std::string> before(words.begin(), words.end() - 1);
  const CommandWords found = FindCommand(before);
  if (!found.mistake.empty()) return {};
  if (found.command != nullptr) return Arguments(*found.command, words, found.used);
  if (const Flag* f = before.empty() ? nullptr : FlagNamed(CommonFlags(), before.back());
      f != nullptr && !f->value.empty())
    return Values(f->value, f->choices);
  if (!words.back().starts_with('-')) return NextWords(found.path);
  Candidates out;
  for (const Flag& f : FlagsOf(nullptr)) out[f.Key()] = f.help;
  return out;
}

}  // namespace

int Complete(const std::vector<std::string>& words) {
  const std::string typed = words.empty() || words.back() == "=" ? "" : words.back();
  for (const auto& [word, description] : After(words)) {
    if (word == kFiles || word.starts_with(typed)) PrintLine(word + (word == kFiles ? "" : "\t" + description));
  }
  return kYes;
}

}  // namespace hexr::cli
