#include "policy/rego/plan/emitter.h"

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

void Emitter::Finish(Function& f) {
  for (Instruction& i : code_) {
    if (Jumps(i.op)) i.d = positions_[i.d];
  }
  f.code = std::move(code_);
  f.places = std::move(places_);
  f.registers = registers_;
}

}  // namespace hexr::rego
