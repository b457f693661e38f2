#include "policy/rego/vm/machine.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "policy/rego/value/build.h"
#include "policy/rego/value/number.h"
#include "policy/rego/vm/context.h"

namespace hexr::rego {
namespace {

constexpr size_t kStackValues = 64 * 1024;
constexpr size_t kBytesPerStep = 256;

}  // namespace

std::string EvalError::ToString() const {
  std::string where = at.row > 0 ? (file.empty() ? "" : file + ":") + std::to_string(at.row) + ": " : "";
  return where + code + ": " + message;
}

void Trace::Reset(const Program& program) {
  marks.assign(program.functions.size(), {});
  for (size_t i = 0; i < marks.size(); ++i) marks[i].resize(program.functions[i].code.size());
}

Machine::Machine(const Program& program, Services& services, Budget budget)
    : program_(&program), services_(services), budget_(budget), stack_(kStackValues), memo_(program.functions.size()) {}

void Machine::Rebind(const Program& program) {
  program_ = &program;
  // Slots of the program before hold older generations: nothing to clear.
  if (memo_.size() < program.functions.size()) memo_.resize(program.functions.size());
}

Arena& Machine::Prepare() {
  arena_.Reset();
  prepared_ = true;
  return arena_;
}

void Machine::Begin(const Value& input, const Value& data) {
  if (!prepared_) arena_.Reset();
  prepared_ = false;
  if (memo_.size() < program_->functions.size()) memo_.resize(program_->functions.size());
  ++generation_;
  steps_left_ = budget_.steps;
  services_.memory_limit = budget_.memory;
  services_.steps_left = &steps_left_;
  services_.BeginQuery();
  depth_ = 0;
  swallowed_.clear();
  decided_.clear();
  returned_at_ = nullptr;
  root_ = arena_.New<Context>();
  *root_ = Context{input, data, memo_.data(), nullptr, nullptr, 0, nullptr};
  context_ = root_;
}

Machine::Outcome Machine::Run(int function, Value& result) {
  const Function& f = program_->functions[static_cast<size_t>(function)];
  context_ = root_;
  if (f.arguments == 0 && f.node >= 0) return RuleValue(function, stack_.data(), result);
  return CallFunction(f, function, nullptr, 0, stack_.data(), result);
}

Machine::Outcome Machine::RunDocument(int place, Value& result) {
  const TreePlace& p = program_->tree[static_cast<size_t>(place)];
  if (p.function >= 0) return Run(p.function, result);
  context_ = root_;
  Value node;
  Outcome o = NodeValue(place, node);
  return o == Outcome::kValue ? Document(node, stack_.data(), result) : o;
}

Machine::Outcome Machine::Fail(std::string_view code, std::string message, const Location& at) {
  error_ = EvalError{std::string(code), std::move(message), at,
                     at.file < program_->files.size() && at.row > 0 ? program_->files[at.file] : ""};
  return Outcome::kError;
}

bool Machine::Spend(const Location& at, uint64_t steps) {
  if (steps_left_ < steps) {
    Fail("eval_cancel_error", "step budget exceeded", at);
    return false;
  }
  steps_left_ -= steps;
  if (arena_.used() > budget_.memory) {
    Fail("eval_cancel_error", "memory budget exceeded", at);
    return false;
  }
  return true;
}

bool Machine::Covered(int place) const {
  for (uint32_t i = 0; i < context_->covered_count; ++i) {
    for (int p = place; p >= 0; p = program_->tree[static_cast<size_t>(p)].parent) {
      if (p == context_->covered[i]) return true;
    }
  }
  return false;
}

Value Machine::BaseOf(int place) const {
  const TreePlace& p = program_->tree[static_cast<size_t>(place)];
  if (p.parent < 0) return context_->data;
  Value up = BaseOf(p.parent);
  return up.defined() ? Lookup(up, p.key) : Value();
}

Machine::Outcome Machine::CallFunction(const Function& f, int, const Value* args, size_t n, Value* stack_top,
                                       Value& result) {
  Location at;
  if (depth_ >= budget_.depth || stack_top + f.registers + 1 > stack_.data() + stack_.size()) {
    return Fail("eval_cancel_error", "call depth budget exceeded", at);
  }
  if (!Spend(at)) return Outcome::kError;
  for (size_t i = 0; i < n; ++i) stack_top[i] = args[i];
  for (size_t i = f.registers - f.kept; i < f.registers; ++i) stack_top[i] = Value();
  ++depth_;
  Outcome o = trace == nullptr ? Execute<false>(f, stack_top, result) : Execute<true>(f, stack_top, result);
  --depth_;
  return o;
}

Machine::Outcome Machine::RuleValue(int function, Value* stack_top, Value& result) {
  MemoSlot& slot = context_->memo[function];
  if (slot.generation == generation_) {
    result = slot.value;
    return slot.defined ? Outcome::kValue : Outcome::kUndefined;
  }
  const Function& f = program_->functions[static_cast<size_t>(function)];
  if (context_->covered_count > 0 && Covered(f.node)) {
    result = BaseOf(f.node);
    return result.defined() ? Outcome::kValue : Outcome::kUndefined;
  }
  Outcome o = CallFunction(f, function, nullptr, 0, stack_top, result);
  if (o != Outcome::kError) {
    slot.generation = generation_;
    slot.defined = o == Outcome::kValue;
    slot.value = result;
  }
  return o;
}

Machine::Outcome Machine::NodeValue(int place, Value& result) {
  Value base = BaseOf(place);
  if (context_->covered_count > 0 && Covered(place)) {
    result = base;
    return base.defined() ? Outcome::kValue : Outcome::kUndefined;
  }
  const TreePlace& p = program_->tree[static_cast<size_t>(place)];
  if (p.takes_arguments || (p.children.empty() && p.function < 0 && base.defined())) {
    result = base;
    return base.defined() ? Outcome::kValue : Outcome::kUndefined;
  }
  auto* n = static_cast<Node*>(arena_.Allocate(sizeof(Node)));
  *n = Node{place, base};
  result = Value::Of(n);
  return Outcome::kValue;
}

Machine::Outcome Machine::NodeChild(const Node& n, const Value& key, Value* stack_top, Value& result) {
  int child = program_->tree[static_cast<size_t>(n.place)].Child(key);
  if (child >= 0 && !(context_->covered_count > 0 && Covered(child))) {
    const TreePlace& p = program_->tree[static_cast<size_t>(child)];
    if (p.function >= 0 && !p.takes_arguments) return RuleValue(p.function, stack_top, result);
    if (p.function < 0) {
      auto* node = static_cast<Node*>(arena_.Allocate(sizeof(Node)));
      *node = Node{child, n.base.defined() ? Lookup(n.base, key) : Value()};
      result = Value::Of(node);
      return Outcome::kValue;
    }
  }
  if (n.base.is_object() && key.kind == Kind::kInt) {
    result = Lookup(n.base, Value::String(arena_, std::to_string(key.i)));
  } else {
    result = n.base.defined() ? Lookup(n.base, key) : Value();
  }
  return result.defined() ? Outcome::kValue : Outcome::kUndefined;
}

// A node as a plain object: data and rules together, data first where both have a key.
Machine::Outcome Machine::Document(const Value& v, Value* stack_top, Value& result) {
  if (v.kind != Kind::kNode) {
    result = v;
    return Outcome::kValue;
  }
  const Node& n = *v.node;
  const TreePlace& p = program_->tree[static_cast<size_t>(n.place)];
  if (p.children.empty() && n.base.defined() && !n.base.is_object()) {
    result = n.base;
    return Outcome::kValue;
  }
  ObjectBuilder b(arena_, p.children.size() + (n.base.is_object() ? n.base.obj->size : 0));
  for (const auto& [key, child] : p.children) {
    Value value;
    Outcome o = NodeChild(n, key, stack_top, value);
    if (o == Outcome::kError) return o;
    if (o == Outcome::kUndefined) continue;
    bool inner = value.kind == Kind::kNode;
    o = Document(value, stack_top, value);
    if (o == Outcome::kError) return o;
    b.Add(key, value);
    if (inner || !n.base.is_object()) continue;
    // A leaf of the base document wins over a rule of the same name.
    if (Value base = Lookup(n.base, key); base.defined()) b.Add(key, base);
  }
  if (n.base.is_object()) {
    for (uint32_t i = 0; i < n.base.obj->size; ++i) {
      if (p.Child(n.base.obj->keys[i]) < 0) b.Add(n.base.obj->keys[i], n.base.obj->values[i]);
    }
  }
  result = b.Finish();
  return Outcome::kValue;
}

// it[0] counts; it[1] is what is iterated: a composite, or for a node the array of its keys with the node after it.
Machine::Outcome Machine::StartIteration(Value* it, const Value& v) {
  it[0] = Value::Int(0);
  if (v.kind == Kind::kNode) {
    const Node& n = *v.node;
    const TreePlace& p = program_->tree[static_cast<size_t>(n.place)];
    SetBuilder keys(arena_, p.children.size() + 4);
    for (const auto& [key, child] : p.children) keys.Add(key);
    if (n.base.is_object()) {
      for (uint32_t i = 0; i < n.base.obj->size; ++i) keys.Add(n.base.obj->keys[i]);
    }
    ArrayBuilder pair(arena_, 2);
    pair.Add(keys.Finish());
    pair.Add(v);
    it[0].tag = 1;
    it[1] = pair.Finish();
    return Outcome::kValue;
  }
  if (!v.is_composite()) return Outcome::kUndefined;
  it[1] = v;
  return Outcome::kValue;
}

Machine::Outcome Machine::NextOf(Value* it, Value* key, Value* value, Value* stack_top) {
  auto at = static_cast<size_t>(it[0].i++);
  const Value& v = it[1];
  if (it[0].tag == 1) {
    const Set& keys = *v.arr->items[0].set;
    for (; at < keys.size; at = static_cast<size_t>(it[0].i++)) {
      Value found;
      Outcome o = NodeChild(*v.arr->items[1].node, keys.items[at], stack_top, found);
      if (o == Outcome::kError) return o;
      if (o == Outcome::kUndefined) continue;
      if (key != nullptr) *key = keys.items[at];
      *value = found;
      return Outcome::kValue;
    }
    return Outcome::kUndefined;
  }
  switch (v.kind) {
    case Kind::kArray:
      if (at >= v.arr->size) return Outcome::kUndefined;
      if (key != nullptr) *key = Value::Int(static_cast<int64_t>(at));
      *value = v.arr->items[at];
      return Outcome::kValue;
    case Kind::kObject:
      if (at >= v.obj->size) return Outcome::kUndefined;
      if (key != nullptr) *key = v.obj->keys[at];
      *value = v.obj->values[at];
      return Outcome::kValue;
    case Kind::kSet:
      if (at >= v.set->size) return Outcome::kUndefined;
      if (key != nullptr) *key = v.set->items[at];
      *value = v.set->items[at];
      return Outcome::kValue;
    default: return Outcome::kUndefined;
  }
}

void Machine::EnterWith(const WithSite& site, Value& slot, const Value* values) {
  auto* c = arena_.New<Context>();
  *c = *context_;
  c->outer = context_;
  size_t n = program_->functions.size();
  c->memo = arena_.New<MemoSlot>(n);
  for (size_t i = 0; i < n; ++i) new (&c->memo[i]) MemoSlot();
  auto* covered = arena_.New<int>(context_->covered_count + site.targets.size());
  if (context_->covered_count > 0) std::memcpy(covered, context_->covered, context_->covered_count * sizeof(int));
  uint32_t count = context_->covered_count;
  for (size_t i = 0; i < site.targets.size(); ++i) {
    const WithTarget& t = site.targets[i];
    switch (t.kind) {
      case WithTarget::Kind::kInput: c->input = WithPath(arena_, c->input, t.path, values[i]); break;
      case WithTarget::Kind::kData:
        c->data = WithPath(arena_, c->data, t.path, values[i]);
        if (t.node >= 0) covered[count++] = t.node;
        break;
      case WithTarget::Kind::kFunction:
      case WithTarget::Kind::kBuiltin: {
        auto* m = arena_.New<Mock>();
        *m = Mock{c->mocks, t.kind == WithTarget::Kind::kBuiltin, t.callee, &t, values[i]};
        c->mocks = m;
        break;
      }
    }
  }
  c->covered = covered;
  c->covered_count = count;
  slot.kind = Kind::kUndefined;
  slot.bits = reinterpret_cast<uint64_t>(c);
  context_ = c;
}

bool Machine::Mocked(bool builtin, int id, const Value* args, size_t n, Value* stack_top, Value& result,
                     Outcome& outcome, const Location& at) {
  for (const Mock* m = context_->mocks; m != nullptr; m = m->next) {
    if (m->builtin != builtin || m->callee != id) continue;
    if (m->target->by_value) {
      result = m->value;
      outcome = Outcome::kValue;
      return true;
    }
    // Within a replacement no replacement applies: a mock may call what it stands for.
    auto* c = arena_.New<Context>();
    *c = *context_;
    c->mocks = nullptr;
    Context* before = context_;
    context_ = c;
    if (m->target->by_function >= 0) {
      const Function& f = program_->functions[static_cast<size_t>(m->target->by_function)];
      outcome = CallFunction(f, m->target->by_function, args, n, stack_top, result);
    } else {
      outcome = Invoke(*AllBuiltins()[static_cast<size_t>(m->target->by_builtin)], args, n, result, at);
    }
    context_ = before;
    return true;
  }
  return false;
}

Machine::Outcome Machine::Invoke(const Builtin& b, const Value* args, size_t n, Value& result, const Location& at) {
  Call call(arena_, services_, {args, n});
  // Most built-ins take time in proportion to the texts that they are given; the others ask for more.
  uint64_t steps = 1;
  for (size_t i = 0; i < n; ++i) steps += args[i].is_string() ? args[i].str->size / kBytesPerStep : 0;
  if (!call.Spend(steps)) return Fail(call.code(), call.message(), at);
  // One answer per query and operands, whatever the world does meanwhile.
  if (b.nondeterministic && n > 0) {
    ArrayBuilder key(arena_, n + 1);
    key.Add(Value::String(arena_, b.name));
    for (size_t i = 0; i < n; ++i) key.Add(args[i]);
    Value k = key.Finish();
    for (const auto& [asked, answer] : services_.remembered) {
      if (Equal(asked, k)) {
        result = answer;
        return Outcome::kValue;
      }
    }
    result = b.fn(call);
    if (!call.failed() && result.defined()) services_.remembered.emplace_back(k, result);
  } else {
    result = b.fn(call);
  }
  if (call.failed()) {
    std::string message = std::string(b.name) + ": " + call.message();
    if (strict || call.halts()) return Fail(call.code(), std::move(message), at);
    if (swallowed_.size() < 16) {
      swallowed_.push_back(
          {call.code(), std::move(message), at, at.file < program_->files.size() ? program_->files[at.file] : ""});
    }
    return Outcome::kUndefined;
  }
  return result.defined() ? Outcome::kValue : Outcome::kUndefined;
}

Machine::Outcome Machine::CallBuiltin(const Function& f, const Instruction& i, Value* r, Value& result) {
  const BuiltinSite& site = program_->sites[i.e];
  const Location& at = f.places[static_cast<size_t>(&i - f.code.data())];
  if (context_->mocks != nullptr) {
    Outcome o;
    if (Mocked(true, site.id, r + i.b, i.c, r + f.registers, result, o, at)) return o;
  }
  return Invoke(*site.builtin, r + i.b, i.c, result, at);
}

}  // namespace hexr::rego
