#include "cli/command.h"
#include "cli/completion.h"
#include "cli/node.h"

namespace hexr::cli {

const std::vector<Command>& Commands() {
  static const std::vector<Command> table = {
      {"up",
       "Start a node here, as root or as yourself",
       "hexr up",
       {{"--foreground", "", "stay in this terminal and log to it"}},
       {},
       RunUp},
      {"down", "Stop the node that runs here", "hexr down", {}, {}, RunDown},
      {"doctor", "Say what this machine gives each layer, and what is weaker here", "hexr doctor", {}, {}, RunDoctor},
      {"config show", "Print the whole configuration with every default", "hexr config show", {}, {}, RunConfigShow},
      {"config check",
       "Check a configuration file",
       "hexr config check /etc/hexr/hexr.yaml",
       {},
       {{"FILE", "the file (the node's own)", false}},
       RunConfigCheck},
      {"completion",
       "Print shell completion for bash, zsh or fish",
       "source <(hexr completion bash)",
       {},
       {{"SHELL", "bash, zsh or fish"}},
       RunCompletion},
  };
  return table;
}

}  // namespace hexr::cli
