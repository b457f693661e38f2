#include "spawner/file_work.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace hexr::spawner {
namespace {

constexpr int kLooks = 4;  // until a turn counts as stuck

}  // namespace

struct FileWork::Job {
  uint64_t id;
  UniqueFunction<bool()> turn;
};

struct FileWork::Thread {
  bool busy = false, stuck = false;
  int looks = 0;  // since its turn began
};

struct FileWork::State {
  std::mutex mutex;
  std::condition_variable wake, gone;
  // Null: the end. Its callbacks find their way back through `finished`.
  runtime::Loop* loop = nullptr;
  FileWork* owner = nullptr;                                     // the loop's thread alone
  std::map<std::string, std::deque<std::unique_ptr<Job>>> jobs;  // by party; the one under way is an empty place
  std::deque<std::string> ring;                                  // parties with jobs and none under way
  size_t waiting = 0;
  std::vector<std::shared_ptr<Thread>> threads;

  size_t Stuck() const {
    return static_cast<size_t>(std::ranges::count_if(threads, [](const auto& t) { return t->stuck; }));
  }
};

FileWork::FileWork(runtime::Loop& loop, std::chrono::milliseconds stuck_after)
    : loop_(loop), stuck_after_(stuck_after), state_(std::make_shared<State>()) {
  state_->loop = &loop;
  state_->owner = this;
  StartThread();
}

FileWork::~FileWork() {
  std::unique_lock<std::mutex> lock(state_->mutex);
  state_->loop = nullptr;
  state_->owner = nullptr;
  state_->wake.notify_all();
  state_->gone.wait_for(lock, stuck_after_, [this] { return state_->threads.size() == state_->Stuck(); });
}

size_t FileWork::waiting() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->waiting;
}

size_t FileWork::threads() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->threads.size();
}

void FileWork::StartThread() {
  const auto me = std::make_shared<Thread>();
  state_->threads.push_back(me);
  // Owned through the state, and never joined: one that is stuck ends when its file system says so, or with the
  // process.
  std::thread([state = state_, me] { Work(state, me); }).detach();
}

Status FileWork::Add(const std::string& party, size_t most, UniqueFunction<bool()> turn, UniqueFunction<void()> done) {
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    if (state_->Stuck() >= limits::kMaxFileThreads)
      return Unavailable("file systems that do not answer hold up all look-ups; try again");
    auto& own = state_->jobs[party];
    if (own.size() >= most) return ResourceExhausted("too many files wait to be looked at or measured");
    if (own.empty()) state_->ring.push_back(party);
    own.push_back(std::make_unique<Job>(Job{next_, std::move(turn)}));
    ++state_->waiting;
    done_.emplace(next_++, std::move(done));
    state_->wake.notify_one();
  }
  if (!looking_) LookForStuck();
  return Ok();
}

// As long as anything is under way.
void FileWork::LookForStuck() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  for (const auto& t : state_->threads) t->stuck |= t->busy && ++t->looks > kLooks;
  const size_t all = state_->threads.size();
  if (state_->Stuck() == all && !state_->ring.empty() && all < limits::kMaxFileThreads) StartThread();
  looking_ = state_->waiting > 0;
  if (looking_) look_ = loop_.After(stuck_after_ / kLooks, [this] { LookForStuck(); });
}

void FileWork::Finished(uint64_t id) {
  auto node = done_.extract(id);
  if (!node.empty()) node.mapped()();
}

void FileWork::Work(const std::shared_ptr<State>& state, const std::shared_ptr<Thread>& me) {
  std::unique_lock<std::mutex> lock(state->mutex);
  const auto surplus = [&] { return state->threads.size() - state->Stuck() > 1; };
  while (state->loop != nullptr && !surplus()) {
    if (state->ring.empty()) {
      state->wake.wait(lock);
      continue;
    }
    const std::string party = std::move(state->ring.front());
    state->ring.pop_front();
    std::unique_ptr<Job> job = std::move(state->jobs[party].front());
    const uint64_t id = job->id;
    me->busy = true;
    me->looks = 0;
    lock.unlock();
    if (job->turn()) job.reset();
    lock.lock();
    me->busy = me->stuck = false;
    const auto own = state->jobs.find(party);
    if (job) {
      own->second.front() = std::move(job);
    } else {
      own->second.pop_front();
      --state->waiting;
      if (state->loop != nullptr) {
        state->loop->Post([weak = std::weak_ptr<State>(state), id] {
          const auto alive = weak.lock();
          if (alive && alive->owner != nullptr) alive->owner->Finished(id);
        });
      }
    }
    if (own->second.empty())
      state->jobs.erase(own);
    else
      state->ring.push_back(party);
  }
  std::erase(state->threads, me);
  if (!state->ring.empty()) state->wake.notify_one();
  state->gone.notify_all();
}

}  // namespace hexr::spawner
