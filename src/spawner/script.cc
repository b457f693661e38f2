#include "spawner/script.h"

#include <algorithm>
#include <array>
#include <span>

#include "spawner/folders.h"

namespace hexr::spawner {
namespace {

// How an interpreter reads what stands before its script.
struct Grammar {
  std::string_view name;                    // a version may follow it
  std::string_view flags;                   // letters without a value; several in one argument
  std::string_view values;                  // letters with one: what follows in the argument, else the next argument
  bool shell = false;                       // "+" turns off, and "o" takes the next argument, whatever follows it
  std::span<const std::string_view> words;  // whole arguments; one that ends in "=" has its value behind that
};

// Not -i and -s, which read more than the script, and not -n, which runs none of it.
constexpr std::array<std::string_view, 3> kBashWords = {"--norc", "--noprofile", "--posix"};
// Of what a shell's -o names: dash takes "stdin" and "noexec" there, too.
constexpr std::array<std::string_view, 7> kSettings = {"errexit", "nounset", "pipefail", "xtrace",
                                                       "noglob",  "verbose", "allexport"};
// Not what loads other code ahead of the script (-r, --import), nor --watch and --test, which leave it to a child.
constexpr std::array<std::string_view, 12> kNodeWords = {
    "--enable-source-maps", "--no-warnings",        "--trace-warnings",      "--no-deprecation",
    "--trace-deprecation",  "--throw-deprecation",  "--trace-uncaught",      "--expose-gc",
    "--use-strict",         "--stack-trace-limit=", "--max-old-space-size=", "--unhandled-rejections="};

constexpr std::array<Grammar, 5> kGrammars = {{
    {"python3", "bBdEIOPqRsSuvx", "WX", false, {}},
    {"bash", "abefhkmpuvxBCEHPT", "", true, kBashWords},
    {"dash", "abefmuvxC", "", true, {}},
    {"perl", "wWXtT", "I", false, {}},
    {"node", "", "", false, kNodeWords},
}};

const Grammar* GrammarOf(std::string_view exe) {
  if (!IsSystemPath(std::string(exe))) return nullptr;
  const std::string_view name = exe.substr(exe.rfind('/') + 1);
  const auto known = std::ranges::find_if(kGrammars, [&](const Grammar& g) {
    return name.starts_with(g.name) && name.find_first_not_of("0123456789.", g.name.size()) == std::string_view::npos;
  });
  return known == kGrammars.end() ? nullptr : &*known;
}

bool IsWord(const Grammar& g, std::string_view argument) {
  return std::ranges::any_of(g.words, [&](std::string_view w) {
    return w.ends_with('=') ? argument.size() > w.size() && argument.starts_with(w) : argument == w;
  });
}

// How many arguments after the option at `at` belong to it; none: it is not known.
std::optional<size_t> ValuesOf(const Grammar& g, const std::vector<std::string>& argv, size_t at) {
  const std::string& option = argv[at];
  if (IsWord(g, option)) return 0;
  size_t taken = 0;
  for (size_t i = 1; i < option.size(); ++i) {
    const char letter = option[i];
    if (g.flags.find(letter) != std::string_view::npos) continue;
    if (g.shell && letter == 'o') {
      ++taken;
      if (at + taken >= argv.size() || std::ranges::find(kSettings, argv[at + taken]) == kSettings.end())
        return std::nullopt;
      continue;
    }
    if (g.values.find(letter) == std::string_view::npos) return std::nullopt;
    return i + 1 == option.size() ? 1 : 0;
  }
  return taken;
}

}  // namespace

bool IsKnownInterpreter(std::string_view exe) { return GrammarOf(exe) != nullptr; }

std::optional<size_t> ScriptArgument(std::string_view exe, const std::vector<std::string>& argv) {
  const Grammar* const g = GrammarOf(exe);
  if (g == nullptr) return std::nullopt;
  size_t at = 1;
  for (; at < argv.size(); ++at) {
    const std::string& a = argv[at];
    if (a == "--") {
      ++at;
      break;
    }
    const bool option = a.starts_with('-') || (g->shell && a.starts_with('+'));
    if (!option) break;
    if (a.size() == 1) return std::nullopt;  // "-": standard input, or the end of options
    const std::optional<size_t> values = ValuesOf(*g, argv, at);
    if (!values) return std::nullopt;
    at += *values;
  }
  if (at >= argv.size() || argv[at].empty() || argv[at][0] == '-') return std::nullopt;
  // Commands of Node's own, whatever files lie there.
  if (g->name == "node" && (argv[at] == "inspect" || argv[at] == "debug")) return std::nullopt;
  return at;
}

std::vector<std::string> ArgumentsOf(std::string_view cmdline) {
  std::vector<std::string> out;
  for (size_t end = 0; (end = cmdline.find('\0')) != std::string_view::npos; cmdline.remove_prefix(end + 1))
    out.emplace_back(cmdline.substr(0, end));
  return out;
}

std::string InterpreterOf(std::string_view head) {
  if (head.starts_with("#!")) {
    std::string_view line = head.substr(2, head.find('\n') - 2);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    return std::string(line.substr(0, line.find_first_of(" \t")));
  }
  return head.starts_with(
             "\x7f"
             "ELF")
             ? ""
             : "/bin/sh";
}

bool IsScriptOfTheMachine(std::string_view head) {
  if (head.empty()) return false;  // it could not be read
  const std::string interpreter = InterpreterOf(head);
  return IsNormalPath(interpreter) && IsSystemPath(interpreter);
}

}  // namespace hexr::spawner
