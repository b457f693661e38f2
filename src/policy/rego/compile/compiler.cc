#include "policy/rego/compile/compiler.h"

#include <algorithm>
#include <functional>

#include "policy/rego/builtins/registry.h"
#include "policy/rego/compile/resolve.h"
#include "policy/rego/compile/safety.h"
#include "policy/rego/types/checker.h"

namespace hexr::rego {
namespace {

using Globals = std::map<std::string, std::vector<std::string>, std::less<>>;

std::vector<std::string> NamesInRef(const Term& ref) {
  std::vector<std::string> out;
  for (const auto& i : ref.items) out.push_back(i->text);
  return out;
}

bool IsWithTarget(const Term& target) { return target.items[0]->is_var(); }

}  // namespace

bool TreeNode::is_function() const { return !rules.empty() && rules[0]->head.is_function; }

void Compiler::Fail(std::string code, Location at, std::string message) {
  errors_.push_back(
      {std::move(code), std::move(message), at, at.file < modules_.size() ? modules_[at.file]->file : ""});
}

std::vector<std::string> Compiler::GroundPath(const Rule& rule) {
  std::vector<std::string> out;
  for (const auto& i : rule.head.ref->items) {
    if (!i->is_string() && !out.empty()) break;
    out.push_back(i->text);
  }
  return out;
}

bool Compiler::Compile(std::vector<std::unique_ptr<Module>> modules) {
  modules_ = std::move(modules);
  // The names each package defines, over all its modules.
  std::map<std::string, std::vector<std::string>> defined;
  for (const auto& m : modules_) {
    auto& names = defined[RefText(*m->package)];
    for (const auto& r : m->rules) names.push_back(r->head.ref->items[0]->text);
  }
  for (uint32_t file = 0; file < modules_.size(); ++file) {
    Module& m = *modules_[file];
    Globals globals;
    for (const auto& i : m.imports) {
      const Term& path = *i.path;
      const std::string& root = path.items[0]->text;
      if (root == "future" || root == "rego") continue;
      std::string name = !i.alias.empty() ? i.alias : path.items.back()->text;
      if (m.v1 && globals.contains(name)) Fail("rego_compile_error", i.at, "import must not shadow " + RefText(path));
      if (m.v1 && path.items.size() > 1 && IsRootName(name))
        Fail("rego_compile_error", i.at, "imports must not shadow " + name + " (use a different alias)");
      globals[name] = NamesInRef(path);
    }
    std::vector<std::string> package = NamesInRef(*m.package);
    for (const auto& name : defined[RefText(*m.package)]) {
      std::vector<std::string> path = package;
      path.push_back(name);
      globals[name] = std::move(path);
    }
    Resolver resolver(globals, names_, m.file, options_.strict, errors_);
    for (auto& r : m.rules) {
      if (m.v1 && IsRootName(r->head.ref->items[0]->text)) {
        Fail("rego_compile_error", r->at,
             "rules must not shadow " + r->head.ref->items[0]->text + " (use a different rule name)");
      }
      resolver.ResolveRule(*r, m.package->items);
    }
    for (const auto& i : m.imports) {
      const std::string& root = i.path->items[0]->text;
      const std::string& name = !i.alias.empty() ? i.alias : i.path->items.back()->text;
      if (!options_.strict || root == "future" || root == "rego" || resolver.used_globals().contains(name)) continue;
      Fail("rego_compile_error", i.at,
           "import " + RefText(*i.path) + (i.alias.empty() ? "" : " as " + i.alias) + " unused");
    }
  }
  BuildTree();
  CheckConflicts();
  CheckCalls();
  if (!errors_.empty()) return false;
  for (auto& m : modules_) {
    for (auto& r : m->rules) SafetyOf(*r);
  }
  if (errors_.empty()) CheckRecursion();
  if (errors_.empty()) errors_ = TypeChecker(*this, options_.input_schema).CheckRules();
  return errors_.empty();
}

void Compiler::BuildTree() {
  root_ = std::make_unique<TreeNode>();
  root_->key = "data";
  root_->id = nodes_++;
  auto descend = [&](TreeNode* n, const std::string& key) {
    auto& child = n->children[key];
    if (!child) {
      child = std::make_unique<TreeNode>();
      child->key = key;
      child->parent = n;
      child->id = nodes_++;
    }
    return child.get();
  };
  for (auto& m : modules_) {
    TreeNode* n = root_.get();
    for (size_t i = 1; i < m->package->items.size(); ++i) n = descend(n, m->package->items[i]->text);
    n->is_package = true;
    for (auto& r : m->rules) {
      TreeNode* at = root_.get();
      std::vector<std::string> path = GroundPath(*r);
      for (size_t i = 1; i < path.size(); ++i) at = descend(at, path[i]);
      at->rules.push_back(r.get());
    }
  }
}

void Compiler::CheckConflicts() {
  std::function<void(const TreeNode&)> visit = [&](const TreeNode& n) {
    if (!n.rules.empty()) {
      const Rule& first = *n.rules[0];
      std::string name = RefText(*first.head.ref);
      size_t defaults = 0;
      bool mixed = false, arity = false;
      for (const Rule* r : n.rules) {
        defaults += r->is_default;
        mixed |= r->head.is_function != first.head.is_function ||
                 (r->head.key != nullptr) != (first.head.key != nullptr && !r->is_default);
        arity |= r->head.is_function && r->head.args.size() != first.head.args.size();
      }
      bool dynamic = std::any_of(n.rules.begin(), n.rules.end(),
                                 [](const Rule* r) { return GroundPath(*r).size() != r->head.ref->items.size(); });
      if (mixed && !dynamic) Fail("rego_type_error", first.at, "conflicting rules " + name + " found");
      if (arity) Fail("rego_type_error", first.at, "conflicting rules " + name + " found");
      if (defaults > 1) Fail("rego_type_error", first.at, "multiple default rules " + name + " found");
      if (n.is_package)
        Fail("rego_type_error", first.at,
             "package " + name.substr(5) + " conflicts with rule " + n.key + " defined at " + ModuleOf(first).file +
                 ":" + std::to_string(first.at.row));
    }
    for (const auto& [key, child] : n.children) visit(*child);
  };
  visit(*root_);
}

// Every call names a function, with the right number of arguments.
void Compiler::CheckCalls() {
  auto check = [&](const Term& op, size_t operands, bool may_have_output, Location at) {
    if (!op.items[0]->is_var()) return;
    std::string name = RefText(op);
    size_t arity = 0;
    if (op.items[0]->text == "data") {
      const TreeNode* n = root_.get();
      for (size_t i = 1; i < op.items.size() && n != nullptr; ++i)
        n = op.items[i]->is_string() ? n->Child(op.items[i]->text) : nullptr;
      if (n == nullptr || !n->is_function()) {
        Fail("rego_type_error", at, "undefined function " + name);
        return;
      }
      arity = n->rules[0]->head.args.size();
    } else {
      const Builtin* b = FindBuiltin(name);
      if (b == nullptr || (b->only_cases && !options_.for_cases)) {
        Fail("rego_type_error", at, "undefined function " + name);
        return;
      }
      arity = b->arity;
      if (b->variadic) return;
    }
    if (operands == arity || (may_have_output && operands == arity + 1)) return;
    if (op.items[0]->text == "data") {
      Fail("rego_type_error", at,
           "function " + name + " has arity " + std::to_string(arity) + ", got " + std::to_string(operands) +
               (operands == 1 ? " argument" : " arguments"));
    } else {
      Fail("rego_type_error", at,
           name + ": arity mismatch\n\thave: " + std::to_string(operands) +
               " operands\n\twant: " + std::to_string(arity));
    }
  };
  std::function<void(const Expr&)> expr;
  std::function<void(const Term&)> term = [&](const Term& t) {
    if (t.kind == TermKind::kCall) check(*t.items[0], t.items.size() - 1, false, t.at);
    for (size_t i = t.kind == TermKind::kCall ? 1 : 0; i < t.items.size(); ++i) term(*t.items[i]);
    for (const auto& e : t.body) expr(*e);
  };
  expr = [&](const Expr& e) {
    if (e.kind == ExprKind::kCall) check(*e.terms[0], e.terms.size() - 1, true, e.at);
    for (size_t i = e.kind == ExprKind::kCall ? 1 : 0; i < e.terms.size(); ++i) {
      if (e.terms[i]) term(*e.terms[i]);
    }
    for (const auto& w : e.with) {
      if (w.value->kind != TermKind::kCall || w.value->items.size() > 1) term(*w.value);
      if (IsWithTarget(*w.target) && !IsRootName(w.target->items[0]->text) &&
          FindBuiltin(RefText(*w.target)) == nullptr) {
        Fail("rego_type_error", w.at, "undefined function " + RefText(*w.target));
      }
    }
    for (const auto& b : e.body) expr(*b);
  };
  for (const auto& m : modules_) {
    for (const auto& rule : m->rules) {
      for (const Rule* r = rule.get(); r != nullptr; r = r->else_rule.get()) {
        for (const auto& e : r->body) expr(*e);
        if (r->head.key) term(*r->head.key);
        if (r->head.value) term(*r->head.value);
      }
    }
  }
}

void Compiler::SafetyOf(Rule& rule) {
  auto arity = [this](const Term& op) -> int {
    if (op.items[0]->is_var() && op.items[0]->text == "data") {
      const TreeNode* n = root_.get();
      for (size_t i = 1; i < op.items.size() && n != nullptr; ++i) n = n->Child(op.items[i]->text);
      return n != nullptr && n->is_function() ? static_cast<int>(n->rules[0]->head.args.size()) : -1;
    }
    const Builtin* b = FindBuiltin(RefText(op));
    return b == nullptr ? -1 : static_cast<int>(b->arity);
  };
  Safety safety(arity, names_, modules_[rule.at.file]->file, errors_);
  for (Rule* r = &rule; r != nullptr; r = r->else_rule.get()) {
    VarSet safe;
    for (const auto& a : r->head.args) CollectVars(*a, VarVisit{}, safe);
    safety.Order(r->body, safe);
    for (size_t i = 1; i < r->head.ref->items.size(); ++i) safety.CheckTerm(*r->head.ref->items[i], safe);
    if (r->head.key) safety.CheckTerm(*r->head.key, safe);
    if (r->head.value) safety.CheckTerm(*r->head.value, safe);
  }
}

Compiler::Names Compiler::NamesOf(std::string_view package) const {
  Names out;
  for (const auto& m : modules_) {
    if (RefText(*m->package) != package) continue;
    for (const auto& r : m->rules) {
      // Heads are full paths by now.
      const std::string& name = r->head.ref->items[m->package->items.size()]->text;
      std::vector<std::string> path = NamesInRef(*m->package);
      path.push_back(name);
      out[name] = std::move(path);
    }
  }
  return out;
}

bool Compiler::CompileQuery(Body& query, const Names& names) {
  size_t before = errors_.size();
  Resolver(names, names_, "", options_.strict, errors_).ResolveQuery(query);
  Rule rule;
  rule.head.ref = MakeRef({"data"}, {});
  rule.body = std::move(query);
  if (errors_.size() == before) {
    rule.at.file = 0;
    bool no_modules = modules_.empty();
    if (no_modules) {
      auto m = std::make_unique<Module>();
      m->package = MakeRef({"data"}, {});
      modules_.push_back(std::move(m));
    }
    SafetyOf(rule);
    if (errors_.size() == before) {
      for (Diagnostic& d : TypeChecker(*this, options_.input_schema).CheckQuery(rule.body)) {
        d.file.clear();
        errors_.push_back(std::move(d));
      }
    }
  }
  query = std::move(rule.body);
  return errors_.size() == before;
}

// Rules may not depend on themselves, however indirectly.
void Compiler::CheckRecursion() {
  std::vector<const TreeNode*> nodes(nodes_, nullptr);
  std::vector<std::set<size_t>> edges(nodes_);
  std::function<void(const TreeNode&, std::set<size_t>&)> below = [&](const TreeNode& n, std::set<size_t>& out) {
    if (!n.rules.empty()) out.insert(n.id);
    for (const auto& [key, child] : n.children) below(*child, out);
  };
  // A step that is known at run time only may lead to any child.
  std::function<void(const TreeNode&, const Term&, size_t, std::set<size_t>&)> reach =
      [&](const TreeNode& n, const Term& ref, size_t i, std::set<size_t>& out) {
        if (i >= ref.items.size()) return below(n, out);
        const Term& step = *ref.items[i];
        auto visit = [&](const TreeNode& child) {
          if (!child.rules.empty()) out.insert(child.id);
          reach(child, ref, i + 1, out);
        };
        if (step.is_scalar()) {
          const TreeNode* child = step.is_string() ? n.Child(step.text) : nullptr;
          if (child != nullptr) visit(*child);
          return;
        }
        for (const auto& [key, child] : n.children) visit(*child);
      };
  std::function<void(const Term&, std::set<size_t>&)> term;
  std::function<void(const Expr&, std::set<size_t>&)> expr = [&](const Expr& e, std::set<size_t>& out) {
    for (const auto& t : e.terms) {
      if (t) term(*t, out);
    }
    for (const auto& w : e.with) {
      term(*w.value, out);
    }
    for (const auto& b : e.body) expr(*b, out);
  };
  term = [&](const Term& t, std::set<size_t>& out) {
    if (t.is_ref() && t.items[0]->is_var() && t.items[0]->text == "data") reach(*root_, t, 1, out);
    for (const auto& i : t.items) term(*i, out);
    for (const auto& e : t.body) expr(*e, out);
  };
  std::function<void(const TreeNode&)> collect = [&](const TreeNode& n) {
    nodes[n.id] = &n;
    for (const Rule* rule : n.rules) {
      for (const Rule* r = rule; r != nullptr; r = r->else_rule.get()) {
        for (const auto& e : r->body) expr(*e, edges[n.id]);
        for (const auto& a : r->head.args) term(*a, edges[n.id]);
        for (size_t i = 1; i < r->head.ref->items.size(); ++i) term(*r->head.ref->items[i], edges[n.id]);
        if (r->head.key) term(*r->head.key, edges[n.id]);
        if (r->head.value) term(*r->head.value, edges[n.id]);
      }
    }
    for (const auto& [key, child] : n.children) collect(*child);
  };
  collect(*root_);
  // Depth-first with colours, without recursion: policies can be long chains.
  std::vector<uint8_t> colour(nodes_, 0);
  for (size_t start = 0; start < nodes_; ++start) {
    if (colour[start] != 0) continue;
    std::vector<std::pair<size_t, std::set<size_t>::const_iterator>> stack{{start, edges[start].begin()}};
    colour[start] = 1;
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      if (next == edges[node].end()) {
        colour[node] = 2;
        stack.pop_back();
        continue;
      }
      size_t to = *next++;
      if (colour[to] == 1) {
        std::string name = RefText(*nodes[to]->rules[0]->head.ref);
        std::string chain;
        bool in = false;
        for (const auto& frame : stack) {
          in |= frame.first == to;
          if (in) chain += RefText(*nodes[frame.first]->rules[0]->head.ref) + " -> ";
        }
        Fail("rego_recursion_error", nodes[to]->rules[0]->at, "rule " + name + " is recursive: " + chain + name);
        return;
      }
      if (colour[to] == 0) {
        colour[to] = 1;
        stack.push_back({to, edges[to].begin()});
      }
    }
  }
}

}  // namespace hexr::rego
