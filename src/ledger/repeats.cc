#include "ledger/repeats.h"

#include <algorithm>

#include "base/limits/ledger.h"

namespace hexr::ledger {

Repeats::Sort* Repeats::Find(Budget& budget, const Event& event, const std::string& body) {
  const auto found = std::find_if(budget.sorts.begin(), budget.sorts.end(),
                                  [&](const Sort& s) { return s.event.kind == event.kind && s.body == body; });
  return found == budget.sorts.end() ? nullptr : &*found;
}

void Repeats::Remember(Budget& budget, const Event& event, std::string body) {
  Sort sort{.body = std::move(body), .event = event};
  if (budget.sorts.size() < limits::kMaxRepeatSorts) {
    budget.sorts.push_back(std::move(sort));
    return;
  }
  Sort& oldest = budget.sorts[budget.next++ % budget.sorts.size()];
  // One that has a count waits until it is taken; what is not remembered is written again, and not lost.
  if (oldest.count == 0) oldest = std::move(sort);
}

bool Repeats::Admit(const Event& event, MonoTime now) {
  if (!event.instance) return true;
  const double most = double{limits::kRepeatBurstSeconds} * per_second_;
  Budget& budget =
      budgets_.try_emplace(*event.instance, Budget{.tokens = most, .refilled = now, .sorts = {}}).first->second;
  budget.tokens =
      std::min(most, budget.tokens + std::chrono::duration<double>(now - budget.refilled).count() * per_second_);
  budget.refilled = now;
  std::string body = event.body.ToJson();
  Sort* const known = Find(budget, event, body);
  if (budget.tokens < 1 && known != nullptr) {
    if (known->count++ == 0) known->first = event.time;
    known->last = event.time;
    counted_ = true;
    return false;
  }
  budget.tokens = std::max(0.0, budget.tokens - 1);
  if (known == nullptr) Remember(budget, event, std::move(body));
  return true;
}

std::vector<Event> Repeats::Take(WallTime now) {
  std::vector<Event> events;
  counted_ = false;
  for (auto& [instance, budget] : budgets_) {
    for (Sort& sort : budget.sorts) {
      if (sort.count == 0) continue;
      Event event = sort.event;
      event.time = now;
      event.call_id.reset();
      event.body = Body();
      event.body.Set("event", Code("repeated"))
          .Set("count", std::exchange(sort.count, 0))
          .Set("first", sort.first)
          .Set("last", sort.last)
          .Set("what", sort.event.body);
      events.push_back(std::move(event));
    }
  }
  return events;
}

}  // namespace hexr::ledger
