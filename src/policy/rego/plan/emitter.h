// One function's code while it is written: registers, labels, the scope of variables. Labels stand in `d` until
// Finish().
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/rego/plan/program.h"

namespace hexr::rego {

class Emitter {
 public:
  using Label = uint32_t;

  uint16_t Register() {
    if (registers_ >= kFirstKept)
      overflow_ = true;
    else
      ++registers_;
    return static_cast<uint16_t>(registers_ - 1);
  }
  // `count` registers in a row; the first.
  uint16_t Registers(size_t count);
  Label NewLabel() {
    positions_.push_back(0);
    return static_cast<Label>(positions_.size() - 1);
  }
  void Bind(Label l) { positions_[l] = last_bound_ = static_cast<uint32_t>(code_.size()); }
  void Emit(Op op, uint16_t a = 0, uint16_t b = 0, uint16_t c = 0, Label d = 0, uint32_t e = 0);
  // With the current failure label.
  void EmitOrFail(Op op, uint16_t a, uint16_t b = 0, uint16_t c = 0, uint32_t e = 0) { Emit(op, a, b, c, fail, e); }
  // kEqual of two registers that were made for it. A member that was just loaded for it is compared where it is.
  void EmitEqual(uint16_t a, uint16_t b);
  uint32_t position() const { return static_cast<uint32_t>(code_.size()); }

  // Variables in scope, innermost last.
  int Find(std::string_view name) const;
  void BindVar(std::string name, uint16_t reg) { scope_.emplace_back(std::move(name), reg); }
  // And the kept registers that hold their part wherever the code of this scope has come to: a second load is left out.
  struct Mark {
    size_t variables, loaded;
  };
  Mark ScopeMark() const { return {scope_.size(), loaded_.size()}; }
  void ScopeRestore(Mark mark) {
    scope_.resize(mark.variables);
    loaded_.resize(mark.loaded);
  }
  // Loads part number `path` into its kept register, or fails; the register.
  uint16_t LoadKept(Op op, uint32_t path);
  // Loads that were left out so far.
  size_t left_out() const { return left_out_; }
  // From here on only variables bound later are seen: the body of another rule is planned in place. The old barrier.
  size_t SetBarrier(size_t barrier) { return std::exchange(barrier_, barrier); }

  bool overflow() const { return overflow_; }
  void Finish(Function& f);

  Label fail = 0;  // where a failing literal goes: the innermost place that can go on
  Location place;

 private:
  // The register that keeps the part of input at path number `path` over the whole function.
  uint16_t KeptRegister(uint32_t path);
  // Kept registers are numbered from here until Finish() puts them behind the others.
  static constexpr uint16_t kFirstKept = 0xF000;
  std::vector<Instruction> code_;
  std::vector<Location> places_;
  std::vector<uint32_t> positions_;
  std::vector<std::pair<std::string, uint16_t>> scope_;
  std::vector<uint16_t> loaded_;  // in the order of loading
  size_t left_out_ = 0;
  size_t barrier_ = 0;
  std::vector<uint32_t> kept_;  // paths, by number of the kept register
  uint32_t last_bound_ = 0;
  uint32_t registers_ = 0;
  bool overflow_ = false;
};

}  // namespace hexr::rego
