#include "policy/tools/test_runner.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstdio>

#include "base/bytes.h"
#include "policy/tools/json_text.h"

namespace hexr::policy {
namespace {

using rego::Value;

// As Go prints a duration: 812ns, 146.057µs, 2.5ms, 1.25s.
std::string DurationText(int64_t ns) {
  const auto scaled = [&](double unit, const char* name) {
    char text[48];
    std::snprintf(text, sizeof text, "%.6f", static_cast<double>(ns) / unit);
    std::string out = text;
    while (out.ends_with('0')) out.pop_back();
    if (out.ends_with('.')) out.pop_back();
    return out + name;
  };
  if (ns < 1000) return std::to_string(ns) + "ns";
  if (ns < 1'000'000) return scaled(1e3, "µs");
  return ns < 1'000'000'000 ? scaled(1e6, "ms") : scaled(1e9, "s");
}

// A sub-test passes when the value at its name is true; names with parts are paths.
bool SubPassed(rego::Arena& arena, const Value& value, std::string_view name) {
  Value at = value;
  for (size_t start = 0; start <= name.size();) {
    const size_t slash = std::min(name.find('/', start), name.size());
    at = at.is_object() ? rego::Lookup(at, Value::String(arena, name.substr(start, slash - start))) : Value();
    start = slash + 1;
  }
  return at.is_true();
}

void Finish(TestResult& r, const std::vector<std::string>& names, const Value& value, bool defined) {
  if (names.empty()) {
    r.pass = defined && value.is_true();
    return;
  }
  rego::Arena scratch(1024);
  r.pass = true;
  for (const std::string& n : names) {
    r.subs.push_back({n, defined && SubPassed(scratch, value, n)});
    r.pass = r.pass && r.subs.back().pass;
  }
}

std::string Base64(std::string_view text) { return hexr::Base64Encode(AsBytes(text)); }

std::string Verdict(const TestResult& r) {
  return r.skip ? "SKIPPED" : !r.error.empty() ? "ERROR" : r.pass ? "PASS" : "FAIL";
}

}  // namespace

size_t TestReport::passed() const {
  return static_cast<size_t>(std::count_if(results.begin(), results.end(), [](const auto& r) { return r.pass; }));
}
size_t TestReport::skipped() const {
  return static_cast<size_t>(std::count_if(results.begin(), results.end(), [](const auto& r) { return r.skip; }));
}
size_t TestReport::failed() const { return results.size() - passed() - skipped(); }

Result<TestReport> RunTests(const Documents& documents, const TestOptions& options, const Clock& clock,
                            Random& random) {
  re2::RE2 wanted(options.run, re2::RE2::Quiet);
  if (!wanted.ok()) return InvalidArgument("--run: " + wanted.error());
  std::vector<rego::Diagnostic> errors;
  auto policy = rego::Policy::Compile(documents.sources, {.version = options.version, .test_cases = true}, errors);
  if (!policy) return InvalidArgument(rego::FormatDiagnostics(errors));
  TestReport report;
  rego::Trace trace;
  trace.Reset(policy->program());
  rego::Services services(clock, random);
  rego::Machine machine(policy->program(), services);
  if (options.coverage) machine.trace = &trace;
  for (const auto& m : policy->compiler().modules()) {
    std::string package = rego::RefText(*m->package);
    std::map<std::string, int> seen;
    for (const auto& rule : m->rules) {
      const std::string name = rule->head.ref->items[m->package->items.size()]->text;
      const bool later = name.starts_with("todo_test_");
      if (!later && !name.starts_with("test_")) continue;
      const int repeat = seen[name]++;
      const bool grouped = !rule->head.is_function && rule->head.ref->items.size() > m->package->items.size() + 1;
      if (grouped && repeat > 0) continue;
      TestResult r;
      r.package = package;
      char suffix[16] = "";
      if (repeat > 0) std::snprintf(suffix, sizeof suffix, "#%02d", repeat);
      r.name = name + suffix;
      r.file = m->file;
      r.row = rule->at.row;
      r.col = rule->at.col;
      if (!options.run.empty() && !re2::RE2::PartialMatch(package + "." + name, wanted)) continue;
      r.skip = later;
      if (!later) {
        std::vector<std::string> prints, names;
        services.prints = &prints;
        services.test_cases = &names;
        const MonoTime start = clock.Mono();
        machine.Begin(Value(), documents.data);
        Value value;
        const int place = policy->FindDocument(package + "." + name);
        const auto outcome = place < 0 ? rego::Machine::Outcome::kUndefined : machine.RunDocument(place, value);
        r.duration_ns = (clock.Mono() - start).count();
        for (const std::string& line : prints) r.output += line + "\n";
        if (outcome == rego::Machine::Outcome::kError)
          r.error = machine.error().ToString();
        else
          Finish(r, names, value, outcome == rego::Machine::Outcome::kValue);
      }
      report.results.push_back(std::move(r));
    }
  }
  services.prints = services.test_cases = nullptr;
  if (options.coverage) report.coverage = MeasureCoverage(*policy, trace);
  return report;
}

std::string TestText(const TestReport& report, bool verbose) {
  std::string out;
  for (const TestResult& r : report.results) {
    if (r.pass && !verbose) continue;
    out += r.file + ":" + std::to_string(r.row) + ":\n" + r.package + "." + r.name + ": " + Verdict(r);
    if (!r.skip) out += " (" + DurationText(r.duration_ns) + ")";
    out += "\n";
    if (!r.error.empty()) out += "  " + r.error + "\n";
    for (const SubResult& s : r.subs) {
      if (!s.pass || verbose) out += "  " + s.name + ": " + (s.pass ? "PASS" : "FAIL") + "\n";
    }
    if (!r.output.empty()) {
      out += "\n";
      for (size_t start = 0; start < r.output.size();) {
        const size_t end = r.output.find('\n', start);
        out += "  " + r.output.substr(start, end - start) + "\n";
        start = end + 1;
      }
      out += "\n";
    }
  }
  const size_t all = report.results.size();
  if (all == 0) return "no test rules found\n";
  if (!out.empty()) out += std::string(80, '-') + "\n";
  auto sum = [&](const char* name, size_t n) {
    if (n > 0) out += std::string(name) + ": " + std::to_string(n) + "/" + std::to_string(all) + "\n";
  };
  sum("PASS", report.passed());
  size_t errors = 0;
  for (const TestResult& r : report.results) errors += !r.error.empty();
  sum("FAIL", report.failed() - errors);
  sum("ERROR", errors);
  sum("SKIPPED", report.skipped());
  return out;
}

std::string TestJson(const TestReport& report) {
  JsonText j;
  j.BeginArray();
  for (const TestResult& r : report.results) {
    j.BeginObject();
    j.Key("location");
    j.BeginObject();
    j.Member("file", r.file);
    j.Member("row", int64_t{r.row});
    j.Member("col", int64_t{r.col});
    j.EndObject();
    j.Member("package", r.package);
    j.Member("name", r.name);
    if (!r.error.empty()) {
      j.Key("error");
      j.BeginObject();
      j.Member("message", r.error);
      j.EndObject();
    } else if (r.skip) {
      j.Key("skip");
      j.Bool(true);
    } else if (!r.pass) {
      j.Key("fail");
      j.Bool(true);
    }
    j.Member("duration", r.duration_ns);
    if (!r.output.empty()) j.Member("output", Base64(r.output));
    if (!r.subs.empty()) {
      j.Key("sub_results");
      j.BeginObject();
      for (const SubResult& s : r.subs) {
        j.Key(s.name);
        j.BeginObject();
        j.Member("name", s.name);
        if (!s.pass) {
          j.Key("fail");
          j.Bool(true);
        }
        j.EndObject();
      }
      j.EndObject();
    }
    j.EndObject();
  }
  j.EndArray();
  return j.Take() + "\n";
}

}  // namespace hexr::policy
