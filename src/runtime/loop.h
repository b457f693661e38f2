// One thread's event loop: file descriptors, timers, signals, work posted from other threads.
//
// Everything but Post and Stop belongs to the thread that runs the loop. Callbacks never run inside the call that
// registers them. Destroying a Timer or FdWatch, from its own callback too, means that its callback never runs again;
// what it holds is gone at once, or when the call returns. Boost.Asio is behind the door and nowhere else.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/unique_fd.h"

namespace hexr::runtime {

class Loop;

// Runs its callback once, unless destroyed first.
class Timer {
 public:
  Timer() = default;
  Timer(Timer&&) noexcept;
  Timer& operator=(Timer&&) noexcept;
  ~Timer();
  bool pending() const;
  void Cancel();

 private:
  friend class Loop;
  struct State;
  explicit Timer(std::shared_ptr<State> s);
  std::shared_ptr<State> state_;
};

// Calls back while the descriptor is ready (level-triggered). Does not own the descriptor, and has to be destroyed
// before the descriptor is closed. One FdWatch per descriptor and loop.
class FdWatch {
 public:
  FdWatch() = default;
  FdWatch(FdWatch&&) noexcept;
  FdWatch& operator=(FdWatch&&) noexcept;
  ~FdWatch();
  // Errors and hang-ups are reported as readable and writable: the next read or write tells which.
  void WantRead(bool on);
  void WantWrite(bool on);
  explicit operator bool() const { return state_ != nullptr; }

 private:
  friend class Loop;
  struct State;
  explicit FdWatch(std::shared_ptr<State> s);
  std::shared_ptr<State> state_;
};

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until Stop. Pending callbacks are dropped, not run, when the loop is destroyed.
  void Run();
  // What is ready now, without waiting; for tests and for a loop inside another.
  void RunReady();
  // At most one wait of `timeout`, then what became ready. Returns whether anything ran.
  bool RunFor(std::chrono::nanoseconds timeout);
  // Thread-safe.
  void Stop();
  // Thread-safe: runs `f` on the loop's thread, in order of posting.
  void Post(UniqueFunction<void()> f);

  [[nodiscard]] Timer After(std::chrono::nanoseconds delay, UniqueFunction<void()> f);
  // `on_read` is enabled at once where given; writes are asked for with WantWrite.
  [[nodiscard]] FdWatch Watch(int fd, UniqueFunction<void()> on_read, UniqueFunction<void()> on_write = {});

 private:
  friend struct Timer::State;
  friend struct FdWatch::State;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Blocks `signals` for the whole process and delivers them on the loop instead.
class SignalWatch {
 public:
  static Result<std::unique_ptr<SignalWatch>> Create(Loop& loop, std::initializer_list<int> signals,
                                                     UniqueFunction<void(int signal)> on_signal);

 private:
  SignalWatch() = default;
  UniqueFd fd_;
  UniqueFunction<void(int)> on_signal_;
  FdWatch watch_;
};

}  // namespace hexr::runtime
