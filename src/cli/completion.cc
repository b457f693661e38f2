#include "cli/completion.h"

#include <map>
#include <set>
#include <string>

#include "cli/output.h"

namespace hexr::cli {
namespace {

// What may follow each command prefix: "" → up down …, "config" → show check, "up" → --foreground ….
std::map<std::string, std::set<std::string>> Followers() {
  std::map<std::string, std::set<std::string>> out;
  for (const Command& c : Commands()) {
    if (c.hidden) continue;
    std::string prefix;
    size_t at = 0;
    while (at < c.path.size()) {
      const size_t end = std::min(c.path.find(' ', at), c.path.size());
      const std::string word = c.path.substr(at, end - at);
      out[prefix].insert(word);
      prefix += (prefix.empty() ? "" : " ") + word;
      at = end + 1;
    }
    for (const Flag& f : c.flags) out[prefix].insert(f.Key());
    out[prefix].insert({"--help", "--output", "--config"});
  }
  return out;
}

std::string Join(const std::set<std::string>& words) {
  std::string s;
  for (const std::string& w : words) s += (s.empty() ? "" : " ") + w;
  return s;
}

std::string Bash() {
  std::string s =
      "_hexr() {\n"
      "  local prefix= word\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case $word in --) return;; -*) ;; *) prefix=\"${prefix:+$prefix }$word\";; esac\n"
      "  done\n"
      "  local words=\n"
      "  case $prefix in\n";
  for (const auto& [prefix, words] : Followers()) s += "    \"" + prefix + "\") words=\"" + Join(words) + "\";;\n";
  s += "  esac\n"
       "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
       "}\n"
       "complete -o default -F _hexr hexr\n";
  return s;
}

std::string Fish() {
  std::string s = "complete -c hexr -f\n";
  for (const auto& [prefix, words] : Followers()) {
    std::string condition = prefix.empty() ? "__fish_use_subcommand" : "__fish_seen_subcommand_from " + prefix;
    for (const std::string& w : words) {
      s += "complete -c hexr -n '" + condition + "' ";
      s += w.starts_with("--") ? "-l " + w.substr(2) : "-a " + w;
      s += "\n";
    }
  }
  return s;
}

}  // namespace

int RunCompletion(const Invocation& in) {
  const std::string shell = in.Get("SHELL");
  if (shell == "bash") {
    PrintLine(Bash());
  } else if (shell == "zsh") {
    PrintLine("autoload -U +X bashcompinit && bashcompinit\n" + Bash());
  } else if (shell == "fish") {
    PrintLine(Fish());
  } else {
    PrintError("'" + shell + "' is not one of: bash, zsh, fish");
    return kUsage;
  }
  return kYes;
}

}  // namespace hexr::cli
