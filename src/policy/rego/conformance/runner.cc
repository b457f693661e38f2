#include "policy/rego/conformance/runner.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

struct Actual {
  bool error = false;
  std::string code;
  std::string text;
  std::vector<std::string> rows;  // JSON of each binding object
};

// As the suite compares: terms as JSON, and arrays sorted where the case asks for it.
std::string Row(Arena& arena, const Value& bindings, bool sort) {
  auto reread = ParseJson(arena, ToJson(bindings));
  if (!reread.ok()) return ToJson(bindings);
  ObjectBuilder out(arena);
  for (uint32_t i = 0; i < reread->obj->size; ++i) {
    Value v = reread->obj->values[i];
    if (sort && v.is_array()) {
      ArrayBuilder sorted(arena, v.arr->size);
      for (const Value& x : v.arr->view()) sorted.Add(x);
      if (v.arr->size > 1)
        std::stable_sort(&sorted[0], &sorted[0] + v.arr->size,
                         [](const Value& a, const Value& b) { return Compare(a, b) < 0; });
      v = sorted.Finish();
    }
    out.Add(reread->obj->keys[i], v);
  }
  return ToJson(out.Finish());
}

// Numbers that are equal are the same row whatever their spelling: compares as values, not as text.
bool SameRows(Arena& arena, const std::vector<std::string>& a, const std::vector<std::string>& b) {
  auto to_set = [&](const std::vector<std::string>& rows) {
    SetBuilder s(arena, rows.size());
    for (const auto& r : rows) {
      auto v = ParseJson(arena, r);
      if (v.ok()) s.Add(*v);
    }
    return s.Finish();
  };
  return Equal(to_set(a), to_set(b));
}

Value TermValue(Arena& arena, const Term& t) {
  switch (t.kind) {
    case TermKind::kNull: return Value::Null();
    case TermKind::kBool: return Value::Bool(t.text == "true");
    case TermKind::kNumber: return *ParseNumber(arena, t.text);
    case TermKind::kString: return Value::String(arena, t.text);
    case TermKind::kArray:
    case TermKind::kSet: {
      ArrayBuilder b(arena, t.items.size());
      for (const auto& i : t.items) b.Add(TermValue(arena, *i));
      Value list = b.Finish();
      return t.kind == TermKind::kArray ? list : MakeSet(arena, list.arr->view());
    }
    case TermKind::kObject: {
      ObjectBuilder b(arena, t.items.size() / 2);
      for (size_t i = 0; i < t.items.size(); i += 2)
        b.Add(TermValue(arena, *t.items[i]), TermValue(arena, *t.items[i + 1]));
      return b.Finish();
    }
    default: return Value();
  }
}

// The outside that the suite's cases expect: the resolver's answer for a name, and time that passes.
Value Host(Call& c, std::string_view name) {
  if (name == "opa.runtime") return EmptyObject();
  if (name == "test.sleep") return Value::Bool(true);  // the cases ask that time stands still, not that it passes
  if (name != "net.lookup_ip_addr") return c.Fail("not available to conformance cases");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::string host(c[0].text());
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return c.Fail("lookup " + host + ": no such host");
  SetBuilder out(c.arena);
  for (addrinfo* a = found; a != nullptr; a = a->ai_next) {
    char text[64];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      out.Add(c.Text(text));
  }
  freeaddrinfo(found);
  return out.Finish();
}

void Diagnose(const std::vector<Diagnostic>& errors, Actual& out) {
  out.error = true;
  out.code = errors[0].code;
  out.text = FormatDiagnostics(errors);
}

Actual Evaluate(const Obj& test, Version version, const Clock& clock, Arena& arena, Policy* policy, int query) {
  Actual out;
  SystemRandom random;
  Services services(clock, random);
  services.host = Host;
  Machine machine(policy->program(), services);
  Value strict = Get(test, "strict_error"), sort = Get(test, "sort_bindings");
  machine.strict = strict.is_true();
  Value input = Get(test, "input");
  Value term = Get(test, "input_term");
  if (term.is_string()) {
    std::vector<Diagnostic> errors;
    TermPtr t = ParseTermText(term.text(), errors);
    if (!t) {
      Diagnose(errors, out);
      return out;
    }
    // A term may hold comprehensions and calls: evaluated as a query of its own.
    input = TermValue(arena, *t);
    if (!input.defined() || !IsGround(*t)) {
      std::vector<Diagnostic> problems;
      auto sub = Policy::Compile({}, {version, false, true}, problems);
      int q = sub ? sub->AddQuery("x = " + std::string(term.text()), problems) : -1;
      if (q < 0) {
        Diagnose(problems, out);
        return out;
      }
      Machine m(sub->program(), services);
      m.Begin(Value(), EmptyObject());
      Value rows;
      if (m.Run(q, rows) == Machine::Outcome::kValue && rows.arr->size == 1)
        input = DeepCopy(arena, Get(*rows.arr->items[0].obj, "x"));
    }
  }
  Value data = Get(test, "data");
  machine.Begin(input, data.is_object() ? data : EmptyObject());
  Value result;
  if (machine.Run(query, result) == Machine::Outcome::kError) {
    out.error = true;
    out.code = machine.error().code;
    out.text = machine.error().ToString();
    return out;
  }
  for (const Value& row : result.arr->view()) out.rows.push_back(Row(arena, row, sort.is_true()));
  return out;
}

// Empty when the case passes.
std::string RunOne(const Obj& test, Version version, const Clock& clock) {
  Arena arena;
  std::vector<Source> sources;
  Value modules = Get(test, "modules");
  if (modules.is_array()) {
    for (uint32_t i = 0; i < modules.arr->size; ++i) {
      sources.push_back({"test-" + std::to_string(i) + ".rego", std::string(modules.arr->items[i].text())});
    }
  }
  std::vector<Diagnostic> errors;
  Actual got;
  auto policy = Policy::Compile(sources, {version, false, true}, errors);
  int query = policy ? policy->AddQuery(Get(test, "query").text(), errors) : -1;
  if (query < 0) {
    Diagnose(errors, got);
  } else {
    got = Evaluate(test, version, clock, arena, policy.get(), query);
  }
  Value want_result = Get(test, "want_result"), want_code = Get(test, "want_error_code"),
        want_error = Get(test, "want_error");
  if (want_code.is_string() || want_error.is_string()) {
    if (!got.error)
      return "expected an error, got " + std::to_string(got.rows.size()) + " results" +
             (got.rows.empty() ? "" : ": " + got.rows[0]);
    if (want_code.is_string() && got.code != want_code.text())
      return "expected " + std::string(want_code.text()) + ", got " + got.text;
    if (want_error.is_string() && got.text.find(want_error.text()) == std::string::npos) {
      return "expected text \"" + std::string(want_error.text()) + "\", got " + got.text;
    }
    return "";
  }
  if (got.error) return "unexpected error: " + got.text;
  std::vector<std::string> want;
  if (want_result.is_array()) {
    for (const Value& v : want_result.arr->view()) want.push_back(Row(arena, v, Get(test, "sort_bindings").is_true()));
  }
  if (SameRows(arena, want, got.rows)) return "";
  auto join = [](const std::vector<std::string>& rows) {
    std::string out;
    for (const auto& r : rows) out += (out.empty() ? "" : " ") + r;
    return out.empty() ? std::string("nothing") : out.substr(0, 600);
  };
  return "expected " + join(want) + ", got " + join(got.rows);
}

}  // namespace

Status RunCases(std::string_view json, Version version, const Clock& clock, ConformanceReport& report) {
  Arena arena;
  ASSIGN_OR_RETURN(Value doc, ParseJson(arena, json));
  Value cases = doc.is_object() ? Get(*doc.obj, "cases") : Value();
  if (!cases.is_array()) return InvalidArgument("a file of cases has a list \"cases\"");
  for (const Value& test : cases.arr->view()) {
    if (!test.is_object() || !Get(*test.obj, "query").is_string())
      return InvalidArgument("a case is an object with a query");
    std::string why = RunOne(*test.obj, version, clock);
    if (why.empty()) {
      ++report.passed;
    } else {
      Value note = Get(*test.obj, "note");
      report.failures.push_back({note.is_string() ? std::string(note.text()) : "(no note)", std::move(why)});
    }
  }
  return Ok();
}

Result<ConformanceReport> RunFolder(const std::string& folder, Version version, const Clock& clock) {
  std::vector<std::string> files;
  std::error_code ec;
  for (auto it = std::filesystem::recursive_directory_iterator(folder, ec);
       !ec && it != std::filesystem::recursive_directory_iterator(); it.increment(ec)) {
    if (it->path().extension() == ".json") files.push_back(it->path());
  }
  if (files.empty()) return NotFound("no cases under " + folder);
  std::sort(files.begin(), files.end());
  ConformanceReport report;
  for (const auto& f : files) {
    std::ifstream in(f, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    auto s = RunCases(text, version, clock, report);
    if (!s.ok()) return s.error().WithContext(f);
  }
  return report;
}

}  // namespace hexr::rego
