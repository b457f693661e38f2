#include "policy/rego/plan/emitter.h"

#include <algorithm>

namespace hexr::rego {
namespace {

// `d` of these is a label.
bool Jumps(Op op) {
  switch (op) {
    case Op::kLoadConst:
    case Op::kMove:
    case Op::kData:
    case Op::kElement:
    case Op::kDocument:
    case Op::kClear:
    case Op::kArray:
    case Op::kSet:
    case Op::kObject:
    case Op::kCollect:
    case Op::kAddArray:
    case Op::kAddSet:
    case Op::kAddObject:
    case Op::kAddPath:
    case Op::kFinishArray:
    case Op::kFinishSet:
    case Op::kFinishObject:
    case Op::kResult:
    case Op::kWith:
    case Op::kLeave:
    case Op::kReenter:
    case Op::kResume:
    case Op::kReturn:
    case Op::kReturnUndefined: return false;
    default: return true;
  }
}

}  // namespace

uint16_t Emitter::Registers(size_t count) {
  if (count == 0) return 0;
  uint16_t first = Register();
  for (size_t i = 1; i < count; ++i) Register();
  return first;
}

void Emitter::Emit(Op op, uint16_t a, uint16_t b, uint16_t c, Label d, uint32_t e) {
  code_.push_back({op, a, b, c, d, e});
  places_.push_back(place);
}

int Emitter::Find(std::string_view name) const {
  for (size_t i = scope_.size(); i > barrier_; --i) {
    if (scope_[i - 1].first == name) return scope_[i - 1].second;
  }
  return -1;
}

void Emitter::EmitEqual(uint16_t a, uint16_t b) {
  // No label stands between the two, so that nothing else can come to the comparison.
  const bool together = !code_.empty() && last_bound_ < code_.size();
  if (together && code_.back().op == Op::kDot && code_.back().c == 0 && code_.back().d == fail && a != b &&
      (code_.back().a == a || code_.back().a == b)) {
    Instruction& i = code_.back();
    i.op = Op::kMemberEqual;
    i.a = i.a == a ? b : a;
    return;
  }
  EmitOrFail(Op::kEqual, a, b);
}

uint16_t Emitter::KeptRegister(uint32_t path) {
  size_t n = 0;
  while (n < kept_.size() && kept_[n] != path) ++n;
  if (n == kept_.size()) kept_.push_back(path);
  overflow_ = overflow_ || kFirstKept + n >= kNoRegister;
  return static_cast<uint16_t>(kFirstKept + n);
}

uint16_t Emitter::LoadKept(Op op, uint32_t path) {
  const uint16_t r = KeptRegister(path);
  if (std::find(loaded_.begin(), loaded_.end(), r) != loaded_.end()) {
    ++left_out_;
    return r;
  }
  EmitOrFail(op, r, 0, 0, path);
  loaded_.push_back(r);
  return r;
}

void Emitter::Finish(Function& f) {
  auto settle = [&](uint16_t& r) {
    if (r >= kFirstKept && r != kNoRegister) r = static_cast<uint16_t>(registers_ + (r - kFirstKept));
  };
  for (Instruction& i : code_) {
    if (Jumps(i.op)) i.d = positions_[i.d];
    settle(i.a);
    settle(i.b);
    settle(i.c);
  }
  registers_ += static_cast<uint32_t>(kept_.size());
  f.kept = static_cast<uint32_t>(kept_.size());
  f.code = std::move(code_);
  f.places = std::move(places_);
  f.registers = registers_;
}

}  // namespace hexr::rego
