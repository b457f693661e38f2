#include "spawner/exec_counters.h"

#include <fcntl.h>

#include "base/log.h"

namespace hexr::spawner {

ExecCounters::ExecCounters(size_t count) {
  auto made = runtime::SharedCounters::Create(count);
  if (made.ok())
    shared_.emplace(std::move(*made));
  else
    Log(LogLevel::kWarn, "spawner.no_exec_counters", {{"error", made.error()}});
}

ExecCounters::Counter ExecCounters::Take() {
  if (!free_.empty()) {
    const uint32_t number = free_.back();
    free_.pop_back();
    return {this, number};
  }
  if (!shared_ || next_ == shared_->size()) return {};
  return {this, next_++};
}

runtime::UniqueFd ExecCounters::Share() const {
  return runtime::UniqueFd(shared_ ? fcntl(shared_->fd(), F_DUPFD_CLOEXEC, 0) : -1);
}

}  // namespace hexr::spawner
