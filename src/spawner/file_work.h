// Work on files that their owners can make last: a remote or user-space file system answers when it likes.
//
// Done on threads, in turns of the parties for whom it is done (INV-SPAWN-15): one whose file system does not answer
// has its thread, and nothing more of it is begun until that comes back; the others go on with a new one. Public
// functions belong to the loop's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/limits/agents.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/loop.h"

namespace hexr::spawner {

class FileWork {
 public:
  explicit FileWork(runtime::Loop& loop, std::chrono::milliseconds stuck_after = limits::kFileWorkStuckAfter);
  // Waits for a turn under way, but for none that is stuck.
  ~FileWork();
  FileWork(const FileWork&) = delete;
  FileWork& operator=(const FileWork&) = delete;

  // `turn`, on a thread, again and again until it says true; there it ends too, with what it holds, so that it owns all
  // that it touches. Then `done` on the loop, never inside this call. `party`: for whom, an instance or a user; it
  // waits for its own work, and for one turn of each other party. RESOURCE_EXHAUSTED when `most` of the party's wait,
  // UNAVAILABLE when no thread is left.
  Status Add(const std::string& party, size_t most, UniqueFunction<bool()> turn, UniqueFunction<void()> done);

  // What `work` returns, or why it was not done.
  template <class T>
  void Run(const std::string& party, UniqueFunction<T()> work, UniqueFunction<void(Result<T>)> done) {
    const auto result = std::make_shared<std::optional<T>>();
    const auto tell = std::make_shared<UniqueFunction<void(Result<T>)>>(std::move(done));
    const Status s = Add(
        party, limits::kMaxLaunchesUnderWay,
        [result, work = std::move(work)]() mutable {
          result->emplace(work());
          return true;
        },
        [result, tell] { (*tell)(std::move(**result)); });
    if (!s.ok()) {
      loop_.Post([alive = std::weak_ptr<void>(state_), tell, error = s.error()] {
        if (alive.lock()) (*tell)(error);
      });
    }
  }

  // Turns of all that wait or are under way.
  size_t waiting() const;
  size_t threads() const;

 private:
  struct Job;
  struct Thread;
  struct State;
  static void Work(const std::shared_ptr<State>& state, const std::shared_ptr<Thread>& me);
  void StartThread();
  void LookForStuck();
  void Finished(uint64_t id);

  runtime::Loop& loop_;
  const std::chrono::milliseconds stuck_after_;
  std::shared_ptr<State> state_;  // a thread that is stuck may outlive this object
  uint64_t next_ = 0;
  std::unordered_map<uint64_t, UniqueFunction<void()>> done_;
  runtime::Timer look_;
  bool looking_ = false;
};

}  // namespace hexr::spawner
