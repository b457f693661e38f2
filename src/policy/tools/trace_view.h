// A trace by places in the source: which literals were tried, which failed, which rules gave a value.
#pragma once

#include <functional>
#include <map>
#include <tuple>

#include "policy/rego/engine.h"

namespace hexr::policy {

class TraceView {
 public:
  TraceView(const rego::Program& program, const rego::Trace& trace);

  bool Reached(const rego::Location& at) const { return (Marks(at) & rego::Trace::kReached) != 0; }
  bool Failed(const rego::Location& at) const { return (Marks(at) & rego::Trace::kFailed) != 0; }
  // The rule that begins at `at` gave a value.
  bool Succeeded(const rego::Location& at) const;

 private:
  using Key = std::tuple<uint32_t, uint32_t, uint32_t>;
  static Key KeyOf(const rego::Location& at) { return {at.file, at.row, at.col}; }
  uint8_t Marks(const rego::Location& at) const;
  std::map<Key, uint8_t> marks_;
  std::map<Key, bool> succeeded_;
};

// Every literal of a body, those of comprehensions, `every` and `not` included.
void VisitLiterals(const rego::Body& body, const std::function<void(const rego::Expr&)>& visit);

}  // namespace hexr::policy
