// One number for each instance, raised before the image of its registered process may change. The keeper reads it
// whenever it is about to give that identity to anybody, so an exec need not wait for the keeper's turn
// (INV-SPAWN-07). One loop's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/limits/identity.h"
#include "base/result.h"
#include "runtime/shared_counters.h"

namespace hexr::spawner {

class ExecCounters {
 public:
  // Of one instance. Outlived by its counters. Empty where there is none left: the keeper is asked then.
  class Counter {
   public:
    Counter() = default;
    Counter(Counter&& o) noexcept : of_(std::exchange(o.of_, nullptr)), number_(o.number_) {}
    Counter& operator=(Counter&&) = delete;
    ~Counter() {
      if (of_ != nullptr) of_->free_.push_back(number_);
    }
    explicit operator bool() const { return of_ != nullptr; }
    uint32_t number() const { return number_; }
    uint64_t value() const { return of_->shared_->value(number_); }
    void Raise() { of_->shared_->Raise(number_); }

   private:
    friend class ExecCounters;
    Counter(ExecCounters* of, uint32_t number) : of_(of), number_(number) {}
    ExecCounters* of_ = nullptr;
    uint32_t number_ = 0;
  };

  explicit ExecCounters(size_t count = limits::kMaxInstances);
  ExecCounters(const ExecCounters&) = delete;
  ExecCounters& operator=(const ExecCounters&) = delete;

  Counter Take();
  // For a keeper. Empty where the machine gave no memory.
  runtime::UniqueFd Share() const;

 private:
  std::optional<runtime::SharedCounters> shared_;
  std::vector<uint32_t> free_;
  uint32_t next_ = 0;
};

}  // namespace hexr::spawner
