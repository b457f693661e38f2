#include "policy/rego/plan/metadata.h"

#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"

namespace hexr::rego {
namespace {

using AnnotatedPath = std::vector<std::string>;

AnnotatedPath AnnotatedPathOf(const Term& ref, size_t skip) {
  AnnotatedPath out;
  for (size_t i = skip; i < ref.items.size(); ++i) out.push_back(ref.items[i]->text);
  return out;
}

Value Entry(Arena& arena, const AnnotatedPath& path, const Annotations* a) {
  ObjectBuilder b(arena, 2);
  ArrayBuilder parts(arena, path.size());
  for (const auto& p : path) parts.Add(Value::String(arena, p));
  b.Add("path", parts.Finish());
  if (a != nullptr) {
    auto v = ParseJson(arena, a->json);
    if (v.ok()) b.Add("annotations", *v);
  }
  return b.Finish();
}

// The annotations of one scope on the rules with this path, over all modules.
std::vector<const Annotations*> OfPath(const Compiler& compiler, const AnnotatedPath& path, std::string_view scope) {
  std::vector<const Annotations*> out;
  for (const auto& m : compiler.modules()) {
    for (const auto& r : m->rules) {
      if (AnnotatedPathOf(*r->head.ref, 1) != path) continue;
      for (int i : r->annotations) {
        const Annotations& a = m->annotations[static_cast<size_t>(i)];
        if (a.scope == scope) out.push_back(&a);
      }
    }
  }
  return out;
}
std::vector<const Annotations*> OfPackage(const Compiler& compiler, const AnnotatedPath& package,
                                          std::string_view scope) {
  std::vector<const Annotations*> out;
  for (const auto& m : compiler.modules()) {
    if (!m->package || AnnotatedPathOf(*m->package, 1) != package) continue;
    for (int i : m->package_annotations) {
      const Annotations& a = m->annotations[static_cast<size_t>(i)];
      if (a.scope == scope) out.push_back(&a);
    }
  }
  return out;
}

std::vector<const Annotations*> OfRule(const Compiler& compiler, const Rule& rule) {
  std::vector<const Annotations*> out;
  const Module& m = compiler.ModuleOf(rule);
  for (int i : rule.annotations) {
    const Annotations& a = m.annotations[static_cast<size_t>(i)];
    if (a.scope == "rule") out.push_back(&a);
  }
  return out;
}

}  // namespace

Value RuleMetadata(const Compiler& compiler, const Rule& rule, Arena& arena) {
  auto own = OfRule(compiler, rule);
  if (own.empty()) return EmptyObject();
  auto v = ParseJson(arena, own.back()->json);
  return v.ok() ? *v : EmptyObject();
}

Value MetadataChain(const Compiler& compiler, const Rule& rule, Arena& arena) {
  ArrayBuilder out(arena, 4);
  AnnotatedPath path = AnnotatedPathOf(*rule.head.ref, 1);
  auto own = OfRule(compiler, rule);
  for (auto a = own.rbegin(); a != own.rend(); ++a) out.Add(Entry(arena, path, *a));
  if (own.empty()) out.Add(Entry(arena, path, nullptr));
  for (const Annotations* a : OfPath(compiler, path, "document")) out.Add(Entry(arena, path, a));
  AnnotatedPath package = AnnotatedPathOf(*compiler.ModuleOf(rule).package, 1);
  for (const Annotations* a : OfPackage(compiler, package, "package")) out.Add(Entry(arena, package, a));
  for (AnnotatedPath p = package;; p.pop_back()) {
    for (const Annotations* a : OfPackage(compiler, p, "subpackages")) out.Add(Entry(arena, p, a));
    if (p.empty()) break;
  }
  return out.Finish();
}

}  // namespace hexr::rego
