// Time as a dependency. Production code never reads a clock by itself (tools/tidy.py bans it).
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hexr {

using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

// Thread-safe. Wall time can jump, back and forth; monotonic time cannot: durations come from Mono().
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime Wall() const = 0;
  virtual MonoTime Mono() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime Wall() const override;
  MonoTime Mono() const override;
};

// For tests and simulation: stands still until told.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime wall) : wall_(wall) {}
  WallTime Wall() const override { return wall_; }
  MonoTime Mono() const override { return mono_; }
  void Advance(std::chrono::nanoseconds d) {
    wall_ += d;
    mono_ += d;
  }
  void StepWall(std::chrono::nanoseconds d) { wall_ += d; }  // an operator or NTP sets the clock

 private:
  WallTime wall_;
  MonoTime mono_{};
};

// RFC 3339 in UTC with nanoseconds cut to `digits` (0 to 9): 2026-01-02T03:04:05.678Z.
std::string FormatRfc3339(WallTime t, int digits = 3);
Result<WallTime> ParseRfc3339(std::string_view text);

// "15m", "1h30m", "500ms", "2d": the units are ms s m h d. INVALID_ARGUMENT for anything else, and for overflow.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);
std::string FormatDuration(std::chrono::milliseconds d);

}  // namespace hexr
