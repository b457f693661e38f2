#include <unistd.h>

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

std::optional<Invocation> ReadPlainly(const Command& command, const std::vector<std::string>& arguments) {
  Invocation in;
  for (const Flag& f : command.flags) {
    if (!f.fallback.empty()) in.fallbacks[f.name] = f.fallback;
  }
  size_t at = 0;
  for (; at < arguments.size() && arguments[at] != "--"; ++at) {
    const std::string& word = arguments[at];
    const size_t eq = word.find('=');
    const std::string name = word.substr(0, eq);
    const Flag* flag = nullptr;
    for (const Flag& f : command.flags) {
      if (f.name == name && !f.value.empty()) flag = &f;
    }
    if (flag == nullptr || (!flag->repeated && in.Has(name))) return std::nullopt;
    if (eq == std::string::npos && ++at == arguments.size()) return std::nullopt;
    std::string value = eq == std::string::npos ? arguments[at] : word.substr(eq + 1);
    if (value.empty() || value[0] == '-') return std::nullopt;
    in.values[name].push_back(std::move(value));
  }
  if (at + 1 >= arguments.size() || command.positionals.size() != 1 || !command.positionals[0].rest)
    return std::nullopt;
  in.values[command.positionals[0].name].assign(arguments.begin() + static_cast<ptrdiff_t>(at) + 1, arguments.end());
  for (const Flag& f : command.flags) {
    if (f.required && !in.Has(f.name)) return std::nullopt;
  }
  return in;
}

}  // namespace hexr::cli
