#include "policy/policy_set.h"

#include <functional>
#include <set>

#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"

namespace hexr::policy {
Result<std::shared_ptr<const PolicySet>> PolicySet::Compile(Documents documents) {
  auto set = std::shared_ptr<PolicySet>(new PolicySet());
  std::vector<rego::Diagnostic> errors;
  set->policy_ = rego::Policy::Compile(documents.sources, {}, errors);
  if (!set->policy_) return InvalidArgument(rego::FormatDiagnostics(errors));
  set->documents_ = std::move(documents);
  rego::Value& data = set->documents_.data;
  if (!data.defined()) data = rego::EmptyObject();
  if (!data.is_object()) return InvalidArgument("data is an object");
  set->CollectReadSet();
  return std::shared_ptr<const PolicySet>(std::move(set));
}

Result<std::shared_ptr<const PolicySet>> PolicySet::Compile(std::vector<rego::Source> sources,
                                                            std::string_view data_json, std::string revision) {
  Documents documents;
  documents.sources = std::move(sources);
  documents.revision = std::move(revision);
  if (!data_json.empty()) {
    ASSIGN_OR_RETURN(documents.data, rego::ParseJson(*documents.arena, data_json));
  }
  return Compile(std::move(documents));
}

Result<std::shared_ptr<const PolicySet>> PolicySet::LoadFolder(const std::string& folder) {
  ASSIGN_OR_RETURN(Documents documents, LoadPaths({folder}, {.bundles = true}));
  const size_t prefix = folder.size() + (folder.ends_with('/') ? 0 : 1);
  for (rego::Source& s : documents.sources) s.file.erase(0, prefix);
  documents.revision = folder;
  return Compile(std::move(documents));
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
