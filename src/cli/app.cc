#include "cli/app.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>

#include "cli/command.h"
#include "cli/node_process.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

std::vector<std::string> Words(const std::string& path) {
  std::vector<std::string> words;
  size_t at = 0;
  while (at < path.size()) {
    const size_t end = std::min(path.find(' ', at), path.size());
    words.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

// What --help says of a word that only leads to others.
std::string GroupSummary(const std::string& word) {
  static const std::map<std::string, std::string> summaries = {
      {"authority", "The keys that sign identities"},
      {"bundle", "Trust bundles, this trust domain's and others'"},
      {"config", "The node's configuration"},
      {"entry", "Identities for services that hexr did not launch"},
      {"ledger", "Evidence: read it, check it, prove from it, witness it"},
      {"policy", "Write, test, build and sign policies"},
      {"svid", "A workload's own identity"},
      {"tenant", "Tenants: each with keys, a gateway and a log of its own"},
      {"vault", "Secrets, sealed at rest"},
  };
  const auto it = summaries.find(word);
  return it == summaries.end() ? "" : it->second;
}

// The nested CLI11 command for "vault put", groups made on the way.
CLI::App* Make(CLI::App& root, const Command& command) {
  CLI::App* app = &root;
  const std::vector<std::string> words = Words(command.path);
  for (size_t i = 0; i < words.size(); ++i) {
    const auto known = app->get_subcommands([&](CLI::App* a) { return a->get_name() == words[i]; });
    CLI::App* next = known.empty() ? app->add_subcommand(words[i], GroupSummary(words[i])) : known.front();
    if (i + 1 < words.size()) next->require_subcommand(1);
    app = next;
  }
  app->description(command.summary);
  if (command.hidden) app->group("");
  app->footer("Example:\n  " + command.example);
  return app;
}

}  // namespace

int Main(int argc, char** argv) {
  CLI::App root{"hexr: a security runtime for AI agents", "hexr"};
  root.require_subcommand(1);
  root.set_version_flag("--version", "hexr " HEXR_VERSION);
  root.footer(
      "Each command has --help with an example. Exit codes: 0 yes, 1 no, 2 usage, 3 node not reachable, 4 a fault of "
      "ours.");
  std::string output = "text", config_file;
  int code = kYes;
  std::vector<std::unique_ptr<Invocation>> invocations;

  for (const Command& command : Commands()) {
    CLI::App* app = Make(root, command);
    invocations.push_back(std::make_unique<Invocation>());
    Invocation* in = invocations.back().get();
    app->add_option("--output", output, "text or json")->check(CLI::IsMember({"text", "json"}))->group("Common");
    app->add_option("--config", config_file, "the node's configuration file")->type_name("FILE")->group("Common");
    for (const Flag& f : command.flags) {
      if (!f.fallback.empty()) in->fallbacks[f.Key()] = f.fallback;
      if (f.value.empty()) {
        app->add_flag_function(
            f.name, [in, name = f.Key()](int64_t) { in->values[name] = {"true"}; }, f.help);
        continue;
      }
      CLI::Option* o = app->add_option_function<std::vector<std::string>>(
          f.name, [in, name = f.Key()](const std::vector<std::string>& v) { in->values[name] = v; },
          f.help + (f.fallback.empty() ? "" : " (" + f.fallback + ")"));
      o->type_name(f.value)->required(f.required)->allow_extra_args(false);
      // A repeated single-valued flag is a mistake that picks a value silently: refused.
      if (f.repeated)
        o->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      else
        o->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    }
    for (const Positional& p : command.positionals) {
      CLI::Option* o = app->add_option_function<std::vector<std::string>>(
          p.name, [in, name = p.name](const std::vector<std::string>& v) { in->values[name] = v; }, p.help);
      o->required(p.required);
      if (p.rest) {
        o->expected(p.required ? 1 : 0, 1 << 20);
        app->positionals_at_end();
        app->prefix_command(false);
      } else if (p.many) {
        o->expected(p.required ? 1 : 0, 1 << 20);
      } else {
        o->expected(1)->allow_extra_args(false);  // the next word is the next argument's
      }
    }
    app->callback([&, in, run = command.run] {
      const auto paths = PathsHere();
      if (!paths.ok()) {
        PrintError(paths.error());
        code = kUsage;
        return;
      }
      in->paths = *paths;
      if (!config_file.empty()) in->paths.config_file = config_file;
      in->output = output == "json" ? Output::kJson : Output::kText;
      code = run(*in);
    });
  }

  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // CLI11 prints help and version itself, with code 0; everything else is the caller's mistake.
    return root.exit(e) == 0 ? kYes : kUsage;
  }
  return code;
}

}  // namespace hexr::cli
