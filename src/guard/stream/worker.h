// What streams of one thread share while they run: Vectorscan's scratch space. Not thread-safe; outlives its streams.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "guard/engine.h"

namespace hexr::guard {

// What scanning has cost so far, counted where it is spent: time without a clock (INV-GUARD-06).
struct Work {
  uint64_t lanes = 0;          // opened
  uint64_t lane_bytes = 0;     // through the pattern engine, the tokeniser and the model
  uint64_t confirm_bytes = 0;  // handed to confirming expressions
  uint64_t pii_bytes = 0;      // handed to the expressions of personal data
  uint64_t moved_bytes = 0;    // copied within buffers
  uint64_t steps = 0;          // over what waits for its release
};

class Worker {
 public:
  static Result<std::unique_ptr<Worker>> Create(std::shared_ptr<const Engine> engine);
  ~Worker();

  const Engine& engine() const { return *engine_; }
  hs_scratch* scratch() const { return scratch_; }
  Work& work() { return work_; }

 private:
  explicit Worker(std::shared_ptr<const Engine> engine) : engine_(std::move(engine)) {}
  std::shared_ptr<const Engine> engine_;
  hs_scratch* scratch_ = nullptr;
  Work work_;
};

}  // namespace hexr::guard
