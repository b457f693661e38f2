#include "cli/policy/common.h"

#include <cstdio>

#include "base/limits/rego.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"

namespace hexr::cli {

Result<policy::Documents> LoadPolicies(const Invocation& in) {
  std::vector<std::string> paths = in.All("--data");
  for (const std::string& p : in.All("PATH")) paths.push_back(p);
  ASSIGN_OR_RETURN(policy::Documents all, policy::LoadPaths(paths, {.ignore = in.All("--ignore")}));
  const std::vector<std::string> bundles = in.All("--bundle");
  if (bundles.empty()) return all;
  ASSIGN_OR_RETURN(policy::Documents more, policy::LoadPaths(bundles, {.bundles = true, .ignore = in.All("--ignore")}));
  for (auto& s : more.sources) all.sources.push_back(std::move(s));
  all.shared.insert(all.shared.end(), more.shared.begin(), more.shared.end());
  all.shared.push_back(more.arena);
  all.revision = more.revision;
  RETURN_IF_ERROR(all.Merge({}, more.data));
  return all;
}

Result<std::string> ReadStdin() {
  std::string out;
  char block[1 << 16];
  while (size_t n = std::fread(block, 1, sizeof block, stdin)) {
    out.append(block, n);
    if (out.size() > limits::kMaxPolicyFileBytes) return InvalidArgument("stdin: too large");
  }
  return out;
}

Result<std::string> ReadInput(const Invocation& in) {
  if (in.Has("--stdin-input")) return ReadStdin();
  const std::string file = in.Get("--input");
  if (file.empty()) return std::string();
  ASSIGN_OR_RETURN(std::string text, policy::ReadPolicyFile(file));
  rego::Arena arena;
  if (rego::ParseJson(arena, text).ok()) return text;
  const bool yaml = file.ends_with(".yaml") || file.ends_with(".yml");
  auto value = yaml ? rego::ParseYaml(arena, text) : rego::ParseJson(arena, text);
  if (!value.ok()) return value.error().WithContext(file);
  return rego::ToJson(*value);
}

rego::Version VersionOf(const Invocation& in) {
  return in.Has("--v0-compatible") ? rego::Version::kV0 : rego::Version::kV1;
}

void Print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void PrintNotes(const std::vector<std::string>& lines) {
  std::fflush(stdout);
  for (const std::string& l : lines) std::fprintf(stderr, "%s\n", l.c_str());
}

}  // namespace hexr::cli
