#include "gateway/attribution.h"

#include <utility>

namespace hexr::gateway {

void ProcessLookup::WhenFinished(UniqueFunction<void()> f) {
  if (finished_) return f();
  waiting_.push_back(std::move(f));
}

void ProcessLookup::Finish(std::optional<Process> process) {
  if (finished_) return;
  finished_ = true;
  process_ = std::move(process);
  for (UniqueFunction<void()>& f : std::exchange(waiting_, {})) f();
}

}  // namespace hexr::gateway
