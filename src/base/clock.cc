#include "base/clock.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <limits>

namespace hexr {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

WallTime SystemClock::Wall() const {
  return std::chrono::time_point_cast<nanoseconds>(std::chrono::system_clock::now());
}
MonoTime SystemClock::Mono() const {
  return std::chrono::time_point_cast<nanoseconds>(std::chrono::steady_clock::now());
}

std::string FormatRfc3339(WallTime t, int digits) {
  const auto day = floor<days>(t);
  const std::chrono::year_month_day ymd{day};
  const auto in_day = t - day;
  const auto s = floor<seconds>(in_day);
  const int64_t total = s.count();
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(ymd.year()),
                                static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()), total / 3600,
                                total / 60 % 60, total % 60);
  if (digits > 0) {
    const std::string nanos = fmt::format("{:09}", (in_day - s).count());
    out += '.';
    out += nanos.substr(0, static_cast<size_t>(digits));
  }
  return out + "Z";
}

namespace {

// Reads exactly `n` digits at the front of `s`; -1 when they are not there.
int64_t TakeDigits(std::string_view& s, size_t n) {
  if (s.size() < n) return -1;
  int64_t v = 0;
  for (size_t i = 0; i < n; ++i) {
    if (s[i] < '0' || s[i] > '9') return -1;
    v = v * 10 + (s[i] - '0');
  }
  s.remove_prefix(n);
  return v;
}

bool TakeChar(std::string_view& s, char c) {
  if (s.empty() || s.front() != c) return false;
  s.remove_prefix(1);
  return true;
}

}  // namespace

Result<WallTime> ParseRfc3339(std::string_view text) {
  const auto bad = [] { return InvalidArgument("not an RFC 3339 time"); };  // made where it is wanted: it allocates
  std::string_view s = text;
  const int64_t year = TakeDigits(s, 4);
  if (year < 1678 || year > 2261 || !TakeChar(s, '-')) return bad();  // what nanoseconds in 64 bits can hold
  const int64_t month = TakeDigits(s, 2);
  if (month < 1 || month > 12 || !TakeChar(s, '-')) return bad();
  const int64_t day = TakeDigits(s, 2);
  if (day < 1 || (!TakeChar(s, 'T') && !TakeChar(s, 't'))) return bad();
  const int64_t hour = TakeDigits(s, 2);
  if (hour < 0 || hour > 23 || !TakeChar(s, ':')) return bad();
  const int64_t minute = TakeDigits(s, 2);
  if (minute < 0 || minute > 59 || !TakeChar(s, ':')) return bad();
  const int64_t second = TakeDigits(s, 2);
  if (second < 0 || second > 60) return bad();  // 60: a leap second, counted as the next minute's first
  int64_t nanos = 0;
  if (TakeChar(s, '.')) {
    int64_t scale = 100'000'000;
    size_t n = 0;
    while (!s.empty() && s.front() >= '0' && s.front() <= '9') {
      nanos += (s.front() - '0') * scale;
      scale /= 10;
      s.remove_prefix(1);
      ++n;
    }
    if (n == 0) return bad();
  }
  int64_t offset_minutes = 0;
  if (!TakeChar(s, 'Z') && !TakeChar(s, 'z')) {
    const bool minus = TakeChar(s, '-');
    if (!minus && !TakeChar(s, '+')) return bad();
    const int64_t oh = TakeDigits(s, 2);
    if (oh < 0 || oh > 23 || !TakeChar(s, ':')) return bad();
    const int64_t om = TakeDigits(s, 2);
    if (om < 0 || om > 59) return bad();
    offset_minutes = (minus ? -1 : 1) * (oh * 60 + om);
  }
  const std::chrono::year_month_day ymd{std::chrono::year{static_cast<int>(year)},
                                        std::chrono::month{static_cast<unsigned>(month)},
                                        std::chrono::day{static_cast<unsigned>(day)}};
  if (!s.empty() || !ymd.ok()) return bad();
  return WallTime{std::chrono::sys_days{ymd}.time_since_epoch() +
                  seconds{hour * 3600 + minute * 60 + second - offset_minutes * 60} + nanoseconds{nanos}};
}

namespace {

struct Unit {
  std::string_view name;
  int64_t ms;
};
constexpr std::array<Unit, 5> kUnits{{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

}  // namespace

Result<milliseconds> ParseDuration(std::string_view text) {
  const auto bad = [&] {
    return InvalidArgument(fmt::format("'{}' is not a duration; write for example 15m, 1h30m or 500ms", text));
  };
  if (text.empty()) return bad();
  int64_t total = 0;
  std::string_view s = text;
  while (!s.empty()) {
    int64_t n = 0;
    size_t digits = 0;
    while (digits < s.size() && s[digits] >= '0' && s[digits] <= '9') {
      if (__builtin_mul_overflow(n, int64_t{10}, &n) || __builtin_add_overflow(n, int64_t{s[digits] - '0'}, &n))
        return bad();
      ++digits;
    }
    if (digits == 0) return bad();
    s.remove_prefix(digits);
    size_t letters = 0;
    while (letters < s.size() && s[letters] >= 'a' && s[letters] <= 'z') ++letters;
    const std::string_view unit = s.substr(0, letters);
    s.remove_prefix(letters);
    bool known = false;
    for (const Unit& u : kUnits) {
      if (u.name != unit) continue;
      known = true;
      int64_t ms = 0;
      if (__builtin_mul_overflow(n, u.ms, &ms) || __builtin_add_overflow(total, ms, &total)) return bad();
    }
    if (!known) return bad();
  }
  return milliseconds{total};
}

std::string FormatDuration(milliseconds d) {
  int64_t ms = d.count();
  if (ms == 0) return "0s";
  std::string out;
  for (size_t i = kUnits.size(); i-- > 0;) {
    const int64_t n = ms / kUnits[i].ms;
    if (n == 0) continue;
    out += fmt::format("{}{}", n, kUnits[i].name);
    ms -= n * kUnits[i].ms;
  }
  return out;
}

}  // namespace hexr
