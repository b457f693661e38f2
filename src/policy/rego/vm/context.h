// What `with` changes: input, data, covered nodes, mocked functions, and a memo of its own. Lives in the arena.
#pragma once

#include "policy/rego/value/value.h"
#include "policy/rego/vm/machine.h"

namespace hexr::rego {

// A place in the tree of packages under one context: what stands for an object that mixes data and rules.
struct Node {
  int place;
  Value base;  // the base document at this place; undefined when there is none
};

struct Machine::Mock {
  const Mock* next;
  bool builtin;
  int callee;
  const WithTarget* target;
  Value value;
};

struct Machine::Context {
  Value input;
  Value data;
  MemoSlot* memo;
  const Mock* mocks;   // innermost first
  const int* covered;  // places hidden by `with data…`
  uint32_t covered_count;
  Context* outer;
};

}  // namespace hexr::rego
