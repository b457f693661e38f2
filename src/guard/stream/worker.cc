#include "guard/stream/worker.h"

#include <hs/hs.h>

namespace hexr::guard {

Worker::~Worker() { hs_free_scratch(scratch_); }

Result<std::unique_ptr<Worker>> Worker::Create(std::shared_ptr<const Engine> engine) {
  std::unique_ptr<Worker> w(new Worker(std::move(engine)));
  if (hs_alloc_scratch(w->engine_->patterns().database(), &w->scratch_) != HS_SUCCESS) {
    return ResourceExhausted("no memory for the pattern engine's scratch space");
  }
  return w;
}

}  // namespace hexr::guard
