// The interpreter loop: one switch over the instructions of a function.
#include <cstring>

#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/vm/context.h"
#include "policy/rego/vm/machine.h"

namespace hexr::rego {
namespace {

Collector* AsCollector(const Value& v) { return reinterpret_cast<Collector*>(v.bits); }

// The usual comparison, without a call: strings of one hash are compared byte by byte.
inline bool Same(const Value& a, const Value& b) {
  if (a.word() == b.word() && a.kind == Kind::kString) {
    return a.bits == b.bits || SameText(*a.str, *b.str);
  }
  return Equal(a, b);
}

bool Has(const Value& item, const Value& in) {
  switch (in.kind) {
    case Kind::kArray:
      for (const Value& v : in.arr->view()) {
        if (Same(v, item)) return true;
      }
      return false;
    case Kind::kObject:
      for (uint32_t i = 0; i < in.obj->size; ++i) {
        if (Equal(in.obj->values[i], item)) return true;
      }
      return false;
    case Kind::kSet: return Find(*in.set, item) >= 0;
    default: return false;
  }
}

// A member of a small object by name is found by a scan over hashes.
inline Value Member(const Value& base, const Value& key) {
  if (base.kind != Kind::kObject || key.kind != Kind::kString || base.obj->index != nullptr) return Lookup(base, key);
  const Obj& o = *base.obj;
  const uint64_t word = key.word();
  for (uint32_t k = 0; k < o.size; ++k) {
    if (o.keys[k].word() == word && Same(o.keys[k], key)) return o.values[k];
  }
  return Value();
}

// Stored documents are addressed by text: data.list[2] and data.object[2] both work.
Value Stored(Arena& arena, const Value& base, const Value& key) {
  if (base.is_object() && key.kind == Kind::kInt) return Lookup(base, Value::String(arena, std::to_string(key.i)));
  if (base.is_array() && key.is_string()) {
    const std::string_view digits = key.text();
    const bool index = !digits.empty() && digits.size() < 10 && (digits[0] != '0' || digits.size() == 1) &&
                       digits.find_first_not_of("0123456789") == std::string_view::npos;
    if (index) return Lookup(base, Value::Int(std::stoll(std::string(digits))));
  }
  return Lookup(base, key);
}

constexpr size_t kMaxDecided = 16;
constexpr size_t kMembersPerStep = 64;  // of a list that is searched from end to end

// Puts `value` at the path keys[0..n) below `c`; false on conflict. `how`: 0 value, 1 set element, 2 default.
bool AddPath(Arena& arena, Collector* c, const Value* keys, size_t n, const Value& value, uint32_t how) {
  size_t depth = how == 1 ? n : n - 1;
  for (size_t i = 0; i < depth; ++i) {
    Value* there = how == 2 ? c->At(keys[i]) : nullptr;
    if (there != nullptr && there->defined()) return true;
    c = c->Nested(arena, keys[i]);
    if (c == nullptr) return false;
  }
  if (how == 1) {
    if (!c->is_set && c->size() > 0) return false;
    c->is_set = true;
    c->Insert(arena, value, Value::Bool(true));
    return true;
  }
  if (c->is_set) return false;
  if (how == 2 && c->At(keys[n - 1]) != nullptr) return true;
  return c->Insert(arena, keys[n - 1], value) != Collector::Outcome::kConflict;
}

}  // namespace

#define HEXR_FAIL_UNLESS(cond) \
  if (!(cond)) {               \
    mark(i, Trace::kFailed);   \
    pc = code + i.d;           \
    continue;                  \
  }                            \
  break
#define HEXR_OUTCOME(call)                        \
  switch (call) {                                 \
    case Outcome::kError: return Outcome::kError; \
    case Outcome::kUndefined:                     \
      mark(i, Trace::kFailed);                    \
      pc = code + i.d;                            \
      continue;                                   \
    case Outcome::kValue: break;                  \
  }                                               \
  break

template <bool kTraced>
Machine::Outcome Machine::Execute(const Function& f, Value* r, Value& result) {
  const Instruction* const code = f.code.data();
  const Instruction* pc = code;
  const Value* const constants = program_->constants.data();
  Value* const top = r + f.registers;
  auto place = [&](const Instruction& i) -> const Location& { return f.places[static_cast<size_t>(&i - code)]; };
  [[maybe_unused]] uint8_t* marks = nullptr;
  if constexpr (kTraced) marks = trace->marks[static_cast<size_t>(&f - program_->functions.data())].data();
  auto mark = [&]([[maybe_unused]] const Instruction& i, [[maybe_unused]] Trace::Mark m) {
    if constexpr (kTraced) marks[&i - code] |= m;
  };
  while (true) {
    const Instruction& i = *pc++;
    mark(i, Trace::kReached);
    switch (i.op) {
      case Op::kLoadConst: r[i.a] = constants[i.e]; break;
      case Op::kMove: r[i.a] = r[i.b]; break;
      case Op::kInput: r[i.a] = context_->input; HEXR_FAIL_UNLESS(r[i.a].defined());
      case Op::kInputPath: {
        if (r[i.a].defined()) break;
        Value v = context_->input;
        for (const Value& step : program_->paths[i.e]) v = Member(v, step);
        r[i.a] = v;
        HEXR_FAIL_UNLESS(v.defined());
      }
      case Op::kDataPath: {
        if (r[i.a].defined()) break;
        Value v = context_->data;
        for (const Value& step : program_->paths[i.e])
          v = v.kind == Kind::kArray ? Stored(arena_, v, step) : Member(v, step);
        r[i.a] = v;
        HEXR_FAIL_UNLESS(v.defined());
      }
      case Op::kData: r[i.a] = context_->data; break;
      case Op::kDot: {
        const Value& base = r[i.b];
        if (base.kind == Kind::kNode) {
          const Node* n = base.node;
          HEXR_OUTCOME(NodeChild(*n, constants[i.e], top, r[i.a]));
        }
        if (i.c != 0 && (constants[i.e].kind == Kind::kInt || base.kind == Kind::kArray)) {
          r[i.a] = Stored(arena_, base, constants[i.e]);
        } else {
          r[i.a] = Member(base, constants[i.e]);
        }
        HEXR_FAIL_UNLESS(r[i.a].defined());
      }
      case Op::kLookup: {
        const Value& base = r[i.b];
        if (base.kind == Kind::kNode) {
          const Node* n = base.node;
          HEXR_OUTCOME(NodeChild(*n, r[i.c], top, r[i.a]));
        }
        if (i.e != 0 && (r[i.c].kind == Kind::kInt || base.kind == Kind::kArray)) {
          r[i.a] = Stored(arena_, base, r[i.c]);
        } else {
          r[i.a] = Member(base, r[i.c]);
        }
        HEXR_FAIL_UNLESS(r[i.a].defined());
      }
      case Op::kElement: r[i.a] = r[i.b].arr->items[i.e]; break;
      case Op::kNode: HEXR_OUTCOME(NodeValue(static_cast<int>(i.e), r[i.a]));
      case Op::kDocument:
        if (r[i.a].kind == Kind::kNode) {
          Value v = r[i.a];
          if (Document(v, top, r[i.a]) == Outcome::kError) return Outcome::kError;
        }
        break;
      case Op::kIterate: HEXR_OUTCOME(StartIteration(r + i.a, r[i.b]));
      case Op::kNext: {
        if (steps_left_ == 0 || arena_.used() > budget_.memory) {
          Spend(place(i));
          return Outcome::kError;
        }
        --steps_left_;
        Value* it = r + i.a;
        if (it[1].kind == Kind::kArray && it[0].tag == 0) {
          const auto at = static_cast<uint64_t>(it[0].i);
          if (at >= it[1].arr->size) {
            pc = code + i.d;
            continue;
          }
          it[0].i = static_cast<int64_t>(at + 1);
          if (i.b != kNoRegister) r[i.b] = Value::Int(static_cast<int64_t>(at));
          r[i.c] = it[1].arr->items[at];
          break;
        }
        HEXR_OUTCOME(NextOf(r + i.a, i.b == kNoRegister ? nullptr : r + i.b, r + i.c, top));
      }
      case Op::kRequireArray: HEXR_FAIL_UNLESS(r[i.a].kind == Kind::kArray && r[i.a].arr->size == i.e);
      case Op::kRequireObject: HEXR_FAIL_UNLESS(r[i.a].kind == Kind::kObject && r[i.a].obj->size == i.e);
      case Op::kEqual: HEXR_FAIL_UNLESS(Same(r[i.a], r[i.b]));
      case Op::kMemberEqual: {
        const Value& base = r[i.b];
        Value v;
        if (base.kind == Kind::kNode) {
          const Node* n = base.node;
          if (NodeChild(*n, constants[i.e], top, v) == Outcome::kError) return Outcome::kError;
        } else {
          v = Member(base, constants[i.e]);
        }
        HEXR_FAIL_UNLESS(v.defined() && Same(v, r[i.a]));
      }
      case Op::kEqualConst: HEXR_FAIL_UNLESS(Same(r[i.a], constants[i.e]));
      case Op::kNotEqual: HEXR_FAIL_UNLESS(!Equal(r[i.a], r[i.b]));
      case Op::kLess: HEXR_FAIL_UNLESS(Compare(r[i.a], r[i.b]) < 0);
      case Op::kLessEqual: HEXR_FAIL_UNLESS(Compare(r[i.a], r[i.b]) <= 0);
      case Op::kGreater: HEXR_FAIL_UNLESS(Compare(r[i.a], r[i.b]) > 0);
      case Op::kGreaterEqual: HEXR_FAIL_UNLESS(Compare(r[i.a], r[i.b]) >= 0);
      case Op::kHas: {
        const Value& in = r[i.b];
        const size_t scanned = in.is_array() ? in.arr->size : in.is_object() ? in.obj->size : 0;
        if (scanned >= kMembersPerStep && !Spend(place(i), scanned / kMembersPerStep)) return Outcome::kError;
        HEXR_FAIL_UNLESS(Has(r[i.a], in));
      }
      case Op::kTrue: HEXR_FAIL_UNLESS(!r[i.a].is_false());
      case Op::kDefined: HEXR_FAIL_UNLESS(r[i.a].defined());
      case Op::kUndefined: HEXR_FAIL_UNLESS(!r[i.a].defined());
      case Op::kClear: r[i.a] = Value(); break;
      case Op::kArray: r[i.a] = MakeArray(arena_, {r + i.b, i.c}); break;
      case Op::kSet: r[i.a] = MakeSet(arena_, {r + i.b, i.c}); break;
      case Op::kObject: {
        ObjectBuilder b(arena_, i.c);
        bool conflict = false;
        for (uint32_t k = 0; k < i.c; ++k) {
          const Value& key = r[i.b + 2 * k];
          for (uint32_t j = 0; j < k && !conflict; ++j) {
            conflict = Equal(r[i.b + 2 * j], key) && !Equal(r[i.b + 2 * j + 1], r[i.b + 2 * k + 1]);
          }
          b.Add(key, r[i.b + 2 * k + 1]);
        }
        if (conflict) return Fail("eval_conflict_error", "object keys must be unique", place(i));
        r[i.a] = b.Finish();
        break;
      }
      case Op::kCollect: {
        Collector* c = Collector::Make(arena_);
        c->is_set = i.e != 0;
        r[i.a] = Value();
        r[i.a].bits = reinterpret_cast<uint64_t>(c);
        break;
      }
      case Op::kAddArray: {
        Collector* c = AsCollector(r[i.a]);
        c->Append(arena_, r[i.b]);
        break;
      }
      case Op::kAddSet:
        AsCollector(r[i.a])->Insert(arena_, r[i.b], Value());
        if (depth_ == 1 && decided_.size() < kMaxDecided) decided_.push_back(&place(i));
        break;
      case Op::kAddObject:
        if (AsCollector(r[i.a])->Insert(arena_, r[i.b], r[i.c]) == Collector::Outcome::kConflict) {
          return Fail("eval_conflict_error", "object keys must be unique", place(i));
        }
        break;
      case Op::kAddPath:
        if (!AddPath(arena_, AsCollector(r[i.a]), r + i.b, i.c, r[i.b + i.c], i.e)) {
          return Fail("eval_conflict_error", "object keys must be unique", place(i));
        }
        break;
      case Op::kFinishArray: r[i.a] = AsCollector(r[i.a])->FinishArray(arena_); break;
      case Op::kFinishSet: r[i.a] = AsCollector(r[i.a])->FinishSet(arena_); break;
      case Op::kFinishObject: r[i.a] = AsCollector(r[i.a])->FinishObject(arena_); break;
      case Op::kResult:
        if (r[i.a].defined() && !Equal(r[i.a], r[i.b])) {
          return Fail("eval_conflict_error",
                      i.e != 0 ? "functions must not produce multiple outputs for same inputs"
                               : "complete rules must not produce multiple outputs",
                      place(i));
        }
        r[i.a] = r[i.b];
        break;
      case Op::kCall: {
        const Function& callee = program_->functions[i.e];
        Outcome o;
        if (context_->mocks != nullptr &&
            Mocked(false, static_cast<int>(i.e), r + i.b, i.c, top, r[i.a], o, place(i))) {
          HEXR_OUTCOME(o);
        }
        o = CallFunction(callee, static_cast<int>(i.e), r + i.b, i.c, top, r[i.a]);
        if (o == Outcome::kError && error_.at.row == 0) error_.at = place(i);
        HEXR_OUTCOME(o);
      }
      case Op::kRule: HEXR_OUTCOME(RuleValue(static_cast<int>(i.e), top, r[i.a]));
      case Op::kBuiltin: HEXR_OUTCOME(CallBuiltin(f, i, r, r[i.a]));
      case Op::kIndex: {
        const uint32_t* found = nullptr;
        uint32_t n = program_->indexes[i.e].Candidates(arena_, context_->input, r, &found);
        r[i.a] = Value();
        r[i.a].tag = n;
        r[i.a + 1] = Value();
        r[i.a + 1].bits = reinterpret_cast<uint64_t>(found);
        HEXR_FAIL_UNLESS(n > 0);
      }
      case Op::kCandidate: {
        if (r[i.a].tag == 0) {
          pc = code + i.d;
          continue;
        }
        --r[i.a].tag;
        const auto* next = reinterpret_cast<const uint32_t*>(r[i.a + 1].bits);
        r[i.a + 1].bits = reinterpret_cast<uint64_t>(next + 1);
        pc = code + program_->indexes[i.e].rules()[*next].start;
        continue;
      }
      case Op::kWith: EnterWith(program_->withs[i.e], r[i.a], r + i.b); break;
      case Op::kLeave: context_ = reinterpret_cast<Context*>(r[i.a].bits)->outer; break;
      case Op::kReenter: context_ = reinterpret_cast<Context*>(r[i.a].bits); break;
      case Op::kJump: pc = code + i.d; break;
      case Op::kMark: r[i.a] = Value::Int(i.d); break;
      case Op::kResume: pc = code + r[i.a].i; break;
      case Op::kReturn:
        result = r[i.a];
        returned_at_ = &place(i);
        return Outcome::kValue;
      case Op::kReturnUndefined: return Outcome::kUndefined;
    }
  }
}

template Machine::Outcome Machine::Execute<false>(const Function&, Value*, Value&);
template Machine::Outcome Machine::Execute<true>(const Function&, Value*, Value&);

#undef HEXR_FAIL_UNLESS
#undef HEXR_OUTCOME

}  // namespace hexr::rego
