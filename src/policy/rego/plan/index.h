// The decision index of one rule set: from the values that rules compare to constants, straight to the few rules that
// can apply. A tree of tests; each leaf is a list of rules in source order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/rego/value/value.h"

namespace hexr::rego {

class Index {
 public:
  // What a rule demands of one document path before anything else: nothing when `kind` is kAny.
  struct Guard {
    enum class Kind : uint8_t { kEqual, kOneOf, kPrefix } kind = Kind::kEqual;
    int source = -1;            // which of the index's documents
    std::vector<Value> values;  // constants (kPrefix: strings)
  };
  struct Rule {
    std::vector<Guard> guards;
    uint32_t start = 0;  // code position
  };
  // A document to look at: `input` (or argument `argument`) and a path below it.
  struct Source {
    int argument = -1;
    std::vector<Value> path;
    bool operator==(const Source& o) const;
  };

  // `sources` in the order of first use.
  void Build(std::vector<Source> sources, std::vector<Rule> rules);
  bool useful() const { return useful_; }

  // The numbers of the rules that may apply, ascending: `*out` points into `arena`.
  uint32_t Candidates(Arena& arena, const Value& input, const Value* arguments, const uint32_t** out) const;
  size_t size() const { return rules_.size(); }
  const std::vector<Rule>& rules() const { return rules_; }
  std::vector<Rule>& rules() { return rules_; }

 private:
  struct Branch {
    int source = -1;                // -1: a leaf
    uint32_t slots = 0;             // power of two; equality table
    uint32_t table = 0;             // first slot in slots_
    int otherwise = -1;             // branch of the rules without a guard here
    std::vector<uint32_t> lengths;  // of prefixes
    std::vector<uint32_t> rules;    // leaf
  };
  struct Slot {
    Value key;
    int branch = -1;
    bool prefix = false;
  };
  int Grow(std::vector<uint32_t> rules, uint64_t used, size_t depth);
  struct Found;
  void Ask(int branch, const Value& input, const Value* arguments, Found& found) const;
  int FindSlot(const Branch& b, uint32_t hash, const Value* key, std::string_view prefix) const;
  Value Load(const Source& s, const Value& input, const Value* arguments) const;

  std::vector<Source> sources_;
  std::vector<Rule> rules_;
  std::vector<Branch> branches_;
  std::vector<Slot> slots_;
  int root_ = -1;
  bool useful_ = false;
};

}  // namespace hexr::rego
