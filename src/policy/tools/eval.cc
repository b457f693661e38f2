#include "policy/tools/eval.h"

#include <algorithm>

#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/tools/coverage.h"
#include "policy/tools/explain.h"
#include "policy/tools/json_text.h"

namespace hexr::policy {
namespace {

using rego::Value;
using Format = EvalRequest::Format;

bool IsCaptured(std::string_view name) { return name.starts_with("__value"); }

// The bindings that the query itself names.
Value Bindings(rego::Arena& arena, const Value& row) {
  rego::ObjectBuilder b(arena);
  for (uint32_t i = 0; i < row.obj->size; ++i) {
    if (!IsCaptured(row.obj->keys[i].text())) b.Add(row.obj->keys[i], row.obj->values[i]);
  }
  return b.Finish();
}

Value PartValue(rego::Arena& arena, const Value& row, const rego::PlannedQuery::Part& part) {
  return part.variable.empty() ? Value::Bool(true) : rego::Lookup(row, Value::String(arena, part.variable));
}

std::string Pretty(const Value& v) {
  std::string out;
  rego::AppendJson(v, {.prefix = "", .indent = "  ", .pretty = true}, out);
  return out;
}

// A box of columns, one row per result.
std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> width(rows[0].size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], rego::RuneCount(row[i]));
  }
  auto line = [&](std::string_view left, std::string_view middle, std::string_view right) {
    std::string out(left);
    for (size_t i = 0; i < width.size(); ++i) {
      for (size_t n = 0; n < width[i] + 2; ++n) out += "─";
      out += i + 1 < width.size() ? middle : right;
    }
    return out + "\n";
  };
  std::string out = line("┌", "┬", "┐");
  for (size_t r = 0; r < rows.size(); ++r) {
    if (r == 1) out += line("├", "┼", "┤");
    for (size_t i = 0; i < width.size(); ++i) {
      const size_t space = width[i] - rego::RuneCount(rows[r][i]);
      out += "│ " +
             (r == 0 ? std::string(space / 2, ' ') + rows[r][i] + std::string(space - space / 2, ' ')
                     : rows[r][i] + std::string(space, ' ')) +
             " ";
    }
    out += "│\n";
  }
  return out + line("└", "┴", "┘");
}

class Answer {
 public:
  Answer(rego::Arena& arena, const rego::PlannedQuery& query, const Value& rows)
      : arena_(arena), query_(query), rows_(rows.defined() ? rows.arr->view() : std::span<const Value>()) {}

  std::string Json(const std::vector<std::string>& explanation, const std::string& coverage) {
    JsonText j;
    j.BeginObject();
    if (!rows_.empty()) {
      j.Key("result");
      j.BeginArray();
      for (const Value& row : rows_) WriteRow(j, row);
      j.EndArray();
    }
    if (!explanation.empty()) {
      j.Key("explanation");
      j.BeginArray();
      for (const std::string& line : explanation) j.String(line);
      j.EndArray();
    }
    if (!coverage.empty()) {
      auto v = rego::ParseJson(arena_, coverage);
      if (v.ok()) {
        j.Key("coverage");
        j.Value(*v);
      }
    }
    j.EndObject();
    return j.Take() + "\n";
  }

  std::string PrettyText() {
    if (rows_.empty()) return "undefined\n";
    Value names = Bindings(arena_, rows_[0]);
    if (rows_.size() == 1 && names.obj->size == 0 && query_.parts.size() == 1)
      return Pretty(PartValue(arena_, rows_[0], query_.parts[0])) + "\n";
    std::vector<std::vector<std::string>> table(1);
    for (uint32_t i = 0; i < names.obj->size; ++i) table[0].emplace_back(names.obj->keys[i].text());
    // A part that only names variables would be a column of true.
    std::vector<const rego::PlannedQuery::Part*> shown;
    for (const auto& p : query_.parts) {
      const bool always_true = std::all_of(rows_.begin(), rows_.end(),
                                           [&](const Value& row) { return PartValue(arena_, row, p).is_true(); });
      if (names.obj->size == 0 || !always_true) shown.push_back(&p);
    }
    for (const auto* p : shown) table[0].push_back(p->text);
    for (const Value& row : rows_) {
      auto& line = table.emplace_back();
      Value bound = Bindings(arena_, row);
      for (uint32_t i = 0; i < bound.obj->size; ++i) line.push_back(rego::ToJson(bound.obj->values[i]));
      for (const auto* p : shown) line.push_back(rego::ToJson(PartValue(arena_, row, *p)));
    }
    return Table(table);
  }

  // Strings bare, anything else as JSON; a line per result.
  std::string Raw() {
    std::string out;
    for (const Value& row : rows_) {
      std::string line;
      for (const auto& p : query_.parts) {
        Value v = PartValue(arena_, row, p);
        line += (line.empty() ? "" : " ") + (v.is_string() ? std::string(v.text()) : rego::ToJson(v));
      }
      out += line + "\n";
    }
    return out;
  }

  std::string Values() {
    std::string out;
    for (const Value& row : rows_) {
      rego::ArrayBuilder b(arena_);
      for (const auto& p : query_.parts) b.Add(PartValue(arena_, row, p));
      out += Pretty(b.Finish()) + "\n";
    }
    return out;
  }

  std::string BindingsText() {
    std::string out;
    for (const Value& row : rows_) out += Pretty(Bindings(arena_, row)) + "\n";
    return out;
  }

 private:
  void WriteRow(JsonText& j, const Value& row) {
    j.BeginObject();
    j.Key("expressions");
    j.BeginArray();
    for (const auto& p : query_.parts) {
      j.BeginObject();
      j.Key("value");
      j.Value(PartValue(arena_, row, p));
      j.Member("text", p.text);
      j.Key("location");
      j.BeginObject();
      j.Member("row", int64_t{p.at.row});
      j.Member("col", int64_t{p.at.col});
      j.EndObject();
      j.EndObject();
    }
    j.EndArray();
    if (Value bound = Bindings(arena_, row); bound.obj->size > 0) {
      j.Key("bindings");
      j.Value(bound);
    }
    j.EndObject();
  }

  rego::Arena& arena_;
  const rego::PlannedQuery& query_;
  std::span<const Value> rows_;
};

EvalAnswer Failed(const std::vector<rego::Diagnostic>& errors, Format format) {
  EvalAnswer a;
  a.failed = true;
  a.text = format == Format::kJson ? ErrorsJson(errors) : rego::FormatDiagnostics(errors) + "\n";
  return a;
}

}  // namespace

std::string ErrorsJson(const std::vector<rego::Diagnostic>& errors) {
  JsonText j;
  j.BeginObject();
  j.Key("errors");
  j.BeginArray();
  for (const rego::Diagnostic& d : errors) {
    j.BeginObject();
    j.Member("message", d.message);
    if (!d.code.empty()) j.Member("code", d.code);
    if (d.at.row > 0) {
      j.Key("location");
      j.BeginObject();
      j.Member("file", d.file);
      j.Member("row", int64_t{d.at.row});
      j.Member("col", int64_t{d.at.col});
      j.EndObject();
    }
    j.EndObject();
  }
  j.EndArray();
  j.EndObject();
  return j.Take() + "\n";
}

EvalAnswer Eval(const Documents& documents, const EvalRequest& request, const Clock& clock, Random& random) {
  std::vector<rego::Diagnostic> errors;
  auto policy = rego::Policy::Compile(documents.sources, {.version = request.version}, errors);
  if (!policy) return Failed(errors, request.format);
  rego::QueryOptions options{request.package.empty() ? "" : "data." + request.package, request.imports, true};
  auto query = policy->AddQuery(request.query, options, errors);
  if (!query) return Failed(errors, request.format);

  rego::Services services(clock, random);
  EvalAnswer answer;
  services.prints = &answer.prints;
  rego::Machine machine(policy->program(), services);
  machine.strict = request.strict_builtin_errors;
  rego::Trace trace;
  if (request.explain || request.coverage) {
    trace.Reset(policy->program());
    machine.trace = &trace;
  }
  Value input;
  if (!request.input_json.empty()) {
    auto parsed = rego::ParseJson(machine.Prepare(), request.input_json);
    if (!parsed.ok()) return Failed({{"", "input: " + parsed.error().message(), {}, ""}}, request.format);
    input = *parsed;
  }
  machine.Begin(input, documents.data);
  Value rows;
  if (machine.Run(query->function, rows) == rego::Machine::Outcome::kError) {
    const rego::EvalError& e = machine.error();
    return Failed({{e.code, e.message, e.at, e.file}}, request.format);
  }
  rego::Arena scratch;
  Answer text(scratch, *query, rows);
  answer.undefined = !rows.defined() || rows.arr->size == 0;
  std::vector<std::string> explanation;
  if (request.explain) explanation = ExplainLines(*policy, trace);
  switch (request.format) {
    case Format::kJson:
      answer.text = text.Json(explanation, request.coverage ? CoverageJson(MeasureCoverage(*policy, trace)) : "");
      break;
    case Format::kPretty:
      for (const std::string& line : explanation) answer.text += line + "\n";
      answer.text += text.PrettyText();
      break;
    case Format::kRaw: answer.text = text.Raw(); break;
    case Format::kValues: answer.text = text.Values(); break;
    case Format::kBindings: answer.text = text.BindingsText(); break;
  }
  return answer;
}

}  // namespace hexr::policy
