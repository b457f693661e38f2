// Go's time layouts: reading and writing by the reference time Mon Jan 2 15:04:05 MST 2006.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "policy/rego/builtins/civil.h"
#include "policy/rego/value/json.h"

namespace hexr::rego {
namespace {

enum class Std {
  kNone,
  kLongMonth,
  kMonth,
  kNumMonth,
  kZeroMonth,
  kLongWeekDay,
  kWeekDay,
  kDay,
  kUnderDay,
  kZeroDay,
  kUnderYearDay,
  kZeroYearDay,
  kHour,
  kHour12,
  kZeroHour12,
  kMinute,
  kZeroMinute,
  kSecond,
  kZeroSecond,
  kLongYear,
  kYear,
  kPM,
  kpm,
  kTZ,
  kISO8601TZ,
  kISO8601SecondsTZ,
  kISO8601ShortTZ,
  kISO8601ColonTZ,
  kISO8601ColonSecondsTZ,
  kNumTZ,
  kNumSecondsTZ,
  kNumShortTZ,
  kNumColonTZ,
  kNumColonSecondsTZ,
  kFracSecond0,
  kFracSecond9
};

struct LayoutToken {
  std::string_view text;
  Std what;
};
// Longer spellings first where one begins another.
constexpr LayoutToken kTokens[] = {{"January", Std::kLongMonth},
                                   {"Jan", Std::kMonth},
                                   {"Monday", Std::kLongWeekDay},
                                   {"Mon", Std::kWeekDay},
                                   {"MST", Std::kTZ},
                                   {"2006", Std::kLongYear},
                                   {"002", Std::kZeroYearDay},
                                   {"01", Std::kZeroMonth},
                                   {"02", Std::kZeroDay},
                                   {"03", Std::kZeroHour12},
                                   {"04", Std::kZeroMinute},
                                   {"05", Std::kZeroSecond},
                                   {"06", Std::kYear},
                                   {"15", Std::kHour},
                                   {"__2", Std::kUnderYearDay},
                                   {"_2006", Std::kNone},
                                   {"_2", Std::kUnderDay},
                                   {"PM", Std::kPM},
                                   {"pm", Std::kpm},
                                   {"-070000", Std::kNumSecondsTZ},
                                   {"-07:00:00", Std::kNumColonSecondsTZ},
                                   {"-0700", Std::kNumTZ},
                                   {"-07:00", Std::kNumColonTZ},
                                   {"-07", Std::kNumShortTZ},
                                   {"Z070000", Std::kISO8601SecondsTZ},
                                   {"Z07:00:00", Std::kISO8601ColonSecondsTZ},
                                   {"Z0700", Std::kISO8601TZ},
                                   {"Z07:00", Std::kISO8601ColonTZ},
                                   {"Z07", Std::kISO8601ShortTZ},
                                   {"1", Std::kNumMonth},
                                   {"2", Std::kDay},
                                   {"3", Std::kHour12},
                                   {"4", Std::kMinute},
                                   {"5", Std::kSecond}};

constexpr std::string_view kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};
constexpr std::string_view kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

// The first chunk of `layout`: literal text before it, what it is, the rest.
Std NextChunk(std::string_view layout, std::string_view& prefix, std::string_view& chunk, std::string_view& suffix) {
  for (size_t i = 0; i < layout.size(); ++i) {
    std::string_view rest = layout.substr(i);
    if (rest.starts_with("_2006")) {
      // The underscore is literal: the year follows.
      continue;
    }
    if ((rest[0] == '.' || rest[0] == ',') && rest.size() > 1 && (rest[1] == '0' || rest[1] == '9')) {
      size_t n = 1;
      while (n < rest.size() && rest[n] == rest[1]) ++n;
      if (n >= rest.size() || rest[n] < '0' || rest[n] > '9') {
        prefix = layout.substr(0, i);
        chunk = rest.substr(0, n);
        suffix = rest.substr(n);
        return rest[1] == '0' ? Std::kFracSecond0 : Std::kFracSecond9;
      }
    }
    for (const LayoutToken& t : kTokens) {
      if (t.what == Std::kNone || !rest.starts_with(t.text)) continue;
      // "Jan" in "Janet" or "Mon" in "Month" is a word of its own.
      if ((t.what == Std::kMonth || t.what == Std::kWeekDay) && rest.size() > 3 && rest[3] >= 'a' && rest[3] <= 'z')
        continue;
      prefix = layout.substr(0, i);
      chunk = t.text;
      suffix = rest.substr(t.text.size());
      return t.what;
    }
  }
  prefix = layout;
  chunk = suffix = {};
  return Std::kNone;
}

std::string Padded(int64_t n, int width, char fill = '0') {
  std::string s = std::to_string(n < 0 ? -n : n);
  while (static_cast<int>(s.size()) < width) s.insert(0, 1, fill);
  return (n < 0 ? "-" : "") + s;
}

std::string QuotedText(std::string_view s) {
  std::string out;
  AppendGoQuoted(s, out);
  return out;
}

bool Digits(std::string_view& s, size_t min, size_t max, int& out) {
  size_t n = 0;
  out = 0;
  while (n < max && n < s.size() && s[n] >= '0' && s[n] <= '9') out = out * 10 + (s[n++] - '0');
  if (n < min) return false;
  s.remove_prefix(n);
  return true;
}

bool NameOf(std::string_view& s, std::span<const std::string_view> names, bool shortened, int& out) {
  for (size_t i = 0; i < names.size(); ++i) {
    std::string_view want = shortened ? names[i].substr(0, 3) : names[i];
    if (s.size() < want.size()) continue;
    bool same = true;
    for (size_t k = 0; k < want.size(); ++k) same = same && (s[k] | 32) == (want[k] | 32);
    if (same) {
      out = static_cast<int>(i);
      s.remove_prefix(want.size());
      return true;
    }
  }
  return false;
}

struct Fields {
  int64_t year = 0;
  int month = -1, day = -1, yearday = -1, hour = 0, minute = 0, second = 0, ns = 0;
  bool pm = false, pm_set = false, utc = false;
  std::optional<int> offset;
};

// ".123": digits after the point as nanoseconds.
bool Fraction(std::string_view digits, int& ns) {
  ns = 0;
  size_t n = 0;
  for (; n < digits.size() && n < 9; ++n) {
    if (digits[n] < '0' || digits[n] > '9') return false;
    ns = ns * 10 + (digits[n] - '0');
  }
  for (; n < 9; ++n) ns *= 10;
  return true;
}

bool ReadOffset(std::string_view& v, Std what, Fields& f) {
  bool iso = what >= Std::kISO8601TZ && what <= Std::kISO8601ColonSecondsTZ;
  if (iso && v.starts_with("Z")) {
    v.remove_prefix(1);
    f.utc = true;
    return true;
  }
  if (v.empty() || (v[0] != '+' && v[0] != '-')) return false;
  bool minus = v[0] == '-';
  std::string_view t = v.substr(1);
  int h = 0, m = 0, s = 0;
  bool colon = what == Std::kISO8601ColonTZ || what == Std::kNumColonTZ || what == Std::kISO8601ColonSecondsTZ ||
               what == Std::kNumColonSecondsTZ;
  bool seconds = what == Std::kISO8601SecondsTZ || what == Std::kNumSecondsTZ || what == Std::kISO8601ColonSecondsTZ ||
                 what == Std::kNumColonSecondsTZ;
  bool brief = what == Std::kISO8601ShortTZ || what == Std::kNumShortTZ;
  auto separator = [&] {
    if (!colon) return true;
    if (t.empty() || t[0] != ':') return false;
    t.remove_prefix(1);
    return true;
  };
  if (!Digits(t, 2, 2, h) || h > 24) return false;
  if (!brief && (!separator() || !Digits(t, 2, 2, m) || m > 60)) return false;
  if (seconds && (!separator() || !Digits(t, 2, 2, s) || s > 60)) return false;
  f.offset = (minus ? -1 : 1) * (h * 3600 + m * 60 + s);
  v = t;
  return true;
}

// One chunk of the text. False: does not fit; `range` names the field when a number is out of range.
bool ReadChunk(Std what, std::string_view chunk, std::string_view suffix, std::string_view& v, Fields& f,
               std::string& range) {
  int n = 0;
  switch (what) {
    case Std::kYear:
      if (!Digits(v, 2, 2, n)) return false;
      f.year = n >= 69 ? n + 1900 : n + 2000;
      return true;
    case Std::kLongYear:
      if (!Digits(v, 4, 4, n)) return false;
      f.year = n;
      return true;
    case Std::kMonth:
    case Std::kLongMonth:
      if (!NameOf(v, kMonths, what == Std::kMonth, n)) return false;
      f.month = n + 1;
      return true;
    case Std::kNumMonth:
    case Std::kZeroMonth:
      if (!Digits(v, what == Std::kZeroMonth ? 2 : 1, 2, f.month)) return false;
      if (f.month <= 0 || f.month > 12) range = "month";
      return true;
    case Std::kWeekDay:
    case Std::kLongWeekDay: return NameOf(v, kDays, what == Std::kWeekDay, n);
    case Std::kUnderDay:
    case Std::kDay:
    case Std::kZeroDay:
      if (what == Std::kUnderDay && v.starts_with(" ")) v.remove_prefix(1);
      return Digits(v, what == Std::kZeroDay ? 2 : 1, 2, f.day);
    case Std::kUnderYearDay:
      while (v.starts_with(" ")) v.remove_prefix(1);
      return Digits(v, 1, 3, f.yearday);
    case Std::kZeroYearDay: return Digits(v, 3, 3, f.yearday);
    case Std::kHour:
      if (!Digits(v, 2, 2, f.hour)) return false;
      if (f.hour >= 24) range = "hour";
      return true;
    case Std::kHour12:
    case Std::kZeroHour12:
      if (!Digits(v, what == Std::kZeroHour12 ? 2 : 1, 2, f.hour)) return false;
      if (f.hour > 12) range = "hour";
      return true;
    case Std::kMinute:
    case Std::kZeroMinute:
      if (!Digits(v, what == Std::kZeroMinute ? 2 : 1, 2, f.minute)) return false;
      if (f.minute >= 60) range = "minute";
      return true;
    case Std::kSecond:
    case Std::kZeroSecond: {
      if (!Digits(v, what == Std::kZeroSecond ? 2 : 1, 2, f.second)) return false;
      if (f.second >= 60) {
        range = "second";
        return true;
      }
      // A fraction may follow although the layout has none.
      std::string_view p, c, s;
      bool fraction_next =
          (NextChunk(suffix, p, c, s) == Std::kFracSecond0 || NextChunk(suffix, p, c, s) == Std::kFracSecond9) &&
          p.empty();
      if (v.size() >= 2 && (v[0] == '.' || v[0] == ',') && v[1] >= '0' && v[1] <= '9' && !fraction_next) {
        size_t k = 1;
        while (k < v.size() && v[k] >= '0' && v[k] <= '9') ++k;
        if (!Fraction(v.substr(1, k - 1), f.ns)) return false;
        v.remove_prefix(k);
      }
      return true;
    }
    case Std::kPM:
    case Std::kpm: {
      if (v.size() < 2) return false;
      std::string_view p = v.substr(0, 2);
      bool upper = what == Std::kPM;
      if (p == (upper ? "PM" : "pm"))
        f.pm = true;
      else if (p != (upper ? "AM" : "am"))
        return false;
      f.pm_set = true;
      v.remove_prefix(2);
      return true;
    }
    case Std::kTZ: {
      if (v.starts_with("UTC")) {
        f.utc = true;
        v.remove_prefix(3);
        return true;
      }
      // An abbreviation that is not known counts as UTC; GMT+3 says its hours.
      size_t k = 0;
      while (k < v.size() && v[k] >= 'A' && v[k] <= 'Z') ++k;
      if (k < 3 || k > 5) return false;
      if (v.substr(0, 3) == "GMT" && v.size() > 4 && (v[3] == '+' || v[3] == '-')) {
        std::string_view t = v.substr(4);
        if (!Digits(t, 1, 2, n)) return false;
        f.offset = (v[3] == '-' ? -1 : 1) * n * 3600;
        v = t;
        return true;
      }
      f.utc = true;
      v.remove_prefix(k);
      return true;
    }
    case Std::kFracSecond0:
      if (v.size() < chunk.size() || (v[0] != '.' && v[0] != ',') || !Fraction(v.substr(1, chunk.size() - 1), f.ns))
        return false;
      v.remove_prefix(chunk.size());
      return true;
    case Std::kFracSecond9: {
      if (v.size() < 2 || (v[0] != '.' && v[0] != ',') || v[1] < '0' || v[1] > '9') return true;
      size_t k = 1;
      while (k < v.size() && v[k] >= '0' && v[k] <= '9') ++k;
      Fraction(v.substr(1, k - 1), f.ns);
      v.remove_prefix(k);
      return true;
    }
    default: return ReadOffset(v, what, f);
  }
}

}  // namespace

bool GoParseTime(std::string_view layout, std::string_view text, ParsedTime& out, std::string& error) {
  std::string_view whole_layout = layout, v = text;
  Fields f;
  auto bad = [&](std::string_view element, std::string_view at) {
    error = "parsing time " + QuotedText(text) + " as " + QuotedText(whole_layout) + ": cannot parse " +
            QuotedText(at) + " as " + QuotedText(element);
    return false;
  };
  auto out_of_range = [&](std::string_view field) {
    error = "parsing time " + QuotedText(text) + ": " + std::string(field) + " out of range";
    return false;
  };
  while (true) {
    std::string_view prefix, chunk, suffix;
    Std what = NextChunk(layout, prefix, chunk, suffix);
    for (std::string_view p = prefix; !p.empty();) {
      if (p[0] == ' ') {
        if (!v.empty() && v[0] != ' ') return bad(prefix, v);
        while (!p.empty() && p[0] == ' ') p.remove_prefix(1);
        while (!v.empty() && v[0] == ' ') v.remove_prefix(1);
        continue;
      }
      if (v.empty() || v[0] != p[0]) return bad(prefix, v);
      p.remove_prefix(1);
      v.remove_prefix(1);
    }
    if (what == Std::kNone) {
      if (!v.empty()) {
        error = "parsing time " + QuotedText(text) + ": extra text: " + QuotedText(v);
        return false;
      }
      break;
    }
    std::string_view before = v;
    std::string range;
    if (!ReadChunk(what, chunk, suffix, v, f, range)) return bad(chunk, before);
    if (!range.empty()) return out_of_range(range);
    layout = suffix;
  }
  if (f.pm && f.hour < 12) f.hour += 12;
  if (f.pm_set && !f.pm && f.hour == 12) f.hour = 0;
  if (f.yearday >= 0) {
    bool leap = DaysInMonth(f.year, 2) == 29;
    if (f.yearday < 1 || f.yearday > 365 + leap) return out_of_range("day-of-year");
    Civil c = CivilFromUnix((DaysFromCivil(f.year, 1, 1) + f.yearday - 1) * 86400);
    if ((f.month >= 0 && f.month != c.month) || (f.day >= 0 && f.day != c.day))
      return out_of_range("day-of-year does not match");
    f.month = c.month;
    f.day = c.day;
  }
  if (f.month < 0) f.month = 1;
  if (f.day < 0) f.day = 1;
  if (f.day < 1 || f.day > DaysInMonth(f.year, f.month)) return out_of_range("day");
  out.unix_seconds = UnixFromCivil(f.year, f.month, f.day, f.hour, f.minute, f.second) - f.offset.value_or(0);
  out.nanosecond = f.ns;
  return true;
}

std::string GoFormatTime(std::string_view layout, int64_t unix_seconds, int ns, const Zone::Offset& offset) {
  int64_t local = unix_seconds + offset.seconds;
  Civil c = CivilFromUnix(local);
  int64_t days = DaysFromCivil(c.year, c.month, c.day);
  std::string out;
  while (true) {
    std::string_view prefix, chunk, suffix;
    Std what = NextChunk(layout, prefix, chunk, suffix);
    out += prefix;
    if (what == Std::kNone) return out;
    int hour12 = c.hour % 12 == 0 ? 12 : c.hour % 12;
    int yearday = static_cast<int>(days - DaysFromCivil(c.year, 1, 1)) + 1;
    switch (what) {
      case Std::kYear: out += Padded(c.year % 100, 2); break;
      case Std::kLongYear: out += Padded(c.year, 4); break;
      case Std::kMonth: out += kMonths[c.month - 1].substr(0, 3); break;
      case Std::kLongMonth: out += kMonths[c.month - 1]; break;
      case Std::kNumMonth: out += std::to_string(c.month); break;
      case Std::kZeroMonth: out += Padded(c.month, 2); break;
      case Std::kWeekDay: out += kDays[Weekday(days)].substr(0, 3); break;
      case Std::kLongWeekDay: out += kDays[Weekday(days)]; break;
      case Std::kDay: out += std::to_string(c.day); break;
      case Std::kUnderDay: out += Padded(c.day, 2, ' '); break;
      case Std::kZeroDay: out += Padded(c.day, 2); break;
      case Std::kUnderYearDay: out += Padded(yearday, 3, ' '); break;
      case Std::kZeroYearDay: out += Padded(yearday, 3); break;
      case Std::kHour: out += Padded(c.hour, 2); break;
      case Std::kHour12: out += std::to_string(hour12); break;
      case Std::kZeroHour12: out += Padded(hour12, 2); break;
      case Std::kMinute: out += std::to_string(c.minute); break;
      case Std::kZeroMinute: out += Padded(c.minute, 2); break;
      case Std::kSecond: out += std::to_string(c.second); break;
      case Std::kZeroSecond: out += Padded(c.second, 2); break;
      case Std::kPM: out += c.hour >= 12 ? "PM" : "AM"; break;
      case Std::kpm: out += c.hour >= 12 ? "pm" : "am"; break;
      case Std::kTZ: out += offset.name; break;
      case Std::kFracSecond0:
      case Std::kFracSecond9: {
        std::string digits = Padded(ns, 9).substr(0, std::min<size_t>(chunk.size() - 1, 9));
        if (what == Std::kFracSecond9) {
          while (!digits.empty() && digits.back() == '0') digits.pop_back();
          if (digits.empty()) break;
        }
        out += chunk[0];
        out += digits;
        break;
      }
      default: {
        bool iso = what >= Std::kISO8601TZ && what <= Std::kISO8601ColonSecondsTZ;
        if (iso && offset.seconds == 0) {
          out += 'Z';
          break;
        }
        bool colon = what == Std::kISO8601ColonTZ || what == Std::kNumColonTZ || what == Std::kISO8601ColonSecondsTZ ||
                     what == Std::kNumColonSecondsTZ;
        bool seconds = what == Std::kISO8601SecondsTZ || what == Std::kNumSecondsTZ ||
                       what == Std::kISO8601ColonSecondsTZ || what == Std::kNumColonSecondsTZ;
        bool brief = what == Std::kISO8601ShortTZ || what == Std::kNumShortTZ;
        int32_t s = offset.seconds < 0 ? -offset.seconds : offset.seconds;
        out += offset.seconds < 0 ? '-' : '+';
        out += Padded(s / 3600, 2);
        if (!brief) out += (colon ? ":" : "") + Padded(s % 3600 / 60, 2);
        if (seconds) out += (colon ? ":" : "") + Padded(s % 60, 2);
      }
    }
    layout = suffix;
  }
}

std::string_view NamedLayout(std::string_view layout) {
  static constexpr std::string_view kNames[][2] = {
      {"ANSIC", "Mon Jan _2 15:04:05 2006"},          {"UnixDate", "Mon Jan _2 15:04:05 MST 2006"},
      {"RubyDate", "Mon Jan 02 15:04:05 -0700 2006"}, {"RFC822", "02 Jan 06 15:04 MST"},
      {"RFC822Z", "02 Jan 06 15:04 -0700"},           {"RFC850", "Monday, 02-Jan-06 15:04:05 MST"},
      {"RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"},   {"RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"},
      {"RFC3339", "2006-01-02T15:04:05Z07:00"},       {"RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"}};
  for (const auto& row : kNames) {
    if (row[0] == layout) return row[1];
  }
  return layout;
}

bool GoParseDuration(std::string_view text, int64_t& ns, std::string& error) {
  auto bad = [&](std::string_view what) {
    error = "time: " + std::string(what) + " " + QuotedText(text);
    return false;
  };
  std::string_view s = text;
  bool minus = false;
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) {
    minus = s[0] == '-';
    s.remove_prefix(1);
  }
  if (s == "0") {
    ns = 0;
    return true;
  }
  if (s.empty()) return bad("invalid duration");
  static constexpr struct {
    std::string_view name;
    int64_t ns;
  } kUnits[] = {{"ns", 1},
                {"us", 1000},
                {"µs", 1000},
                {"μs", 1000},
                {"ms", 1000000},
                {"s", 1000000000},
                {"m", 60000000000},
                {"h", 3600000000000},
                {"d", 86400000000000},
                {"w", 604800000000000},
                {"y", 31536000000000000}};
  __int128 total = 0;
  while (!s.empty()) {
    size_t k = 0;
    __int128 whole = 0;
    while (k < s.size() && s[k] >= '0' && s[k] <= '9' && k < 20) whole = whole * 10 + (s[k++] - '0');
    size_t digits = k;
    long double fraction = 0, scale = 1;
    if (k < s.size() && s[k] == '.') {
      ++k;
      size_t start = k;
      while (k < s.size() && s[k] >= '0' && s[k] <= '9') {
        fraction = fraction * 10 + static_cast<long double>(s[k++] - '0');
        scale *= 10;
      }
      digits += k - start;
    }
    if (digits == 0) return bad("invalid duration");
    size_t u = k;
    while (u < s.size() && s[u] != '.' && !(s[u] >= '0' && s[u] <= '9')) ++u;
    std::string_view unit = s.substr(k, u - k);
    if (unit.empty()) return bad("missing unit in duration");
    int64_t each = 0;
    for (const auto& row : kUnits) {
      if (row.name == unit) each = row.ns;
    }
    if (each == 0) {
      error = "time: unknown unit " + QuotedText(unit) + " in duration " + QuotedText(text);
      return false;
    }
    total += whole * each + static_cast<__int128>(fraction * (static_cast<long double>(each) / scale));
    if (total > static_cast<__int128>(INT64_MAX) + (minus ? 1 : 0)) return bad("invalid duration");
    s.remove_prefix(u);
  }
  ns = static_cast<int64_t>(minus ? -total : total);
  return true;
}

}  // namespace hexr::rego
