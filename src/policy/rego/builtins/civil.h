// Calendar arithmetic, time zones from the system's database, and Go's reference-time layouts. Stateless but for a
// cache of zones that the caller owns.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hexr::rego {

struct Civil {
  int64_t year = 1970;
  int month = 1, day = 1;
  int hour = 0, minute = 0, second = 0;
  int nanosecond = 0;
};

int64_t DaysFromCivil(int64_t year, int month, int day);
Civil CivilFromUnix(int64_t seconds);
// Months and days out of range carry over, as in Go's time.Date.
int64_t UnixFromCivil(int64_t year, int64_t month, int64_t day, int64_t hour, int64_t minute, int64_t second);
int Weekday(int64_t unix_days);  // 0 is Sunday
int DaysInMonth(int64_t year, int month);

// One zone of the TZ database (RFC 8536).
class Zone {
 public:
  struct Offset {
    int32_t seconds = 0;
    std::string name = "UTC";
  };
  static std::shared_ptr<const Zone> Load(const std::string& name);
  Offset At(int64_t unix_seconds) const;

 private:
  struct Rule {  // Mm.w.d/time
    int month = 0, week = 0, day = 0;
    int32_t time = 7200;
  };
  bool Parse(std::string_view data);
  void ParseFooter(std::string_view text);
  static int64_t RuleTime(const Rule& r, int64_t year);

  std::vector<int64_t> times_;
  std::vector<uint8_t> indexes_;
  std::vector<Offset> offsets_;
  std::optional<Offset> standard_, summer_;  // after the last transition
  Rule start_, end_;
};

// What time.Parse yields: civil time and offset as said by the text.
struct ParsedTime {
  int64_t unix_seconds = 0;
  int nanosecond = 0;
};
// Go's time.Parse; false with Go's message in `error`.
bool GoParseTime(std::string_view layout, std::string_view text, ParsedTime& out, std::string& error);
// Go's Time.Format.
std::string GoFormatTime(std::string_view layout, int64_t unix_seconds, int nanosecond, const Zone::Offset& offset);
// "RFC3339Nano" and the other names OPA knows; any other layout as it is.
std::string_view NamedLayout(std::string_view layout);
// time.ParseDuration with OPA's d, w, y.
bool GoParseDuration(std::string_view text, int64_t& ns, std::string& error);

}  // namespace hexr::rego
