// What the machine runs: functions of register bytecode, a tree of packages and rules, constants. Immutable once
// planned; shared by any number of machines on any threads without synchronisation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "policy/rego/builtins/registry.h"
#include "policy/rego/plan/index.h"
#include "policy/rego/syntax/ast.h"
#include "policy/rego/value/arena.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

// Operands: a, b, c name registers of the frame unless said otherwise; d is where to go on failure; e is extra.
enum class Op : uint16_t {
  kLoadConst,  // a = constants[e]
  kMove,       // a = b
  kInput,      // a = input, or fail
  kInputPath,  // a = input at paths[e], or fail; kept in a for the rest of the call
  kDataPath,   // a = the base document of data at paths[e], in the same way
  kData,       // a = the base document of data
  kDot,        // a = b[constants[e]], or fail (c != 0: b is stored data, where the number 2 names the member "2" too)
  kLookup,     // a = b[c], or fail (e != 0: as c of kDot)
  kElement,    // a = b[e] of an array known to be long enough
  kNode,       // a = the document at tree[e], or fail when there is neither data nor rules
  kDocument,   // a = the plain value of a (a node becomes an object)
  kIterate,    // a (and a+1) = an iterator over b, or fail when b cannot be iterated
  kNext,       // b = key, c = value of the iterator a (kNoRegister: not wanted), or fail at the end
  kRequireArray,   // fail unless a is an array of e elements
  kRequireObject,  // fail unless a is an object of e entries
  kEqual,          // fail unless a == b
  kEqualConst,     // fail unless a == constants[e]
  kMemberEqual,    // fail unless a == b[constants[e]]
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,  // fail unless a OP b
  kHas,           // fail unless a is a member (array element, object value, set member) of b
  kTrue,          // fail when a is false
  kDefined,       // fail unless a is defined
  kUndefined,     // fail when a is defined
  kClear,         // a = undefined
  kArray,         // a = [b, b+1 … c of them]
  kSet,           // a = {b … c of them}
  kObject,        // a = {b: b+1, … c pairs}
  kCollect,       // a = a new collector (e != 0: of a set)
  kAddArray,      // append b to the collector a
  kAddSet,        // add b to the collector a
  kAddObject,     // a[b] = c, or conflict
  kAddPath,  // the collector a at the path b, b+1 … c keys: value in the register after them; e: 1 when it goes into a
             // set
  kFinishArray,
  kFinishSet,
  kFinishObject,  // a = the value collected in a
  kResult,        // a = b, or conflict when a holds another value (e: 1 function, 0 rule)
  kCall,          // a = functions[e](b, b+1…), or fail
  kRule,          // a = the document of functions[e], computed once, or fail
  kBuiltin,       // a = sites[e](b, b+1… c operands), or fail
  kIndex,         // asks indexes[e]; candidates go to iterator a; jump d when there are none
  kCandidate,     // jump to the next candidate of a, or d when done
  kWith,          // a = a new context by withs[e], values from b; enters it
  kLeave,         // back to the context outside a
  kReenter,       // into the context a again
  kJump,          // to d
  kMark,          // a remembers d
  kResume,        // to where a remembers
  kReturn,        // the value of a
  kReturnUndefined,
};
inline constexpr uint16_t kNoRegister = 0xFFFF;

struct Instruction {
  Op op;
  uint16_t a = 0;
  uint16_t b = 0;
  uint16_t c = 0;
  uint32_t d = 0;
  uint32_t e = 0;
};
static_assert(sizeof(Instruction) == 16);

struct Function {
  std::string name;  // data.a.b, for messages
  std::vector<Instruction> code;
  std::vector<Location> places;  // per instruction
  uint16_t arguments = 0;
  uint32_t registers = 0;
  uint32_t kept = 0;  // the last registers, for parts of input: undefined when a call begins
  int node = -1;      // the tree node it computes
};

// One place in the tree of packages and rules.
struct TreePlace {
  Value key;
  int parent = -1;
  std::vector<std::pair<Value, int>> children;  // sorted by key
  int function = -1;                            // computes this document; nodes below it are part of it
  bool takes_arguments = false;
  int Child(const Value& k) const;
};

struct BuiltinSite {
  const Builtin* builtin;
  int id;  // position in the table of built-ins
};

struct WithTarget {
  enum class Kind : uint8_t { kInput, kData, kFunction, kBuiltin } kind;
  std::vector<Value> path;  // below input or data
  int node = -1;            // data: the tree node that is covered, if the tree has it
  int callee = -1;          // mocked function or built-in
  int by_function = -1;     // the mock: a function,
  int by_builtin = -1;      // a built-in,
  bool by_value = true;     // or the value
};
struct WithSite {
  std::vector<WithTarget> targets;
};

struct Program {
  Arena arena;
  std::vector<Value> constants;
  std::vector<Function> functions;
  std::vector<TreePlace> tree;  // [0] is data
  std::vector<BuiltinSite> sites;
  std::vector<WithSite> withs;
  std::vector<Index> indexes;
  std::vector<std::vector<Value>> paths;  // below input or data
  std::vector<std::string> files;
};

}  // namespace hexr::rego
