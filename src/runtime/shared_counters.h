// Numbers that one process raises and another reads, without a message between them: what the reader would have to be
// told before the writer goes on, it sees. The writer's side belongs to one thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"
#include "runtime/unique_fd.h"

namespace hexr::runtime {

class SharedCounters {
 public:
  // All 0; for whoever raises them. Not inherited by children. Nobody else can write to the memory from then on.
  static Result<SharedCounters> Create(size_t count);
  // For whoever reads them. DATA_LOSS where it is not such memory of `count` numbers, or could be taken away.
  static Result<SharedCounters> Adopt(UniqueFd memory, size_t count);
  SharedCounters(SharedCounters&& o) noexcept
      : memory_(std::move(o.memory_)), at_(std::exchange(o.at_, nullptr)), count_(o.count_) {}
  SharedCounters& operator=(SharedCounters&&) = delete;
  ~SharedCounters();

  int fd() const { return memory_.get(); }
  size_t size() const { return count_; }
  // Of Create alone. Seen by the reader before anything that the caller does next.
  void Raise(size_t i);
  uint64_t value(size_t i) const;

 private:
  using Number = std::atomic<uint64_t>;
  static_assert(Number::is_always_lock_free && sizeof(Number) == sizeof(uint64_t));
  SharedCounters(UniqueFd memory, Number* at, size_t count) : memory_(std::move(memory)), at_(at), count_(count) {}
  UniqueFd memory_;
  Number* at_;
  size_t count_;
};

}  // namespace hexr::runtime
