#include "cli/app.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>

#include "cli/command.h"
#include "cli/complete.h"
#include "cli/node_process.h"
#include "cli/output.h"
#include "cli/words.h"

namespace hexr::cli {
namespace {

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

// What is common to all: said before or after the command's words, once.
struct Common {
  std::map<std::string, std::string> given;  // by the flag's name
  std::map<std::string, int> times;
  std::string twice;  // the one that was given again

  void AddTo(CLI::App& app, bool config) {
    for (const Flag& f : CommonFlags()) {
      if (f.value.empty()) continue;  // --help is CLI11's own
      auto* option = app.add_option_function<std::string>(
          f.name,
          [this, name = f.name](const std::string& value) {
            if (++times[name] > 1) twice = name;
            given[name] = value;
          },
          f.help);
      option->type_name(f.value)->group(config || f.name != "--config" ? "Common" : "");
      if (!f.choices.empty()) option->check(CLI::IsMember(f.choices));
    }
  }
};

// The nested CLI11 command for "vault put", groups made on the way.
CLI::App* Make(CLI::App& root, Common& common, const Command& command) {
  CLI::App* app = &root;
  const std::vector<std::string> words = Words(command.path);
  for (size_t i = 0; i < words.size(); ++i) {
    const auto known = app->get_subcommands([&](CLI::App* a) { return a->get_name() == words[i]; });
    CLI::App* next = known.empty() ? app->add_subcommand(words[i], GroupSummary(words[i])) : known.front();
    if (known.empty() && i + 1 < words.size()) {
      next->require_subcommand(1);
      common.AddTo(*next, false);
    }
    app = next;
  }
  common.AddTo(*app, command.reads_config);
  app->description(command.summary);
  if (command.hidden) app->group("");
  app->footer("Example:\n  " + command.example);
  return app;
}

void AddArguments(CLI::App& app, const Command& command, Invocation* in) {
  for (const Flag& f : command.flags) {
    if (!f.fallback.empty()) in->fallbacks[f.Key()] = f.fallback;
    if (f.value.empty()) {
      app.add_flag_function(
          f.name, [in, name = f.Key()](int64_t) { in->values[name] = {"true"}; }, f.help);
      continue;
    }
    CLI::Option* o = app.add_option_function<std::vector<std::string>>(
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
    CLI::Option* o = app.add_option_function<std::vector<std::string>>(
        p.name, [in, name = p.name](const std::vector<std::string>& v) { in->values[name] = v; }, p.help);
    o->required(p.required);
    if (p.rest) {
      o->expected(p.required ? 1 : 0, 1 << 20);
      app.positionals_at_end();
      app.prefix_command(false);
    } else if (p.many) {
      o->expected(p.required ? 1 : 0, 1 << 20);
    } else {
      o->expected(1)->allow_extra_args(false);  // the next word is the next argument's
    }
  }
}

int RunOne(const Command& command, Invocation& in, const Common& common) {
  if (!common.twice.empty()) return Fail(InvalidArgument(common.twice + " is given twice"));
  if (const Status s = CheckChoices(command, in); !s.ok()) return Fail(s.error());
  const auto paths = PathsHere();
  if (!paths.ok()) {
    PrintError(paths.error());
    return kUsage;
  }
  in.paths = *paths;
  if (const auto config = common.given.find("--config"); config != common.given.end() && !config->second.empty()) {
    in.paths.config_file = config->second;
    in.config_named = true;
    // Nobody is to believe that it chose a node.
    if (!command.reads_config) {
      PrintError("`hexr " + command.path +
                 "` reads no configuration: --config changes nothing; HEXR_HOME names a node");
    }
  }
  const auto output = common.given.find("--output");
  in.output = output != common.given.end() && output->second == "json" ? Output::kJson : Output::kText;
  return command.run(in);
}

}  // namespace

int Main(int argc, char** argv) {
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (!words.empty() && words[0] == "complete") return Complete({words.begin() + 1, words.end()});
  const CommandWords found = FindCommand(words);
  if (!found.mistake.empty()) {
    PrintError(found.mistake);
    return kUsage;
  }
  CLI::App root{"hexr: a security runtime for AI agents", "hexr"};
  root.require_subcommand(1);
  root.set_version_flag("--version", "hexr " HEXR_VERSION);
  root.footer(
      "Each command has --help with an example. Exit codes: 0 yes, 1 no, 2 usage, 3 node not reachable, 4 a fault of "
      "ours.");
  Common common;
  common.AddTo(root, false);
  int code = kYes;
  std::vector<std::unique_ptr<Invocation>> invocations;
  for (const Command& command : Commands()) {
    CLI::App* app = Make(root, common, command);
    invocations.push_back(std::make_unique<Invocation>());
    Invocation* in = invocations.back().get();
    AddArguments(*app, command, in);
    app->callback([&, in] { code = RunOne(command, *in, common); });
  }

  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // CLI11 prints help and version itself, with code 0; everything else is the caller's mistake.
    if (e.get_exit_code() == 0) return root.exit(e);
    PrintError(std::string(e.what()) + "; see `hexr " + (found.path.empty() ? "" : found.path + " ") + "--help`");
    return kUsage;
  }
  return code;
}

}  // namespace hexr::cli
