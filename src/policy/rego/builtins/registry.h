// The built-in functions by name, one file per family. The table is constant.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "policy/rego/value/arena.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

struct Services;

// One call in progress. A built-in returns its result, or an undefined value after Fail; undefined without Fail is a
// result too: the expression fails.
class Call {
 public:
  Call(Arena& a, Services& s, std::span<const Value> operands) : arena(a), services(s), args(operands) {}

  Arena& arena;
  Services& services;
  std::span<const Value> args;

  const Value& operator[](size_t i) const { return args[i]; }
  // eval_builtin_error: message.
  Value Fail(std::string message);
  // eval_type_error: "operand N must be {want} but got {kind}".
  Value WrongType(size_t operand, std::string_view want);
  Value TypeError(std::string message);
  Value Error(std::string code, std::string message);
  // False after failing: the result would be larger than the budget leaves.
  bool Reserve(size_t bytes);
  // The most that Reserve would grant.
  size_t Room() const;
  // False after failing: so many steps of work are more than the budget of the decision leaves. What takes more than
  // linear time asks before each part.
  bool Spend(uint64_t steps);
  bool failed() const { return !code_.empty(); }
  const std::string& code() const { return code_; }
  const std::string& message() const { return message_; }
  bool halts() const { return halts_; }
  void set_halts() { halts_ = true; }

  Value Text(std::string_view s) { return Value::String(arena, s); }

 private:
  std::string code_;
  std::string message_;
  bool halts_ = false;
};

using BuiltinFn = Value (*)(Call& call);

struct Builtin {
  std::string_view name;
  uint8_t arity;
  BuiltinFn fn;
  bool relation = false;  // the result is an array of results, each in turn
  bool nondeterministic = false;
  bool variadic = false;
  bool no_result = false;  // print and its kind: always true
  bool deprecated = false;
  bool only_cases = false;  // known to the runner of conformance cases alone
};

// What built-ins need beyond their operands. Lives as long as a machine; `per_query` state is renewed by BeginQuery.
class RegexCache;
class Zone;
struct Services {
  Services(const Clock& c, Random& r);
  ~Services();
  void BeginQuery();

  const Clock& clock;
  Random& random;
  std::unique_ptr<RegexCache> regexes;
  std::map<std::string, std::shared_ptr<const Zone>, std::less<>> zones;  // time zones read so far
  int64_t now_ns = 0;                                                     // fixed for one query; 0: not asked yet
  Value memo;                      // nondeterministic results of this query: object, key [name, args]
  size_t memory_limit = 0;         // of the arena
  uint64_t* steps_left = nullptr;  // of the decision, counted down; null: nobody counts
  std::vector<std::pair<Value, Value>> remembered;
  // `test.sleep`, `http.send`… refused unless the host lends its own.
  std::function<Value(Call&, std::string_view name)> host;
  std::vector<std::string>* prints = nullptr;
  std::vector<std::string>* test_cases = nullptr;  // names of sub-tests, parts joined by /
};

// Null when there is none of that name.
const Builtin* FindBuiltin(std::string_view name);
int BuiltinId(const Builtin* b);
std::span<const Builtin* const> AllBuiltins();

}  // namespace hexr::rego
