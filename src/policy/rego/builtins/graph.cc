// Reachability in graphs given as objects of node to neighbours.
#include "base/limits/rego.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

bool Roots(Call& c, const Obj*& graph, std::span<const Value>& roots) {
  if (!TakeObject(c, 0, graph)) return false;
  bool ok = false;
  roots = Elements(c[1], ok);
  if (!ok) c.WrongType(1, "{array, set}");
  return ok;
}

std::span<const Value> Neighbours(const Value& v) {
  bool ok = false;
  return Elements(v, ok);
}

Value Reachable(Call& c) {
  const Obj* graph;
  std::span<const Value> roots;
  if (!Roots(c, graph, roots)) return Value();
  Collector* reached = Collector::Make(c.arena);
  std::vector<Value> queue(roots.begin(), roots.end());
  while (!queue.empty()) {
    Value node = queue.back();
    queue.pop_back();
    int64_t at = Find(*graph, node);
    if (at < 0 || reached->At(node) != nullptr) continue;
    reached->Insert(c.arena, node, Value());
    if (!c.Reserve(64)) return Value();
    for (const Value& next : Neighbours(graph->values[at])) queue.push_back(next);
  }
  return reached->FinishSet(c.arena);
}

class PathFinder {
 public:
  PathFinder(Call& c, const Obj& graph, SetBuilder& out) : c_(c), graph_(graph), out_(out) {}

  // Adds every maximal path from `node` on; false when over budget.
  bool From(const Value& node) {
    int64_t at = Find(graph_, node);
    if (at < 0) return Emit();
    // Each node of a path is a call within a call.
    if (path_.size() >= limits::kMaxRegoPathNodes) {
      c_.Error("eval_cancel_error", "paths of more than " + std::to_string(limits::kMaxRegoPathNodes) + " nodes");
      c_.set_halts();
      return false;
    }
    path_.push_back(node);
    auto next = Neighbours(graph_.values[at]);
    bool ok = !next.empty() || Emit();
    for (const Value& n : next) {
      if (!ok) break;
      ok = c_.Spend(1 + path_.size() / 16) && (OnPath(n) ? Emit() : From(n));
    }
    path_.pop_back();
    return ok;
  }

 private:
  bool OnPath(const Value& n) const {
    for (const Value& p : path_) {
      if (Equal(p, n)) return true;
    }
    return false;
  }
  bool Emit() {
    if (!c_.Reserve((path_.size() + 4) * sizeof(Value))) return false;
    out_.Add(MakeArray(c_.arena, path_));
    return true;
  }

  Call& c_;
  const Obj& graph_;
  SetBuilder& out_;
  std::vector<Value> path_;
};

Value ReachablePaths(Call& c) {
  const Obj* graph;
  std::span<const Value> roots;
  if (!Roots(c, graph, roots)) return Value();
  SetBuilder out(c.arena);
  for (const Value& root : roots) {
    if (Find(*graph, root) < 0) continue;
    if (!PathFinder(c, *graph, out).From(root)) return Value();
  }
  return out.Finish();
}

}  // namespace

std::span<const Builtin> GraphBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "graph.reachable", .arity = 2, .fn = Reachable},
      {.name = "graph.reachable_paths", .arity = 2, .fn = ReachablePaths},
  };
  return kTable;
}

}  // namespace hexr::rego
