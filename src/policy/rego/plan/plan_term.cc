#include <algorithm>
#include <span>

#include "policy/rego/plan/metadata.h"
#include "policy/rego/plan/planner.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/number.h"

namespace hexr::rego {

uint32_t Planner::Constant(const Value& v) {
  auto& same = constants_by_hash_[Hash(v)];
  for (uint32_t i : same) {
    const Value& c = program_.constants[i];
    // Numbers that are equal may be spelt differently: 1 and 1.0 stay two constants.
    if (Equal(c, v) && c.kind == v.kind && !v.is_composite() && (v.kind != Kind::kNum || c.num->text == v.num->text))
      return i;
  }
  program_.constants.push_back(v);
  auto index = static_cast<uint32_t>(program_.constants.size() - 1);
  same.push_back(index);
  return index;
}

Value Planner::GroundValue(const Term& t) {
  Arena& arena = program_.arena;
  switch (t.kind) {
    case TermKind::kNull: return Value::Null();
    case TermKind::kBool: return Value::Bool(t.text == "true");
    case TermKind::kNumber: {
      auto n = ParseNumber(arena, t.text);
      return n ? *n : Value::Int(0);
    }
    case TermKind::kArray: {
      ArrayBuilder b(arena, t.items.size());
      for (const auto& i : t.items) b.Add(GroundValue(*i));
      return b.Finish();
    }
    case TermKind::kSet: {
      SetBuilder b(arena, t.items.size());
      for (const auto& i : t.items) b.Add(GroundValue(*i));
      return b.Finish();
    }
    case TermKind::kObject: {
      ObjectBuilder b(arena, t.items.size() / 2);
      for (size_t i = 0; i < t.items.size(); i += 2) b.Add(GroundValue(*t.items[i]), GroundValue(*t.items[i + 1]));
      return b.Finish();
    }
    default: {
      Value s = Value::String(arena, t.text);
      return program_.constants[Constant(s)];
    }
  }
}

void Planner::Unsafe(const Term& t) {
  compiler_.errors().push_back({"rego_unsafe_var_error", "var " + TermText(t) + " is unsafe", t.at,
                                t.at.file < compiler_.modules().size() ? compiler_.modules()[t.at.file]->file : ""});
}

// Every variable in a pattern position has a value.
bool Planner::Computable(const Term& t) const {
  switch (t.kind) {
    case TermKind::kVar: return emit_->Find(t.text) >= 0;
    case TermKind::kArray:
    case TermKind::kSet:
    case TermKind::kObject:
      return std::all_of(t.items.begin(), t.items.end(), [this](const TermPtr& i) { return Computable(*i); });
    default: return true;
  }
}

// Operands in an order in which values exist: a variable may get its value in the brackets of another operand.
std::vector<uint16_t> Planner::PlanTerms(std::span<const TermPtr> terms) {
  std::vector<uint16_t> values(terms.size(), kNoRegister);
  for (bool last : {false, true}) {
    for (size_t i = 0; i < terms.size(); ++i) {
      if (values[i] == kNoRegister && (last || Computable(*terms[i]))) values[i] = PlanTerm(*terms[i]);
    }
  }
  return values;
}

uint16_t Planner::PlanSequence(Op op, const Term& t) {
  std::vector<uint16_t> values = PlanTerms(t.items);
  uint16_t first = emit_->Registers(values.size());
  for (size_t i = 0; i < values.size(); ++i) emit_->Emit(Op::kMove, static_cast<uint16_t>(first + i), values[i]);
  uint16_t r = emit_->Register();
  auto count = static_cast<uint16_t>(op == Op::kObject ? values.size() / 2 : values.size());
  emit_->Emit(op, r, first, count);
  return r;
}

uint16_t Planner::PlanTerm(const Term& t) {
  if (IsConstant(t)) {
    uint16_t r = emit_->Register();
    emit_->Emit(Op::kLoadConst, r, 0, 0, 0, Constant(GroundValue(t)));
    return r;
  }
  switch (t.kind) {
    case TermKind::kVar: {
      int r = emit_->Find(t.text);
      if (r >= 0) return static_cast<uint16_t>(r);
      Unsafe(t);
      return emit_->Register();
    }
    case TermKind::kRef: return PlanRef(t);
    case TermKind::kArray: return PlanSequence(Op::kArray, t);
    case TermKind::kSet: return PlanSequence(Op::kSet, t);
    case TermKind::kObject: return PlanSequence(Op::kObject, t);
    case TermKind::kCall: {
      bool relation = false;
      uint16_t r = PlanCall(t.items, t.items.size() - 1, t.at, relation);
      if (!relation) return r;
      uint16_t it = emit_->Registers(2);
      uint16_t v = emit_->Register();
      emit_->EmitOrFail(Op::kIterate, it, r);
      Emitter::Label next = emit_->NewLabel();
      emit_->Bind(next);
      emit_->Emit(Op::kNext, it, kNoRegister, v, emit_->fail);
      emit_->fail = next;
      return v;
    }
    case TermKind::kArrayComp:
    case TermKind::kSetComp:
    case TermKind::kObjectComp: return PlanComprehension(t);
    default: Unsafe(t); return emit_->Register();
  }
}

uint16_t Planner::PlanComprehension(const Term& t) {
  const Emitter::Mark mark = emit_->ScopeMark();
  Emitter::Label outer = emit_->fail;
  uint16_t r = emit_->Register();
  emit_->Emit(Op::kCollect, r, 0, 0, 0, t.kind == TermKind::kSetComp);
  Emitter::Label done = emit_->NewLabel();
  emit_->fail = done;
  bool before = std::exchange(repeats_matter_, repeats_matter_ || t.kind == TermKind::kArrayComp);
  PlanBody(t.body);
  uint16_t first = PlanTerm(*t.items[0]);
  if (t.kind == TermKind::kObjectComp) {
    uint16_t second = PlanTerm(*t.items[1]);
    emit_->Emit(Op::kAddObject, r, first, second);
  } else {
    emit_->Emit(t.kind == TermKind::kArrayComp ? Op::kAddArray : Op::kAddSet, r, first);
  }
  FailAlways();
  repeats_matter_ = before;
  emit_->Bind(done);
  emit_->Emit(t.kind == TermKind::kArrayComp ? Op::kFinishArray
              : t.kind == TermKind::kSetComp ? Op::kFinishSet
                                             : Op::kFinishObject,
              r);
  emit_->fail = outer;
  emit_->ScopeRestore(mark);
  return r;
}

// The deepest place of the tree that the ref's constant strings lead to; `used` counts the operands consumed, the head
// included. -1 when they leave the tree.
int Planner::Place(const Term& ref, size_t& used) const {
  int place = 0;
  used = 1;
  while (used < ref.items.size() && ref.items[used]->is_string()) {
    const TreePlace& p = program_.tree[static_cast<size_t>(place)];
    if (p.function >= 0) return place;
    const TreeNode* child = nodes_[static_cast<size_t>(place)]->Child(ref.items[used]->text);
    if (child == nullptr) return -1;
    for (const auto& [key, index] : p.children) {
      if (key.text() == child->key) place = index;
    }
    ++used;
  }
  return place;
}

uint16_t Planner::PlanData(const Term& t, size_t& next, bool& is_node, bool& stored) {
  uint16_t r = emit_->Register();
  int place = Place(t, next);
  if (place < 0 || (program_.tree[static_cast<size_t>(place)].function < 0 &&
                    program_.tree[static_cast<size_t>(place)].children.empty() && next < t.items.size())) {
    next = 1;
    stored = true;
    std::vector<Value> path;
    while (withs_ == 0 && next < t.items.size() && t.items[next]->is_string())
      path.push_back(GroundValue(*t.items[next++]));
    if (path.empty()) {
      emit_->Emit(Op::kData, r);
      return r;
    }
    const uint32_t number = KeptPath('d', std::move(path));
    return emit_->LoadKept(Op::kDataPath, number);
  }
  const TreePlace& p = program_.tree[static_cast<size_t>(place)];
  if (p.function >= 0 && !p.takes_arguments) {
    emit_->EmitOrFail(Op::kRule, r, 0, 0, static_cast<uint32_t>(p.function));
  } else {
    is_node = true;
    emit_->EmitOrFail(Op::kNode, r, 0, 0, static_cast<uint32_t>(place));
  }
  return r;
}

uint32_t Planner::KeptPath(char root, std::vector<Value> path) {
  std::string name(1, root);
  for (const Value& step : path) {
    name += step.text();
    name += '\0';
  }
  auto [it, fresh] = kept_paths_.try_emplace(std::move(name), static_cast<uint32_t>(program_.paths.size()));
  if (fresh) program_.paths.push_back(std::move(path));
  return it->second;
}

uint16_t Planner::PlanRef(const Term& t) {
  const Term& head = *t.items[0];
  uint16_t r = 0;
  size_t next = 1;
  bool is_node = false, stored = false;
  if (head.is_var() && head.text == "input") {
    std::vector<Value> path;
    while (withs_ == 0 && next < t.items.size() && t.items[next]->is_string())
      path.push_back(GroundValue(*t.items[next++]));
    if (path.empty()) {
      r = emit_->Register();
      emit_->EmitOrFail(Op::kInput, r);
    } else {
      const uint32_t number = KeptPath('i', std::move(path));
      r = emit_->LoadKept(Op::kInputPath, number);
    }
  } else if (head.is_var() && head.text == "data") {
    size_t used = 0;
    int place = Place(t, used);
    if (place < 0 || !PlanInline(t, place, used, r)) {
      r = PlanData(t, next, is_node, stored);
    } else {
      next = used + 1;
    }
  } else {
    r = PlanTerm(head);
  }
  for (; next < t.items.size(); ++next) r = PlanStep(r, *t.items[next], stored);
  if (is_node) {
    // A copy: the node may be a register of an iteration that goes on.
    uint16_t plain = emit_->Register();
    emit_->Emit(Op::kMove, plain, r);
    emit_->Emit(Op::kDocument, plain);
    return plain;
  }
  return r;
}

uint16_t Planner::PlanStep(uint16_t base, const Term& operand, bool stored) {
  uint16_t r = emit_->Register();
  if (IsConstant(operand)) {
    emit_->EmitOrFail(Op::kDot, r, base, stored, Constant(GroundValue(operand)));
    return r;
  }
  if (Computable(operand)) {
    uint16_t key = PlanTerm(operand);
    emit_->EmitOrFail(Op::kLookup, r, base, key, stored);
    return r;
  }
  uint16_t it = emit_->Registers(2);
  emit_->EmitOrFail(Op::kIterate, it, base);
  Emitter::Label next = emit_->NewLabel();
  emit_->Bind(next);
  bool wanted = !operand.is_var() || !IsWildcard(operand.text);
  uint16_t key = wanted ? emit_->Register() : kNoRegister;
  emit_->Emit(Op::kNext, it, key, r, emit_->fail);
  emit_->fail = next;
  if (operand.is_var()) {
    if (wanted) emit_->BindVar(operand.text, key);
  } else {
    PlanMatch(operand, key);
  }
  return r;
}

uint16_t Planner::PlanCall(const std::vector<TermPtr>& items, size_t operands, Location at, bool& relation) {
  relation = false;
  std::vector<uint16_t> values = PlanTerms(std::span(items).subspan(1, operands));
  uint16_t first = emit_->Registers(values.size());
  for (size_t i = 0; i < values.size(); ++i) emit_->Emit(Op::kMove, static_cast<uint16_t>(first + i), values[i]);
  uint16_t r = emit_->Register();
  const Term& op = *items[0];
  Location before = emit_->place;
  if (at.row > 0) emit_->place = at;
  if (op.items[0]->is_var() && op.items[0]->text == "data") {
    size_t used = 0;
    int place = Place(op, used);
    int function = place < 0 ? -1 : program_.tree[static_cast<size_t>(place)].function;
    if (function < 0)
      Unsafe(op);
    else
      emit_->EmitOrFail(Op::kCall, r, first, static_cast<uint16_t>(values.size()), static_cast<uint32_t>(function));
  } else {
    std::string name = RefText(op);
    const Builtin* b = FindBuiltin(name);
    if (b == nullptr) {
      Unsafe(op);
    } else if (rule_ != nullptr && name.starts_with("rego.metadata.")) {
      Value v = name == "rego.metadata.rule" ? RuleMetadata(compiler_, *rule_, program_.arena)
                                             : MetadataChain(compiler_, *rule_, program_.arena);
      emit_->Emit(Op::kLoadConst, r, 0, 0, 0, Constant(v));
    } else {
      program_.sites.push_back({b, BuiltinId(b)});
      emit_->EmitOrFail(Op::kBuiltin, r, first, static_cast<uint16_t>(values.size()),
                        static_cast<uint32_t>(program_.sites.size() - 1));
      relation = b->relation;
    }
  }
  emit_->place = before;
  return r;
}

void Planner::PlanMatch(const Term& pattern, uint16_t reg) {
  if (pattern.is_var()) {
    int bound = emit_->Find(pattern.text);
    if (bound >= 0)
      emit_->EmitOrFail(Op::kEqual, static_cast<uint16_t>(bound), reg);
    else
      emit_->BindVar(pattern.text, reg);
    return;
  }
  if (IsConstant(pattern)) {
    emit_->EmitOrFail(Op::kEqualConst, reg, 0, 0, Constant(GroundValue(pattern)));
    return;
  }
  if (Computable(pattern)) {
    uint16_t r = PlanTerm(pattern);
    emit_->EmitOrFail(Op::kEqual, r, reg);
    return;
  }
  if (pattern.kind == TermKind::kArray) {
    emit_->EmitOrFail(Op::kRequireArray, reg, 0, 0, static_cast<uint32_t>(pattern.items.size()));
    for (size_t i = 0; i < pattern.items.size(); ++i) {
      const Term& item = *pattern.items[i];
      if (item.is_var() && IsWildcard(item.text)) continue;
      uint16_t r = emit_->Register();
      emit_->Emit(Op::kElement, r, reg, 0, 0, static_cast<uint32_t>(i));
      PlanMatch(item, r);
    }
    return;
  }
  if (pattern.kind == TermKind::kObject) {
    emit_->EmitOrFail(Op::kRequireObject, reg, 0, 0, static_cast<uint32_t>(pattern.items.size() / 2));
    for (size_t i = 0; i < pattern.items.size(); i += 2) {
      uint16_t r = PlanStep(reg, *pattern.items[i]);
      PlanMatch(*pattern.items[i + 1], r);
    }
    return;
  }
  Unsafe(pattern);
}

// a = b, pair by pair; pairs that cannot be decided yet wait for the others.
void Planner::PlanUnify(const Term& a, const Term& b) {
  std::vector<std::pair<const Term*, const Term*>> pending{{&a, &b}};
  bool progress = true;
  while (!pending.empty() && progress) {
    progress = false;
    std::vector<std::pair<const Term*, const Term*>> later;
    for (size_t k = 0; k < pending.size(); ++k) {
      const Term* x = pending[k].first;
      const Term* y = pending[k].second;
      if (x->kind == TermKind::kArray && y->kind == TermKind::kArray && !(IsConstant(*x) && IsConstant(*y))) {
        progress = true;
        if (x->items.size() != y->items.size()) {
          FailAlways();
          continue;
        }
        for (size_t i = 0; i < x->items.size(); ++i) pending.emplace_back(x->items[i].get(), y->items[i].get());
        continue;
      }
      if (x->kind == TermKind::kObject && y->kind == TermKind::kObject && !Computable(*x) && !Computable(*y)) {
        progress = true;
        if (x->items.size() != y->items.size()) {
          FailAlways();
          continue;
        }
        for (size_t i = 0; i < x->items.size(); i += 2) {
          const Term* found = nullptr;
          for (size_t j = 0; j < y->items.size(); j += 2) {
            if (SameTerm(*x->items[i], *y->items[j])) found = y->items[j + 1].get();
          }
          if (found == nullptr)
            FailAlways();
          else
            pending.emplace_back(x->items[i + 1].get(), found);
        }
        continue;
      }
      if (!Computable(*x)) std::swap(x, y);
      if (!Computable(*x)) {
        // A wildcard accepts anything, whatever the other side.
        later.emplace_back(x, y);
        continue;
      }
      progress = true;
      if (IsConstant(*x) && !y->is_var()) std::swap(x, y);
      if (!Computable(*x)) {
        PlanMatch(*x, PlanTerm(*y));
        continue;
      }
      uint16_t r = PlanTerm(*x);
      PlanMatch(*y, r);
    }
    pending = std::move(later);
  }
  for (const auto& [x, y] : pending) Unsafe(x->is_var() ? *x : *y);
}

}  // namespace hexr::rego
