#include "cli/completion.h"

#include <map>
#include <string>

#include "cli/output.h"

namespace hexr::cli {
namespace {

constexpr char kBash[] = R"(_hexr() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = :files ]; then
      compopt -o default 2>/dev/null
      return
    fi
    COMPREPLY+=("${line%%$'\t'*}")
  done < <(hexr complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _hexr hexr
)";

constexpr char kZsh[] = R"zsh(#compdef hexr
_hexr() {
  local -a found
  found=(${(f)"$(hexr complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if [[ "${found[1]}" == :files ]]; then
    _files
    return
  fi
  found=("${(@)found//:/\\:}")
  found=("${(@)found/$'\t'/:}")
  _describe command found
}
compdef _hexr hexr
)zsh";

constexpr char kFish[] = R"(function __hexr_complete
  set -l words (commandline -opc)
  set -l typed (commandline -ct)
  for line in (hexr complete $words[2..] "$typed" 2>/dev/null)
    if test "$line" = :files
      __fish_complete_path "$typed"
    else
      echo $line
    end
  end
end
complete -c hexr -f -a '(__hexr_complete)'
)";

int RunCompletion(const Invocation& in) {
  static const std::map<std::string, const char*> scripts = {{"bash", kBash}, {"zsh", kZsh}, {"fish", kFish}};
  const std::string shell = in.Get("SHELL"), script = scripts.at(shell);
  if (in.output == Output::kJson)
    PrintJson(wire::JsonObject{{"shell", shell}, {"script", script}});
  else
    PrintLine(script);
  return kYes;
}

}  // namespace

std::vector<Command> CompletionCommands() {
  return {
      {"completion",
       "Print shell completion for bash, zsh or fish",
       "source <(hexr completion bash)",
       {},
       {{"SHELL", "bash, zsh or fish", true, false, false, {"bash", "zsh", "fish"}}},
       RunCompletion},
  };
}

}  // namespace hexr::cli
