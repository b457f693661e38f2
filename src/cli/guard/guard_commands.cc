#include "cli/guard/guard_commands.h"

namespace hexr::cli {

std::vector<Command> GuardCommands() {
  return {
      {"guard scan",
       "Scan a text: injections, secrets, personal data, hidden text, ways out",
       "hexr guard scan --channel tool page.html\n  hexr guard scan --output json <prompt.txt",
       {{"--channel",
         "CHANNEL",
         "where the text stands",
         "user",
         false,
         false,
         {"system", "user", "tool", "retrieved", "output"}},
        {"--runes", "", "in JSON: places as code points, too"}},
       {{"FILE", "the text; stdin without", false}},
       RunGuardScan},
      {"guard eval",
       "Measure the scanners on labelled texts, thresholds as shipped",
       "hexr guard eval --task injection texts.jsonl",
       {{"--task", "TASK", "what the files are labelled for", "", true, false, {"injection", "pii", "secrets"}},
        {"--predictions", "FILE", "write each row's verdict and score there"}},
       {{"FILE", "one JSON object a line", true, false, true}},
       RunGuardEval},
      {"guard serve",
       "Serve LLM Guard's HTTP API: /analyze/prompt, /analyze/output, /scan/prompt, /scan/output",
       "hexr guard serve --listen 127.0.0.1:8000",
       {{"--listen", "ADDRESS", "IP address and port; plain HTTP, and whoever reaches it may scan", "127.0.0.1:15014"}},
       {},
       RunGuardServe},
  };
}

}  // namespace hexr::cli
