// What streams of one thread share while they run: Vectorscan's scratch space. Not thread-safe; outlives its streams.
#pragma once

#include <memory>

#include "base/result.h"
#include "guard/engine.h"

namespace hexr::guard {

class Worker {
 public:
  static Result<std::unique_ptr<Worker>> Create(std::shared_ptr<const Engine> engine);
  ~Worker();

  const Engine& engine() const { return *engine_; }
  hs_scratch* scratch() const { return scratch_; }

 private:
  explicit Worker(std::shared_ptr<const Engine> engine) : engine_(std::move(engine)) {}
  std::shared_ptr<const Engine> engine_;
  hs_scratch* scratch_ = nullptr;
};

}  // namespace hexr::guard
