// Time: now, parsing, formatting, calendar.
#include "policy/rego/builtins/civil.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

constexpr int64_t kBillion = 1000000000;

struct Moment {
  int64_t seconds = 0;
  int ns = 0;
  const Zone* zone = nullptr;
  std::string_view layout;
  Civil Local() const { return CivilFromUnix(seconds + zone->At(seconds).seconds); }
};

Value ToNanos(Call& c, int64_t seconds, int ns) {
  __int128 total = static_cast<__int128>(seconds) * kBillion + ns;
  if (total > INT64_MAX || total < INT64_MIN) return c.Fail("time outside of valid range");
  return Value::Int(static_cast<int64_t>(total));
}

// A number of nanoseconds, or [ns, zone, layout].
bool TakeMoment(Call& c, size_t i, Moment& m) {
  Value n = c[i];
  std::string_view zone = "UTC";
  if (c[i].is_array()) {
    const Arr& a = *c[i].arr;
    if (a.size == 0) {
      c.WrongType(i, "either number (ns) or [number (ns), string (tz)]");
      return false;
    }
    n = a.items[0];
    for (uint32_t k = 1; k < a.size && k < 3; ++k) {
      if (!a.items[k].is_string()) {
        c.TypeError("operand 1 must be string but got " + std::string(KindName(a.items[k])));
        return false;
      }
    }
    if (a.size > 1 && a.items[1].text() != "Local" && !a.items[1].text().empty()) zone = a.items[1].text();
    if (a.size > 2) m.layout = a.items[2].text();
  } else if (!c[i].is_number()) {
    c.WrongType(i, "either number (ns) or [number (ns), string (tz)]");
    return false;
  }
  if (!n.is_number()) {
    c.TypeError("operand 1 must be number but got " + std::string(KindName(n)));
    return false;
  }
  auto ns = ToInt64(n);
  if (!ns) {
    c.Fail("timestamp too big");
    return false;
  }
  m.seconds = *ns / kBillion;
  m.ns = static_cast<int>(*ns % kBillion);
  if (m.ns < 0) {
    m.ns += static_cast<int>(kBillion);
    --m.seconds;
  }
  auto& zones = c.services.zones;
  auto known = zones.find(zone);
  if (known == zones.end()) {
    constexpr size_t kMaxZones = 1024;
    auto loaded = zones.size() < kMaxZones ? Zone::Load(std::string(zone)) : nullptr;
    if (loaded == nullptr) {
      c.Fail("unknown time zone " + std::string(zone));
      return false;
    }
    known = zones.emplace(std::string(zone), std::move(loaded)).first;
  }
  m.zone = known->second.get();
  return true;
}

Value Now(Call& c) {
  if (c.services.now_ns == 0) c.services.now_ns = c.services.clock.Wall().time_since_epoch().count();
  return Value::Int(c.services.now_ns);
}
Value ParseWith(Call& c, std::string_view layout, std::string_view text) {
  ParsedTime t;
  std::string error;
  return GoParseTime(layout, text, t, error) ? ToNanos(c, t.unix_seconds, t.nanosecond) : c.Fail(error);
}
Value ParseNs(Call& c) {
  std::string_view layout, text;
  return TakeString(c, 0, layout) && TakeString(c, 1, text) ? ParseWith(c, NamedLayout(layout), text) : Value();
}
Value ParseRfc3339Ns(Call& c) {
  std::string_view text;
  return TakeString(c, 0, text) ? ParseWith(c, NamedLayout("RFC3339"), text) : Value();
}
Value ParseDurationNs(Call& c) {
  std::string_view text;
  if (!TakeString(c, 0, text)) return Value();
  int64_t ns = 0;
  std::string error;
  return GoParseDuration(text, ns, error) ? Value::Int(ns) : c.Fail(error);
}
Value Format(Call& c) {
  Moment m;
  if (!TakeMoment(c, 0, m)) return Value();
  std::string_view layout = NamedLayout(m.layout.empty() ? "RFC3339Nano" : m.layout);
  return c.Text(GoFormatTime(layout, m.seconds, m.ns, m.zone->At(m.seconds)));
}
Value Three(Call& c, int64_t a, int64_t b, int64_t d) {
  Value items[] = {Value::Int(a), Value::Int(b), Value::Int(d)};
  return MakeArray(c.arena, items);
}
Value Date(Call& c) {
  Moment m;
  if (!TakeMoment(c, 0, m)) return Value();
  Civil t = m.Local();
  return Three(c, t.year, t.month, t.day);
}
Value ClockOf(Call& c) {
  Moment m;
  if (!TakeMoment(c, 0, m)) return Value();
  Civil t = m.Local();
  return Three(c, t.hour, t.minute, t.second);
}
Value WeekdayOf(Call& c) {
  static constexpr std::string_view kNames[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                "Thursday", "Friday", "Saturday"};
  Moment m;
  if (!TakeMoment(c, 0, m)) return Value();
  Civil t = m.Local();
  return c.Text(kNames[Weekday(DaysFromCivil(t.year, t.month, t.day))]);
}

// The moment at which clocks of `zone` show this local time (the earlier of two).
int64_t FromLocal(const Zone& zone, int64_t local) {
  int64_t guess = local - zone.At(local).seconds;
  int64_t again = local - zone.At(guess).seconds;
  return zone.At(again).seconds == local - again ? again : guess;
}

Value AddDate(Call& c) {
  Moment m;
  int64_t years = 0, months = 0, days = 0;
  if (!TakeMoment(c, 0, m) || !TakeInt(c, 1, years) || !TakeInt(c, 2, months) || !TakeInt(c, 3, days)) return Value();
  constexpr int64_t kFar = 10000000;
  for (int64_t x : {years, months, days}) {
    if (x > kFar || x < -kFar) return c.Fail("time outside of valid range");
  }
  Civil t = m.Local();
  int64_t local = UnixFromCivil(t.year + years, t.month + months, t.day + days, t.hour, t.minute, t.second);
  return ToNanos(c, FromLocal(*m.zone, local), m.ns);
}

Value Diff(Call& c) {
  Moment a, b;
  if (!TakeMoment(c, 0, a) || !TakeMoment(c, 1, b)) return Value();
  b.zone = a.zone;
  if (a.seconds > b.seconds || (a.seconds == b.seconds && a.ns > b.ns)) std::swap(a, b);
  Civil x = a.Local(), y = b.Local();
  int64_t year = y.year - x.year;
  int month = y.month - x.month, day = y.day - x.day, hour = y.hour - x.hour, minute = y.minute - x.minute,
      second = y.second - x.second;
  if (second < 0) second += 60, --minute;
  if (minute < 0) minute += 60, --hour;
  if (hour < 0) hour += 24, --day;
  if (day < 0) day += DaysInMonth(x.year, x.month), --month;
  if (month < 0) month += 12, --year;
  Value items[] = {Value::Int(year), Value::Int(month),  Value::Int(day),
                   Value::Int(hour), Value::Int(minute), Value::Int(second)};
  return MakeArray(c.arena, items);
}

}  // namespace

std::span<const Builtin> TimeBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "time.now_ns", .arity = 0, .fn = Now, .nondeterministic = true},
      {.name = "time.parse_ns", .arity = 2, .fn = ParseNs},
      {.name = "time.parse_rfc3339_ns", .arity = 1, .fn = ParseRfc3339Ns},
      {.name = "time.parse_duration_ns", .arity = 1, .fn = ParseDurationNs},
      {.name = "time.format", .arity = 1, .fn = Format},
      {.name = "time.date", .arity = 1, .fn = Date},
      {.name = "time.clock", .arity = 1, .fn = ClockOf},
      {.name = "time.weekday", .arity = 1, .fn = WeekdayOf},
      {.name = "time.add_date", .arity = 4, .fn = AddDate},
      {.name = "time.diff", .arity = 2, .fn = Diff},
  };
  return kTable;
}

}  // namespace hexr::rego
