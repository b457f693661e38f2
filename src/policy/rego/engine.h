// The engine from outside: modules and data in, decisions out. A Policy is immutable and shared by any number of
// threads; a Session belongs to one thread and decides one thing after the other.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "policy/rego/compile/compiler.h"
#include "policy/rego/plan/program.h"
#include "policy/rego/syntax/parser.h"
#include "policy/rego/vm/machine.h"

namespace hexr::rego {

struct Source {
  std::string file;
  std::string text;
  std::optional<Version> version = std::nullopt;  // PolicyOptions::version when absent
};

struct PolicyOptions {
  Version version = Version::kV1;
  bool strict = false;      // OPA's check --strict
  bool for_cases = false;   // see CompileOptions
  bool test_cases = false;  // rules test_x[name] tell Services::test_cases their names
  Value input_schema = {};  // see CompileOptions; lives as long as the policy
};

// How a query's names are read, and whether each of its expressions is part of the result.
struct QueryOptions {
  std::string package;               // "data.a.b": its rules are known by their bare names
  std::vector<std::string> imports;  // "data.a.b", "input.x as y"
  bool capture = false;
};

struct PlannedQuery {
  struct Part {
    std::string text;  // as written
    Location at;
    std::string variable;  // binding that holds its value; "": its value is true
  };
  int function = -1;  // gives an array of binding objects
  std::vector<Part> parts;
};

class Policy {
 public:
  // Compiles all sources together. Null when `errors` has grown.
  static std::unique_ptr<Policy> Compile(const std::vector<Source>& sources, const PolicyOptions& options,
                                         std::vector<Diagnostic>& errors);
  // Adds a query before the policy is shared; its number for Session::Query, or -1 with errors.
  int AddQuery(std::string_view query, std::vector<Diagnostic>& errors);
  std::optional<PlannedQuery> AddQuery(std::string_view query, const QueryOptions& options,
                                       std::vector<Diagnostic>& errors);
  // The rule set at a path such as "data.hexr.authz.allow", or -1.
  int Find(std::string_view path) const;
  // The document at a path, rule set or package, for Machine::RunDocument; -1 when policies define nothing there.
  int FindDocument(std::string_view path) const;

  const Program& program() const { return program_; }
  const Compiler& compiler() const { return compiler_; }

 private:
  explicit Policy(const PolicyOptions& options)
      : options_(options), compiler_(CompileOptions{options.strict, options.for_cases, options.input_schema}) {}
  PolicyOptions options_;
  Compiler compiler_;
  Program program_;
};

}  // namespace hexr::rego
