// Runs a program: one machine per thread, any number of decisions after one another. Values of a decision live in the
// machine's arena until the next one begins. No heap allocation once warm, but in built-ins whose libraries need it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/rego/builtins/registry.h"
#include "policy/rego/plan/program.h"

namespace hexr::rego {

// What one decision may use. Over any of them is an error, and an error is a deny.
struct Budget {
  uint64_t steps = 50'000'000;        // loop turns and calls
  size_t memory = size_t{256} << 20;  // bytes of values made
  size_t depth = 512;                 // calls within calls
};

struct EvalError {
  std::string code;  // eval_conflict_error, eval_builtin_error, eval_type_error, eval_internal_error, eval_cancel_error
  std::string message;
  Location at;
  std::string file;
  // "file:row: code: message", as OPA prints it.
  std::string ToString() const;
};

// What decisions did at each instruction: for coverage and explanations. Grows over decisions; one thread.
struct Trace {
  enum Mark : uint8_t { kReached = 1, kFailed = 2 };
  std::vector<std::vector<uint8_t>> marks;  // by function, by instruction
  void Reset(const Program& program);
};

class Machine {
 public:
  Machine(const Program& program, Services& services, Budget budget = {});
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Strict: an error of a built-in ends the decision. Otherwise its expression is undefined.
  bool strict = false;
  // Not owned; set and Reset() before Begin(). Null in production, where tracing costs nothing.
  Trace* trace = nullptr;

  // From the next decision on, another program. What this one gave is forgotten. Takes no memory unless the program is
  // larger than any before.
  void Rebind(const Program& program);
  // Forgets the last decision; the arena is for building the next one's input.
  Arena& Prepare();
  // Begins a decision, after Prepare() when that was called for it. `input` may be undefined; `data` is the base
  // document (an object).
  void Begin(const Value& input, const Value& data);
  enum class Outcome : uint8_t { kValue, kUndefined, kError };
  Outcome Run(int function, Value& result);
  // The document at a place of the program's tree: a rule set's value, or all of a package.
  Outcome RunDocument(int place, Value& result);
  // The rule that gave the last value of Run or RunDocument, where it is one rule's; null otherwise.
  const Location* returned_at() const { return returned_at_; }
  // The rules that added members to the last partial set that was run by itself (first few).
  const std::vector<const Location*>& decided() const { return decided_; }
  const EvalError& error() const { return error_; }
  Arena& arena() { return arena_; }
  const Program& program() const { return *program_; }
  // Errors of built-ins that became undefined in this decision (first few).
  const std::vector<EvalError>& swallowed() const { return swallowed_; }

 private:
  struct Mock;
  struct Context;
  struct MemoSlot {
    uint64_t generation = 0;
    bool defined = false;
    Value value;
  };

  template <bool kTraced>
  Outcome Execute(const Function& f, Value* r, Value& result);
  Outcome CallFunction(const Function& f, int id, const Value* args, size_t n, Value* stack_top, Value& result);
  Outcome RuleValue(int function, Value* stack_top, Value& result);
  Outcome CallBuiltin(const Function& f, const Instruction& i, Value* r, Value& result);
  Outcome Invoke(const Builtin& b, const Value* args, size_t n, Value& result, const Location& at);
  // True when a mock answered: then `result` or the outcome stands.
  bool Mocked(bool builtin, int id, const Value* args, size_t n, Value* stack_top, Value& result, Outcome& outcome,
              const Location& at);
  Outcome NodeValue(int place, Value& result);
  Outcome NodeChild(const Node& n, const Value& key, Value* stack_top, Value& result);
  Outcome Document(const Value& v, Value* stack_top, Value& result);
  bool Covered(int place) const;
  Value BaseOf(int place) const;
  Outcome StartIteration(Value* it, const Value& v);
  Outcome NextOf(Value* it, Value* key, Value* value, Value* stack_top);
  void EnterWith(const WithSite& site, Value& slot, const Value* values);
  Outcome Fail(std::string_view code, std::string message, const Location& at);
  bool Spend(const Location& at, uint64_t steps = 1);

  const Program* program_;
  Services& services_;
  Budget budget_;
  Arena arena_;
  std::vector<Value> stack_;
  std::vector<MemoSlot> memo_;
  uint64_t generation_ = 0;
  uint64_t steps_left_ = 0;
  size_t depth_ = 0;
  bool prepared_ = false;
  Context* context_ = nullptr;
  Context* root_ = nullptr;
  EvalError error_;
  std::vector<EvalError> swallowed_;
  const Location* returned_at_ = nullptr;
  std::vector<const Location*> decided_;
};

}  // namespace hexr::rego
