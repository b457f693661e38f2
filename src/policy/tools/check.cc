#include "policy/tools/check.h"

#include <algorithm>

namespace hexr::policy {
namespace {

struct Hint {
  std::string_view code, part, advice;
};
// The first whose code and part of the message fit.
constexpr Hint kHints[] = {
    {"rego_unsafe_var_error", "is unsafe",
     "give it a value before it is used: `some x in …` or `x := …`; a field of the call is `input.x`, a document "
     "`data.x`"},
    {"rego_recursion_error", "",
     "a rule cannot depend on itself: walk nested data with `walk(value, [path, part])`, graphs with "
     "`graph.reachable`"},
    {"rego_type_error", "undefined function",
     "check the spelling; functions of another package are called by their path or an import: `import data.lib`"},
    {"rego_type_error", "arity mismatch",
     "see the function's arguments with `hexr policy check --help` and in the documentation of built-ins"},
    {"rego_type_error", "conflicting rules",
     "rules of one name are all values, all sets (`contains`), or all functions of the same arity"},
    {"rego_type_error", "multiple default rules", "keep one `default` for each name"},
    {"rego_type_error", "match error", "the two sides can never be equal: compare values of one type"},
    {"rego_type_error", "undefined ref", "no rule or field of that name can exist there: check the spelling"},
    {"rego_parse_error", "`if` keyword is required", "write `if` between the head and the body: `allow if { … }`"},
    {"rego_parse_error", "`contains` keyword is required", "write `deny contains reason if { … }`"},
    {"rego_parse_error", "var cannot be used for rule name",
     "write `name if { … }` or `name := value`; v0 policies need --v0-compatible"},
    {"rego_parse_error", "package expected", "a file begins with its package: `package hexr.authz`"},
    {"rego_parse_error", "empty module", "a file begins with its package: `package hexr.authz`"},
    {"rego_parse_error", "found empty body", "a body needs an expression: `if true`, or leave the braces out"},
    {"rego_parse_error", "unexpected eof", "something is not closed: look for a missing ) ] } or \""},
    {"rego_parse_error", "non-terminated string",
     "close the string with \"; text of several lines stands in `back quotes`"},
    {"rego_parse_error", "non-terminated", "close the bracket"},
    {"rego_parse_error", "expected \\n or ;",
     "two expressions stand on one line: put `;` or a line break between them"},
    {"rego_compile_error", "unused", "remove it, or name it _"},
    {"rego_compile_error", "shadow", "choose another name"},
    {"rego_compile_error", "cannot assign", "choose another name: input and data are always there"},
};

const std::string* SourceOf(const Documents& documents, const std::string& file) {
  for (const auto& s : documents.sources) {
    if (s.file == file) return &s.text;
  }
  return nullptr;
}

}  // namespace

std::string_view Advice(const rego::Diagnostic& d) {
  for (const Hint& h : kHints) {
    if (h.code == d.code && d.message.find(h.part) != std::string::npos) return h.advice;
  }
  return {};
}

std::string DiagnosticText(const Documents& documents, const rego::Diagnostic& d) {
  std::string out;
  if (!d.file.empty()) out += d.file + ":";
  if (d.at.row > 0) out += std::to_string(d.at.row) + ":" + std::to_string(d.at.col) + ":";
  out += (out.empty() ? "" : " ") + (d.code.empty() ? "" : d.code + ": ") + d.message + d.details + "\n";
  if (const std::string* text = SourceOf(documents, d.file); text != nullptr && d.at.row > 0) {
    size_t start = 0;
    for (uint32_t row = 1; row < d.at.row && start != std::string::npos; ++row) {
      start = text->find('\n', start);
      if (start != std::string::npos) ++start;
    }
    if (start != std::string::npos && start < text->size()) {
      constexpr size_t kShown = 160;
      std::string line = text->substr(start, std::min(text->find('\n', start) - start, kShown));
      // Tabs stay tabs, so that the mark stands under its place.
      std::string mark;
      for (size_t i = 0; i + 1 < d.at.col && i < line.size(); ++i) mark += line[i] == '\t' ? '\t' : ' ';
      out += "  " + line + "\n";
      if (d.at.col <= line.size() + 1) out += "  " + mark + "^\n";
    }
  }
  if (auto advice = Advice(d); !advice.empty()) out += "  help: " + std::string(advice) + "\n";
  return out;
}

CheckReport Check(const Documents& documents, const CheckOptions& options) {
  CheckReport report;
  auto policy = rego::Policy::Compile(
      documents.sources, {.version = options.version, .strict = options.strict, .input_schema = options.input_schema},
      report.errors);
  if (policy && options.strict) report.warnings = Lint(documents, options.version);
  return report;
}

}  // namespace hexr::policy
