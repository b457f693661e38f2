#include <unistd.h>

#include <algorithm>

#include "cli/command.h"

namespace hexr::cli {

std::string Invocation::Get(const std::string& name) const {
  const auto it = values.find(name);
  if (it != values.end() && !it->second.empty()) return it->second.back();
  const auto f = fallbacks.find(name);
  return f == fallbacks.end() ? std::string() : f->second;
}

std::vector<std::string> Invocation::All(const std::string& name) const {
  const auto it = values.find(name);
  return it == values.end() ? std::vector<std::string>() : it->second;
}

bool Invocation::Has(const std::string& name) const {
  const auto it = values.find(name);
  return it != values.end() && !it->second.empty();
}

Result<config::Paths> PathsHere() {
  std::map<std::string, std::string> environment;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string_view line(*e);
    const size_t eq = line.find('=');
    if (eq != std::string_view::npos) environment.emplace(line.substr(0, eq), line.substr(eq + 1));
  }
  return config::Paths::From(geteuid() == 0, environment);
}

const std::vector<Flag>& CommonFlags() {
  static const std::vector<Flag> flags = {{"--output", "FORMAT", "text or json", "", false, false, {"text", "json"}},
                                          {"--config", "FILE", "the node's configuration file"},
                                          {"--help", "", "an example, and every flag"}};
  return flags;
}

const Flag* FlagNamed(const std::vector<Flag>& flags, const std::string& word) {
  const auto it = std::ranges::find_if(flags, [&](const Flag& f) { return f.Is(word); });
  return it == flags.end() ? nullptr : &*it;
}

Status CheckChoices(const Command& command, const Invocation& in) {
  const auto check = [&](const std::string& name, const std::vector<std::string>& choices) -> Status {
    for (const std::string& value : in.All(name)) {
      if (choices.empty() || std::ranges::find(choices, value) != choices.end()) continue;
      std::string list;
      for (const std::string& c : choices) list += (list.empty() ? "" : ", ") + c;
      return InvalidArgument(name + ": '" + value + "' is not one of: " + list);
    }
    return Ok();
  };
  for (const Flag& f : command.flags) RETURN_IF_ERROR(check(f.Key(), f.choices));
  for (const Positional& p : command.positionals) RETURN_IF_ERROR(check(p.name, p.choices));
  return Ok();
}

std::optional<Invocation> ReadPlainly(const Command& command, const std::vector<std::string>& arguments) {
  Invocation in;
  for (const Flag& f : command.flags) {
    if (!f.fallback.empty()) in.fallbacks[f.Key()] = f.fallback;
  }
  size_t at = 0;
  for (; at < arguments.size() && arguments[at] != "--"; ++at) {
    const std::string& word = arguments[at];
    const size_t eq = word.find('=');
    const Flag* flag = FlagNamed(command.flags, word.substr(0, eq));
    if (flag == nullptr || flag->value.empty()) return std::nullopt;
    const std::string name = flag->Key();
    if (!flag->repeated && in.Has(name)) return std::nullopt;
    if (eq == std::string::npos && ++at == arguments.size()) return std::nullopt;
    std::string value = eq == std::string::npos ? arguments[at] : word.substr(eq + 1);
    if (value.empty() || value[0] == '-') return std::nullopt;
    in.values[name].push_back(std::move(value));
  }
  if (at + 1 >= arguments.size() || command.positionals.size() != 1 || !command.positionals[0].rest)
    return std::nullopt;
  in.values[command.positionals[0].name].assign(arguments.begin() + static_cast<ptrdiff_t>(at) + 1, arguments.end());
  for (const Flag& f : command.flags) {
    if (f.required && !in.Has(f.Key())) return std::nullopt;
  }
  if (!CheckChoices(command, in).ok()) return std::nullopt;
  return in;
}

}  // namespace hexr::cli
