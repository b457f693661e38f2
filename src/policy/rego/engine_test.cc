#include "policy/rego/engine.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/limits/rego.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"

namespace hexr::rego {
namespace {

// One decision over one module.
struct Engine {
  explicit Engine(const std::string& module, Budget budget = {})
      : clock(WallTime{}), random(1), services(clock, random) {
    policy = Policy::Compile({{"p.rego", module}}, {}, errors);
    if (policy) machine = std::make_unique<Machine>(policy->program(), services, budget);
  }
  std::string Ask(std::string_view path, const std::string& input = "{}", const std::string& data = "{}") {
    if (!policy) return FormatDiagnostics(errors);
    int f = policy->Find(path);
    if (f < 0) return "no such rule";
    auto in = ParseJson(store, input), base = ParseJson(store, data);
    machine->Begin(*in, *base);
    Value v;
    switch (machine->Run(f, v)) {
      case Machine::Outcome::kValue: return ToRego(v);
      case Machine::Outcome::kUndefined: return "undefined";
      case Machine::Outcome::kError: return machine->error().ToString();
    }
    return "";
  }
  std::string FirstCode() const { return errors.empty() ? "" : errors[0].code; }

  ManualClock clock;
  SeededRandom random;
  Services services;
  std::vector<Diagnostic> errors;
  std::unique_ptr<Policy> policy;
  std::unique_ptr<Machine> machine;
  Arena store;
};

TEST(RegoEngine, DecidesAndExplainsNothingByItself) {
  Engine r("package a\nallow if input.role == \"admin\"\n");
  EXPECT_EQ(r.Ask("data.a.allow", R"({"role": "admin"})"), "true");
  EXPECT_EQ(r.Ask("data.a.allow", R"({"role": "guest"})"), "undefined");
  EXPECT_EQ(r.Ask("data.a.nothing"), "no such rule");
}

TEST(RegoEngine, SyntaxErrorsAreReportedTogether) {
  std::vector<Diagnostic> errors;
  auto m = ParseModule("p.rego", "package a\np := [1,\nq if {\nr := }\ns := 1\n", {}, errors);
  EXPECT_EQ(m, nullptr);
  EXPECT_GE(errors.size(), 2u);
  for (const auto& e : errors) EXPECT_EQ(e.code, "rego_parse_error");
}

TEST(RegoEngine, CompileErrorsCarryTheCodesOfOpa) {
  EXPECT_EQ(Engine("package a\np if x == 1\n").FirstCode(), "rego_unsafe_var_error");
  EXPECT_EQ(Engine("package a\np if q\nq if p\n").FirstCode(), "rego_recursion_error");
  EXPECT_EQ(Engine("package a\np := no_such(1)\n").FirstCode(), "rego_type_error");
  EXPECT_EQ(Engine("package a\np := count(1, 2, 3)\n").FirstCode(), "rego_type_error");
  EXPECT_EQ(Engine("package a\np if { x := 1; x := 2 }\n").FirstCode(), "rego_compile_error");
  EXPECT_EQ(Engine("package a\np(x) := 1\np := 2\n").FirstCode(), "rego_type_error");
}

TEST(RegoEngine, NetworkBuiltinsAreRefusedUnlessLent) {
  Engine r("package a\np := http.send({\"method\": \"get\", \"url\": \"http://x\"})\nq := net.lookup_ip_addr(\"x\")\n");
  r.machine->strict = true;
  EXPECT_NE(r.Ask("data.a.p").find("eval_builtin_error"), std::string::npos);
  EXPECT_NE(r.Ask("data.a.q").find("eval_builtin_error"), std::string::npos);
}

TEST(RegoEngine, StepBudgetEndsLongLoops) {
  Budget b;
  b.steps = 1000;
  Engine r("package a\np := count([1 | some x in numbers.range(1, 1000); some y in numbers.range(1, 1000)])\n", b);
  EXPECT_NE(r.Ask("data.a.p").find("step budget"), std::string::npos);
}

TEST(RegoEngine, MemoryBudgetEndsLargeValues) {
  Budget b;
  b.memory = 1 << 20;
  Engine r("package a\np := numbers.range(1, 100000000)\nq := [x | some x in numbers.range(1, 60000)]\n", b);
  EXPECT_NE(r.Ask("data.a.p").find("memory budget"), std::string::npos);
  EXPECT_NE(r.Ask("data.a.q").find("memory budget"), std::string::npos);
  // A text of a page that prints its operand a thousand times over.
  Engine s("package a\np := sprintf(input.format, [input.text])\n", b);
  std::string format;
  for (int i = 0; i < 1000; ++i) format += "%[1]s";
  EXPECT_NE(s.Ask("data.a.p", "{\"format\": \"" + format + "\", \"text\": \"" + std::string(100'000, 'x') + "\"}")
                .find("memory budget"),
            std::string::npos);
}

TEST(RegoEngine, DepthBudgetEndsDeepCalls) {
  Budget b;
  b.depth = 3;
  Engine r("package a\nf1(x) := x\nf2(x) := f1(x)\nf3(x) := f2(x)\nf4(x) := f3(x)\np := f4(1)\n", b);
  EXPECT_NE(r.Ask("data.a.p").find("depth budget"), std::string::npos);
}

// What an agent can send to a policy that uses the costly built-ins: each ends within the budget of steps, and none in
// an answer that was not worked out.
TEST(RegoEngine, BuiltinsAnswerToTheStepBudget) {
  Budget b;
  b.steps = 10000;
  const auto ask = [&](const std::string& term, const std::string& input) {
    Engine r("package a\np := " + term + "\n", b);
    return r.Ask("data.a.p", input);
  };
  const auto list = [](const std::string& item, int n) {
    std::string out = "[";
    for (int i = 0; i < n; ++i) out += (i > 0 ? "," : "") + item;
    return out + "]";
  };
  const std::string input =
      R"({"a": )" + list(R"("10.0.0.0/8")", 200) + R"(, "b": )" + list(R"("11.0.0.1")", 200) + "}";
  EXPECT_NE(ask("net.cidr_contains_matches(input.a, input.b)", input).find("step budget"), std::string::npos);
  EXPECT_NE(ask("strings.any_prefix_match(input.a, input.b)", input).find("step budget"), std::string::npos);
  const std::string search = R"({"a": )" + list("1", 1000) + "}";
  EXPECT_NE(ask("count([x | some x in input.a; not 2 in input.a])", search).find("step budget"), std::string::npos);
  const std::string turns = R"({"n": 9000000000000000000})";
  EXPECT_NE(ask("strings.render_template(\"{{range .n}}{{end}}\", input)", turns).find("step budget"),
            std::string::npos);
  const std::string runs = R"({"a": )" + list("1", 2000) + R"(, "b": )" + list("1", 999) + "}";
  EXPECT_NE(ask("object.subset(input.a, array.concat(input.b, [2]))", runs).find("step budget"), std::string::npos);
  const std::string twice =
      R"({"properties": {"x": {"anyOf": [{"$ref": "#/properties/x"}, {"$ref": "#/properties/x"}]}}})";
  EXPECT_NE(ask("json.match_schema({\"x\": 1}, " + twice + ")", "{}").find("eval_cancel_error"), std::string::npos);
  const std::string graph = "{x: y | some x in numbers.range(1, 12); y := numbers.range(1, 12)}";
  EXPECT_NE(ask("graph.reachable_paths(" + graph + ", [1])", "{}").find("step budget"), std::string::npos);
  EXPECT_NE(ask("count([x | some i in numbers.range(1, 200); x := upper(input.a)])",
                R"({"a": ")" + std::string(30000, 'a') + "\"}")
                .find("step budget"),
            std::string::npos);
}

TEST(RegoEngine, TimeZonesAreFilesOfTheirFolder) {
  Engine r("package a\np := time.clock([0, input.tz])\n");
  EXPECT_EQ(r.Ask("data.a.p", R"({"tz": "UTC"})"), "[0, 0, 0]");
  for (const char* tz :
       {"Europe", "America", "../../../etc", "/etc/passwd", "right/../UTC", ".", "tzdata.zi", "nowhere"})
    EXPECT_EQ(r.Ask("data.a.p", std::string(R"({"tz": ")") + tz + "\"}"), "undefined") << tz;
}

TEST(RegoEngine, BuiltinsTakeTimeInProportionToTheirTexts) {
  Engine r("package a\np := strings.reverse(input.a)\nq := json.match_schema(input.b, {\"uniqueItems\": true})[0]\n");
  // Looking for what is nearly everywhere.
  Engine s(
      "package a\np := [contains(input.a, input.b), indexof(input.a, input.b), strings.count(input.a, input.b), "
      "count(split(input.a, input.b))]\n");
  const std::string hay(2 << 20, 'a'), needle(1 << 20, 'a');
  EXPECT_EQ(s.Ask("data.a.p", "{\"a\": \"" + hay + "\", \"b\": \"" + needle + "b\"}"), "[false, -1, 0, 1]");
  const std::string text(3 << 20, 'x');
  EXPECT_EQ(r.Ask("data.a.p", "{\"a\": \"" + text + "y\"}"), "\"y" + text + "\"");
  std::string list = "[0";
  for (int i = 1; i < 300000; ++i) list += "," + std::to_string(i);
  EXPECT_EQ(r.Ask("data.a.q", "{\"b\": " + list + "]}"), "true");
  EXPECT_EQ(r.Ask("data.a.q", "{\"b\": " + list + ",7]}"), "false");
}

// A document that is deeper than the check goes is not one that fits.
TEST(RegoEngine, SchemasHoldAtAnyDepth) {
  Engine r(
      "package a\np := json.match_schema(input, {\"properties\": {\"x\": {\"$ref\": \"#\"}, \"bad\": false}})[0]\n");
  const auto nested = [](int depth, const std::string& core) {
    std::string out;
    for (int i = 0; i < depth; ++i) out += "{\"x\":";
    return out + core + std::string(static_cast<size_t>(depth), '}');
  };
  EXPECT_EQ(r.Ask("data.a.p", nested(300, "{}")), "true");
  EXPECT_EQ(r.Ask("data.a.p", nested(300, "{\"bad\": 1}")), "false");
  static_assert(limits::kMaxRegoSchemaDepth < 2 * 900);
  EXPECT_NE(r.Ask("data.a.p", nested(900, "{\"bad\": 1}")).find("nest too deeply"), std::string::npos);
}

TEST(RegoEngine, PatchesMakeNoDocumentDeeperThanDocumentsAre) {
  Engine r(R"(package a
filtered := json.filter({"a": 1}, [input.path])
removed := json.remove({"a": 1}, [input.path])
steps := json.remove({"a": 1}, [split(input.path, "/")])
patched := json.patch({"a": {}}, input.patch)
)");
  std::string path = "a";
  for (size_t i = 1; i < limits::kMaxRegoDocumentDepth; ++i) path += "/a";
  EXPECT_EQ(r.Ask("data.a.filtered", "{\"path\": \"" + path + "\"}"), "{\"a\": 1}");
  for (int i = 0; i < 400'000; ++i) path += "/a";
  for (const char* rule : {"data.a.filtered", "data.a.removed", "data.a.steps"})
    EXPECT_NE(r.Ask(rule, "{\"path\": \"" + path + "\"}").find("values within values"), std::string::npos) << rule;
  const auto copies = [](const std::string& op, int n) {
    std::string out = "{\"patch\": [";
    for (int i = 0; i < n; ++i) out += (i > 0 ? "," : "") + op;
    return out + "]}";
  };
  // Below itself, again and again: a level, and twice the size, with every step.
  const std::string below = R"({"op": "copy", "from": "/a", "path": "/a/b"})";
  const std::string deeper = R"({"op": "copy", "from": "", "path": "/a"})";
  EXPECT_NE(r.Ask("data.a.patched", copies(deeper, 2000)).find("values within values"), std::string::npos);
  EXPECT_NE(r.Ask("data.a.patched", copies(below + "," + R"({"op": "copy", "from": "/a", "path": "/a/c"})", 60))
                .find("budget"),
            std::string::npos);
}

TEST(RegoEngine, LongPathsOfAGraphEndInAnError) {
  Engine r("package a\np := count(graph.reachable_paths(input, [\"0\"]))\n");
  const auto chain = [](size_t n) {
    std::string out = "{";
    for (size_t i = 0; i < n; ++i) {
      out += (i > 0 ? "," : "") + ("\"" + std::to_string(i)) + "\":[\"" + std::to_string(i + 1) + "\"]";
    }
    return out + "}";
  };
  EXPECT_EQ(r.Ask("data.a.p", chain(limits::kMaxRegoPathNodes)), "1");
  EXPECT_NE(r.Ask("data.a.p", chain(200'000)).find("paths of more than"), std::string::npos);
}

TEST(RegoEngine, HostileTextsEndInAnError) {
  std::vector<Diagnostic> errors;
  EXPECT_EQ(ParseModule("p", "package a\np := " + std::string(10000, '[') + "\n", {}, errors), nullptr);
  EXPECT_EQ(ParseModule("p", "package a\np := " + std::string(100000, '{') + "\n", {}, errors), nullptr);
  std::string bars = "package a\np := ";
  for (int i = 0; i < 300; ++i) bars += "[a | ";
  EXPECT_EQ(ParseModule("p", bars, {}, errors), nullptr);
  EXPECT_EQ(ParseModule("p", "package a\np := \"\xff\xfe\"\n\xff", {}, errors), nullptr);
  Arena arena;
  EXPECT_FALSE(ParseJson(arena, std::string(limits::kMaxRegoDocumentDepth + 2, '[')).ok());
}

TEST(RegoEngine, LongOneLinePolicyCompiles) {
  std::string text = "package a\np := {";
  for (int i = 0; i < 100000; ++i) text += "\"k" + std::to_string(i) + "\": " + std::to_string(i) + ", ";
  Engine r(text + "}\nq := p.k99999\n");
  EXPECT_EQ(r.Ask("data.a.q"), "99999");
}

// The index may only skip rules that cannot apply: the same rules with a guard it cannot read give the same answers.
TEST(RegoIndex, AgreesWithTryingEveryRule) {
  std::string indexed = "package a\n", plain = "package a\n";
  SeededRandom random(7);
  const char* shapes[] = {"input.x == %",
                          "input.y in {%, \"c\"}",
                          "startswith(input.z, \"%\")",
                          "input.x == %; input.y == \"a\"",
                          "v := input.x; v == %",
                          "input.w"};
  for (int i = 0; i < 60; ++i) {
    std::string shape = shapes[random.Below(6)];
    std::string value = shape.find("starts") != std::string::npos ? std::string(1 + random.Below(2), 'p')
                        : shape.find("input.y in") != std::string::npos
                            ? "\"" + std::string(1, static_cast<char>('a' + random.Below(3))) + "\""
                            : std::to_string(random.Below(4));
    if (size_t at = shape.find('%'); at != std::string::npos) shape.replace(at, 1, value);
    std::string head = "p contains " + std::to_string(i) + " if { ";
    indexed += head + shape + " }\n";
    // Behind a second negation the guard is out of the index's sight.
    plain += head + "h" + std::to_string(i) + " }\nh" + std::to_string(i) + " if { " + shape + " }\n";
  }
  Engine a(indexed), b(plain);
  for (const char* input : {"{}", R"({"x": 1})", R"({"x": 2, "y": "a"})", R"({"y": "c", "z": "pq"})",
                            R"({"x": 3, "y": "b", "z": "ppp", "w": 1})", R"({"x": null, "y": 1, "z": 2, "w": false})",
                            R"({"x": 1.0, "z": "p"})"}) {
    EXPECT_EQ(a.Ask("data.a.p", input), b.Ask("data.a.p", input)) << input;
  }
}

TEST(RegoNumbers, AreExact) {
  Engine r(
      "package a\np := 9007199254740993 + 1\nq := 99999999999999999999 + 1\nr if 1e400 > 1e399\ns if 3.50 == 3.5\nt if "
      "{1.0, 1} == {1}\n"
      "u if 100.0 != 1\nv := 0.1 + 0.2\nw := 10 / 4\n");
  EXPECT_EQ(r.Ask("data.a.p"), "9007199254740994");
  EXPECT_EQ(r.Ask("data.a.q"), "100000000000000000000");
  for (const char* rule : {"data.a.r", "data.a.s", "data.a.t", "data.a.u"}) EXPECT_EQ(r.Ask(rule), "true") << rule;
  EXPECT_EQ(r.Ask("data.a.v"), "0.3");
  EXPECT_EQ(r.Ask("data.a.w"), "2.5");
}

TEST(RegoWith, ChangesOnlyItsOwnExpression) {
  Engine r(R"(package a
q := input.x
p := [q, y] if { y := q with input.x as 2 }
f(x) := x + 1
g(x) := f(x) * 10
m := x if { x := f(1) with f as g }
)");
  EXPECT_EQ(r.Ask("data.a.p", R"({"x": 1})"), "[1, 2]");
  // Inside a replacement nothing is replaced: g calls the real f.
  EXPECT_EQ(r.Ask("data.a.m"), "20");
}

TEST(RegoMachine, DecisionsDoNotSeeEachOther) {
  Engine r("package a\np := input.x\nq contains input.x\n");
  for (int i = 0; i < 50; ++i) {
    std::string n = std::to_string(i);
    EXPECT_EQ(r.Ask("data.a.p", "{\"x\": " + n + "}"), n);
    EXPECT_EQ(r.Ask("data.a.q", "{\"x\": " + n + "}"), "{" + n + "}");
  }
}

}  // namespace
}  // namespace hexr::rego
