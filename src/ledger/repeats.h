// Holds what one instance can make happen without end (a refusal, an exec that fails) to a rate of records. Beyond it,
// what is like a record that was written before is counted, and the count is a record too: nothing that was allowed is
// ever left out, and the first of each sort never. Belongs to one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/spiffe_id.h"
#include "ledger/types.h"

namespace hexr::ledger {

class Repeats {
 public:
  // Records per second and instance; a burst may have limits::kRepeatBurstSeconds times as many.
  explicit Repeats(uint32_t per_second) : per_second_(per_second) {}

  // Whether to write a record for `event`. False: it was counted. Two events are alike when kind and body are: the
  // caller leaves out of the body what differs each time. Events of no instance are always written.
  bool Admit(const Event& event, MonoTime now);
  // Whether there is something to Take.
  bool counted() const { return counted_; }
  // What was counted since the last call, a record for each sort: {"event": "repeated", "count", "first", "last",
  // "what": the body}.
  std::vector<Event> Take(WallTime now);
  // The instance has ended. What was counted of it and not taken is lost: Take first.
  void Forget(const InstanceId& instance) { budgets_.erase(instance); }

 private:
  struct Sort {
    std::string body;  // as JSON
    Event event;
    uint64_t count = 0;
    WallTime first{};
    WallTime last{};
  };
  struct Budget {
    double tokens;
    MonoTime refilled;
    std::vector<Sort> sorts;  // at most limits::kMaxRepeatSorts
    size_t next = 0;          // the one that makes room
  };
  static Sort* Find(Budget& budget, const Event& event, const std::string& body);
  static void Remember(Budget& budget, const Event& event, std::string body);

  const uint32_t per_second_;
  std::map<InstanceId, Budget> budgets_;
  bool counted_ = false;
};

}  // namespace hexr::ledger
