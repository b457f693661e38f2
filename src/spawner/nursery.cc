#include "spawner/nursery.h"

#include <algorithm>

#include "base/limits/agents.h"
#include "base/log.h"

namespace hexr::spawner {
namespace {

// Making one takes as long as what it saves, so it must not meet what somebody waits for: the end of a program that was
// just started, and the next launch of a series.
constexpr std::chrono::milliseconds kAfterLaunch{20};
constexpr std::chrono::microseconds kAfterEnd{300};
constexpr std::chrono::milliseconds kBetween{2};

}  // namespace

Result<Prepared> Nursery::Take(const IdSegment& tenant) {
  ++launches_;
  restock_.Cancel();
  // All of them have copies of mounts that the machine has no more, or not only these.
  if (mounts_.Changed()) {
    for (auto& [name, queue] : waiting_) queue.clear();
  }
  std::deque<Waiting>& queue = waiting_[tenant.value()];
  while (!queue.empty()) {
    queue.front().watch = runtime::FdWatch();
    Prepared p = std::move(queue.front().prepared);
    queue.pop_front();
    if (p.launch->Advance() == Launch::State::kFailed) continue;  // it has died and nobody has said so yet
    if (!p.origins.Unchanged()) continue;
    p.ahead = true;
    return p;
  }
  return make_(tenant);
}

void Nursery::Done() {
  HEXR_CHECK(launches_ > 0);
  --launches_;
  RestockAfter(kAfterLaunch);
}

void Nursery::Ended() {
  if (!waiting_.empty()) RestockAfter(kAfterEnd);
}

void Nursery::RestockAfter(std::chrono::nanoseconds delay) {
  if (launches_ > 0 || closed_) return;
  restock_ = loop_.After(delay, [this] { Restock(); });
}

// One at a time, so that what happens meanwhile does not wait for all of them.
void Nursery::Restock() {
  if (launches_ > 0 || closed_ || waiting() >= limits::kMaxPrepared) return;
  const auto poorest = std::min_element(waiting_.begin(), waiting_.end(),
                                        [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  if (poorest == waiting_.end() || poorest->second.size() >= limits::kMaxPreparedPerTenant) return;
  const std::string& tenant = poorest->first;
  const Result<IdSegment> name = IdSegment::Parse(tenant);
  Result<Prepared> made = name.ok() ? make_(*name) : Result<Prepared>(name.error());
  if (!made.ok()) {
    // A launch will say it to somebody who can do something about it.
    Log(LogLevel::kWarn, "spawner.not_prepared", {{"tenant", tenant}, {"error", made.error()}});
    waiting_.erase(poorest);
    return;
  }
  Keep(tenant, std::move(*made));
  RestockAfter(kBetween);
}

void Nursery::Return(const IdSegment& tenant, Prepared prepared) {
  if (!closed_ && waiting_[tenant.value()].size() < limits::kMaxPreparedPerTenant && waiting() < limits::kMaxPrepared)
    Keep(tenant.value(), std::move(prepared));
}

void Nursery::Keep(const std::string& tenant, Prepared prepared) {
  const Launch* launch = prepared.launch.get();
  runtime::FdWatch watch = loop_.Watch(launch->event_fd(), [this, tenant, launch] { OnEvent(tenant, launch); });
  waiting_[tenant].push_back({std::move(prepared), std::move(watch)});
}

void Nursery::OnEvent(const std::string& tenant, const Launch* launch) {
  std::deque<Waiting>& queue = waiting_[tenant];
  const auto it =
      std::find_if(queue.begin(), queue.end(), [&](const Waiting& w) { return w.prepared.launch.get() == launch; });
  if (it == queue.end() || it->prepared.launch->Advance() != Launch::State::kFailed) return;
  // Not made anew before the next launch or end: whatever ends it would end that one too.
  restock_.Cancel();
  Log(LogLevel::kWarn, "spawner.prepared_lost", {{"tenant", tenant}, {"error", it->prepared.launch->failure().error}});
  it->watch = runtime::FdWatch();
  loop_.Post([gone = std::move(it->prepared)] {});  // it is on the stack of this turn
  queue.erase(it);
}

void Nursery::KeepOnly(const std::set<std::string>& tenants) {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    it = tenants.contains(it->first) ? std::next(it) : waiting_.erase(it);
  }
}

void Nursery::Close() {
  closed_ = true;
  restock_.Cancel();
  waiting_.clear();
}

size_t Nursery::waiting() const {
  size_t n = 0;
  for (const auto& [tenant, queue] : waiting_) n += queue.size();
  return n;
}

}  // namespace hexr::spawner
