#include "policy/policy_set.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "base/limits/rego.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"

namespace hexr::policy {
namespace {

namespace fs = std::filesystem;

// Objects are merged; where anything else meets, the right side stands.
rego::Value Merge(rego::Arena& arena, const rego::Value& a, const rego::Value& b) {
  if (!a.is_object() || !b.is_object()) return b;
  rego::ObjectBuilder out(arena, a.obj->size + b.obj->size);
  for (uint32_t i = 0; i < a.obj->size; ++i) out.Add(a.obj->keys[i], a.obj->values[i]);
  for (uint32_t i = 0; i < b.obj->size; ++i) {
    rego::Value before = rego::Lookup(a, b.obj->keys[i]);
    out.Add(b.obj->keys[i], before.defined() ? Merge(arena, before, b.obj->values[i]) : b.obj->values[i]);
  }
  return out.Finish();
}

Result<std::string> ReadFile(const fs::path& path) {
  std::error_code ec;
  if (fs::file_size(path, ec) > limits::kMaxPolicyFileBytes || ec)
    return ResourceExhausted(path.string() + ": too large to be a policy file");
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound("cannot read " + path.string());
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

}  // namespace

Result<std::shared_ptr<const PolicySet>> PolicySet::Compile(std::vector<rego::Source> sources,
                                                            std::string_view data_json, std::string revision) {
  auto set = std::shared_ptr<PolicySet>(new PolicySet());
  std::vector<rego::Diagnostic> errors;
  set->policy_ = rego::Policy::Compile(sources, {}, errors);
  if (!set->policy_) return InvalidArgument(rego::FormatDiagnostics(errors));
  set->data_ = rego::EmptyObject();
  if (!data_json.empty()) {
    ASSIGN_OR_RETURN(set->data_, rego::ParseJson(set->arena_, data_json));
    if (!set->data_.is_object()) return InvalidArgument("data is an object");
  }
  set->revision_ = std::move(revision);
  set->CollectReadSet();
  return std::shared_ptr<const PolicySet>(std::move(set));
}

Result<std::shared_ptr<const PolicySet>> PolicySet::LoadFolder(const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator(folder, ec); !ec && it != fs::recursive_directory_iterator();
       it.increment(ec)) {
    if (it->is_regular_file(ec) && !it->is_symlink(ec)) files.push_back(it->path());
    if (files.size() > limits::kMaxPolicyFiles) return ResourceExhausted(folder + ": too many files");
  }
  if (ec) return NotFound("cannot read " + folder + ": " + ec.message());
  std::sort(files.begin(), files.end());
  std::vector<rego::Source> sources;
  rego::Arena arena;
  rego::Value data = rego::EmptyObject();
  for (const auto& path : files) {
    std::string name = path.filename();
    bool json = name == "data.json", yaml = name == "data.yaml" || name == "data.yml";
    if (path.extension() != ".rego" && !json && !yaml) continue;
    ASSIGN_OR_RETURN(std::string text, ReadFile(path));
    fs::path below = path.lexically_relative(folder);
    if (!json && !yaml) {
      sources.push_back({below.string(), std::move(text)});
      continue;
    }
    auto value = json ? rego::ParseJson(arena, text) : rego::ParseYaml(arena, text);
    if (!value.ok()) return value.error().WithContext(below.string());
    std::vector<rego::Value> steps;
    for (const auto& part : below.parent_path()) steps.push_back(rego::Value::String(arena, part.string()));
    data = Merge(arena, data, rego::WithPath(arena, rego::Value(), steps, *value));
  }
  return Compile(std::move(sources), rego::ToJson(data), folder);
}

void PolicySet::CollectReadSet() {
  std::set<std::string> found;
  std::function<void(const rego::Expr&)> expr;
  std::function<void(const rego::Term&)> term = [&](const rego::Term& t) {
    if (t.is_ref() && t.items[0]->is_var() && t.items[0]->text == "input") {
      std::string path = "input";
      for (size_t i = 1; i < t.items.size() && t.items[i]->is_string(); ++i) path += "." + t.items[i]->text;
      found.insert(path);
    }
    for (const auto& i : t.items) term(*i);
    for (const auto& e : t.body) expr(*e);
  };
  expr = [&](const rego::Expr& e) {
    for (const auto& t : e.terms) {
      if (t) term(*t);
    }
    for (const auto& w : e.with) term(*w.value);
    for (const auto& b : e.body) expr(*b);
  };
  for (const auto& m : policy_->compiler().modules()) {
    for (const auto& rule : m->rules) {
      for (const rego::Rule* r = rule.get(); r != nullptr; r = r->else_rule.get()) {
        for (const auto& e : r->body) expr(*e);
        if (r->head.key) term(*r->head.key);
        if (r->head.value) term(*r->head.value);
        for (const auto& i : r->head.ref->items) term(*i);
      }
    }
  }
  read_set_.assign(found.begin(), found.end());
}

}  // namespace hexr::policy
