#include "policy/rego/engine.h"

#include "policy/rego/plan/planner.h"

namespace hexr::rego {

std::unique_ptr<Policy> Policy::Compile(const std::vector<Source>& sources, const PolicyOptions& options,
                                        std::vector<Diagnostic>& errors) {
  size_t before = errors.size();
  std::vector<std::unique_ptr<Module>> modules;
  for (const Source& s : sources) {
    ParseOptions parse{options.version, static_cast<uint32_t>(modules.size())};
    if (auto m = ParseModule(s.file, s.text, parse, errors)) modules.push_back(std::move(m));
  }
  if (errors.size() != before) return nullptr;
  auto policy = std::unique_ptr<Policy>(new Policy(options));
  if (!policy->compiler_.Compile(std::move(modules)) || !Planner::PlanRules(policy->compiler_, policy->program_)) {
    errors.insert(errors.end(), policy->compiler_.errors().begin(), policy->compiler_.errors().end());
    return nullptr;
  }
  return policy;
}

int Policy::AddQuery(std::string_view query, std::vector<Diagnostic>& errors) {
  ParseOptions parse{options_.version, static_cast<uint32_t>(compiler_.modules().size())};
  auto body = ParseQuery(query, parse, errors);
  if (!body) return -1;
  size_t before = compiler_.errors().size();
  int function = -1;
  if (compiler_.CompileQuery(*body)) function = Planner::PlanQuery(compiler_, *body, program_);
  errors.insert(errors.end(), compiler_.errors().begin() + static_cast<std::ptrdiff_t>(before),
                compiler_.errors().end());
  return function;
}

int Policy::FindDocument(std::string_view path) const {
  int place = 0;
  if (!path.starts_with("data")) return -1;
  path.remove_prefix(4);
  Arena arena(256);
  while (!path.empty() && place >= 0) {
    if (path[0] != '.') return -1;
    path.remove_prefix(1);
    size_t dot = path.find('.');
    place = program_.tree[static_cast<size_t>(place)].Child(Value::String(arena, path.substr(0, dot)));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot);
  }
  return place;
}

int Policy::Find(std::string_view path) const {
  int place = FindDocument(path);
  return place < 0 ? -1 : program_.tree[static_cast<size_t>(place)].function;
}

}  // namespace hexr::rego
