// The front end: parsed modules to rules that are resolved (every name a local variable, a root document or a full
// path), rewritten (:=, some, composite negation), safe and ordered. All errors of a run are collected, in OPA's codes.
// Owns its trees; one thread; the planner reads the result.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "policy/rego/compile/names.h"
#include "policy/rego/syntax/ast.h"
#include "policy/rego/syntax/diagnostics.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

// Rules of all modules by path. A node with rules is a virtual document; one without is a package on the way.
struct TreeNode {
  std::string key;
  TreeNode* parent = nullptr;
  std::map<std::string, std::unique_ptr<TreeNode>, std::less<>> children;
  std::vector<Rule*> rules;  // those whose ref's ground prefix ends here
  bool is_package = false;
  size_t id = 0;  // dense number over all nodes

  const TreeNode* Child(std::string_view name) const {
    auto it = children.find(name);
    return it == children.end() ? nullptr : it->second.get();
  }
  bool is_function() const;
};

struct CompileOptions {
  bool strict = false;      // OPA's check --strict
  bool for_cases = false;   // knows the built-ins that only conformance cases have
  Value input_schema = {};  // JSON Schema: what input may be; undefined: anything
};

class Compiler {
 public:
  explicit Compiler(CompileOptions options = {}) : options_(options) {}

  // Takes every module at once. False when errors() is not empty.
  bool Compile(std::vector<std::unique_ptr<Module>> modules);
  // What bare names in a query stand for, as full paths.
  using Names = std::map<std::string, std::vector<std::string>, std::less<>>;
  // Those that a package's rules define.
  Names NamesOf(std::string_view package) const;
  // Resolves, checks and orders a query against the compiled modules. False on error.
  bool CompileQuery(Body& query, const Names& names = {});

  const TreeNode& root() const { return *root_; }
  size_t node_count() const { return nodes_; }
  const std::vector<std::unique_ptr<Module>>& modules() const { return modules_; }
  const std::vector<Diagnostic>& errors() const { return errors_; }
  std::vector<Diagnostic>& errors() { return errors_; }
  // The path of a rule's ground prefix: data.a.p.
  static std::vector<std::string> GroundPath(const Rule& rule);
  NameSource& names() { return names_; }
  // The module a rule came from.
  const Module& ModuleOf(const Rule& rule) const { return *modules_[rule.at.file]; }

 private:
  void BuildTree();
  void CheckConflicts();
  void CheckRecursion();
  void CheckCalls();
  void SafetyOf(Rule& rule);
  void Fail(std::string code, Location at, std::string message);

  CompileOptions options_;
  std::vector<std::unique_ptr<Module>> modules_;
  std::unique_ptr<TreeNode> root_;
  size_t nodes_ = 0;
  std::vector<Diagnostic> errors_;
  NameSource names_;
};

}  // namespace hexr::rego
