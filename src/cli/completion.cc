#include "cli/completion.h"

#include <map>
#include <string>

#include "cli/output.h"

namespace hexr::cli {
namespace {

// What may follow each command prefix, with its description: "" → up down …, "config" → show check, "up" →
// --foreground.
using Followers = std::map<std::string, std::map<std::string, std::string>>;

Followers AllFollowers() {
  Followers out;
  for (const Command& c : Commands()) {
    if (c.hidden) continue;
    std::string prefix;
    for (size_t at = 0; at < c.path.size();) {
      const size_t end = std::min(c.path.find(' ', at), c.path.size());
      const std::string word = c.path.substr(at, end - at);
      out[prefix].insert({word, end == c.path.size() ? c.summary : ""});
      prefix += (prefix.empty() ? "" : " ") + word;
      at = end + 1;
    }
    auto& here = out[prefix];
    for (const Flag& f : c.flags) here[f.Key()] = f.help;
    here.insert({{"--help", "an example, and every flag"},
                 {"--output", "text or json"},
                 {"--config", "the node's configuration file"}});
  }
  return out;
}

std::string Names(const std::map<std::string, std::string>& words) {
  std::string s;
  for (const auto& [word, description] : words) s += (s.empty() ? "" : " ") + word;
  return s;
}

// In single quotes of a shell.
std::string Quoted(const std::string& text) {
  std::string s = "'";
  for (const char c : text) s += c == '\'' ? "'\\''" : std::string(1, c);
  return s + "'";
}

// The prefix is found by what is known: a flag's value or an argument in between does not lead astray. The same lines
// in bash and zsh.
std::string FindPrefix(const Followers& all, const std::string& words) {
  std::string known;
  for (const auto& [prefix, followers] : all) {
    if (!prefix.empty()) known += (known.empty() ? "" : "|") + ("\"" + prefix + "\"");
  }
  return "  local prefix= word\n"
         "  for word in " +
         words +
         "; do\n"
         "    [ \"$word\" = -- ] && return\n"
         "    case \"${prefix:+$prefix }$word\" in\n"
         "      " +
         known +
         ") prefix=\"${prefix:+$prefix }$word\";;\n"
         "    esac\n"
         "  done\n";
}

// What bash and zsh say differently around the same function.
struct PosixShell {
  std::string head, typed, local, tail;
  std::string (*offer)(const std::map<std::string, std::string>& words);
};

std::string Function(const Followers& all, const PosixShell& shell) {
  std::string s = shell.head + "_hexr() {\n" + FindPrefix(all, shell.typed) + "  local " + shell.local +
                  "\n"
                  "  case $prefix in\n";
  for (const auto& [prefix, words] : all) s += "    \"" + prefix + "\") " + shell.offer(words) + ";;\n";
  return s + "  esac\n" + shell.tail;
}

std::string Bash(const Followers& all) {
  return Function(all, {.head = "",
                        .typed = "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"",
                        .local = "words=",
                        .tail = "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
                                "}\n"
                                "complete -o default -F _hexr hexr\n",
                        .offer = [](const auto& words) { return "words=\"" + Names(words) + "\""; }});
}

std::string Zsh(const Followers& all) {
  return Function(all, {.head = "#compdef hexr\n",
                        .typed = "\"${(@)words[2,CURRENT-1]}\"",
                        .local = "-a found",
                        .tail = "  _describe command found || _files\n"
                                "}\n"
                                "compdef _hexr hexr\n",
                        .offer = [](const auto& words) {
                          std::string s = "found=(";
                          for (const auto& [word, description] : words) {
                            s += "\n      " + Quoted(word + ":" + description);
                          }
                          return s + ")";
                        }});
}

std::string Fish(const Followers& all) {
  std::string known;
  for (const auto& [prefix, followers] : all) {
    if (!prefix.empty()) known += " " + Quoted(prefix);
  }
  std::string s =
      "function __hexr_at\n"
      "  set -l prefix ''\n"
      "  for word in (commandline -opc)[2..]\n"
      "    test \"$word\" = --; and return 1\n"
      "    set -l longer (string trim \"$prefix $word\")\n"
      "    contains -- $longer" +
      known +
      "; and set prefix $longer\n"
      "  end\n"
      "  test \"$prefix\" = \"$argv\"\n"
      "end\n";
  for (const auto& [prefix, words] : all) {
    for (const auto& [word, description] : words) {
      s += "complete -c hexr -n " + Quoted("__hexr_at " + prefix) + " ";
      if (word.starts_with("--"))
        s += "-l " + word.substr(2);
      else if (word.starts_with('-'))
        s += "-s " + word.substr(1);
      else
        s += "-f -a " + word;
      s += " -d " + Quoted(description) + "\n";
    }
  }
  return s;
}

int RunCompletion(const Invocation& in) {
  const std::string shell = in.Get("SHELL");
  const Followers all = AllFollowers();
  if (shell == "bash") {
    PrintLine(Bash(all));
  } else if (shell == "zsh") {
    PrintLine(Zsh(all));
  } else if (shell == "fish") {
    PrintLine(Fish(all));
  } else {
    PrintError("'" + shell + "' is not one of: bash, zsh, fish");
    return kUsage;
  }
  return kYes;
}

}  // namespace

std::vector<Command> CompletionCommands() {
  return {
      {"completion",
       "Print shell completion for bash, zsh or fish",
       "source <(hexr completion bash)",
       {},
       {{"SHELL", "bash, zsh or fish"}},
       RunCompletion},
  };
}

}  // namespace hexr::cli
