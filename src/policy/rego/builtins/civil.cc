#include "policy/rego/builtins/civil.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace hexr::rego {

// Days since 1970-01-01 (Howard Hinnant's formula for the proleptic Gregorian calendar).
int64_t DaysFromCivil(int64_t year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t yoe = year - era * 400;
  int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

Civil CivilFromUnix(int64_t seconds) {
  int64_t days = seconds / 86400;
  int64_t rest = seconds % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  int64_t z = days + 719468;
  int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  int64_t doe = z - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  int64_t mp = (5 * doy + 2) / 153;
  Civil c;
  c.day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  c.month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  c.year = yoe + era * 400 + (c.month <= 2);
  c.hour = static_cast<int>(rest / 3600);
  c.minute = static_cast<int>(rest % 3600 / 60);
  c.second = static_cast<int>(rest % 60);
  return c;
}

int64_t UnixFromCivil(int64_t year, int64_t month, int64_t day, int64_t hour, int64_t minute, int64_t second) {
  int64_t m = month - 1;
  int64_t carry = m >= 0 ? m / 12 : (m - 11) / 12;
  year += carry;
  m -= carry * 12;
  int64_t days = DaysFromCivil(year, static_cast<int>(m) + 1, 1) + day - 1;
  return days * 86400 + hour * 3600 + minute * 60 + second;
}

int Weekday(int64_t unix_days) {
  int64_t w = (unix_days + 4) % 7;
  return static_cast<int>(w < 0 ? w + 7 : w);
}

int DaysInMonth(int64_t year, int month) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return kDays[month - 1] + (month == 2 && leap);
}

std::shared_ptr<const Zone> Zone::Load(const std::string& name) {
  auto zone = std::make_shared<Zone>();
  if (name.empty() || name == "UTC") {
    zone->offsets_.push_back({});
    return zone;
  }
  bool plain = name[0] != '/' && name.find("..") == std::string::npos && name.size() < 64;
  for (char c : name)
    plain = plain && (std::isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '_' || c == '-' || c == '+');
  if (!plain) return nullptr;
  // "Europe" is a folder, and reading one throws.
  const std::string path = "/usr/share/zoneinfo/" + name;
  std::error_code ec;
  if (!std::filesystem::is_regular_file(path, ec)) return nullptr;
  std::ifstream in(path, std::ios::binary);
  if (!in) return nullptr;
  std::string data((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  return zone->Parse(data) ? zone : nullptr;
}

bool Zone::Parse(std::string_view d) {
  auto be32 = [&](size_t at) {
    uint32_t v = 0;
    for (size_t i = 0; i < 4; ++i) v = v << 8 | static_cast<uint8_t>(d[at + i]);
    return static_cast<int32_t>(v);
  };
  auto be64 = [&](size_t at) {
    uint64_t v = 0;
    for (size_t i = 0; i < 8; ++i) v = v << 8 | static_cast<uint8_t>(d[at + i]);
    return static_cast<int64_t>(v);
  };
  if (d.size() < 44 || d.substr(0, 4) != "TZif" || d[4] < '2') return false;
  auto block = [&](size_t at, size_t time_size) {
    auto n = [&](size_t k) { return static_cast<size_t>(be32(at + 20 + 4 * k)); };
    // isut, isstd, leap, time, type, char
    return 44 + n(3) * time_size + n(3) + n(4) * 6 + n(5) + n(2) * (time_size + 4) + n(1) + n(0);
  };
  size_t at = block(0, 4);
  if (at + 44 > d.size()) return false;
  size_t times = static_cast<size_t>(be32(at + 32)), types = static_cast<size_t>(be32(at + 36)),
         chars = static_cast<size_t>(be32(at + 40));
  size_t end = at + block(at, 8);
  if (end > d.size() || types == 0) return false;
  size_t p = at + 44;
  for (size_t i = 0; i < times; ++i) times_.push_back(be64(p + 8 * i));
  p += 8 * times;
  for (size_t i = 0; i < times; ++i) indexes_.push_back(static_cast<uint8_t>(d[p + i]));
  p += times;
  std::string_view names = d.substr(p + 6 * types, chars);
  for (size_t i = 0; i < types; ++i) {
    size_t name = static_cast<uint8_t>(d[p + 6 * i + 5]);
    std::string_view t = name < names.size() ? names.substr(name) : std::string_view();
    offsets_.push_back({be32(p + 6 * i), std::string(t.substr(0, t.find('\0')))});
  }
  for (uint8_t& i : indexes_) {
    if (i >= types) return false;
  }
  std::string_view footer = d.substr(end);
  if (footer.size() > 2) ParseFooter(footer.substr(1, footer.find('\n', 1) - 1));
  return true;
}

// A POSIX TZ string: EST5EDT,M3.2.0,M11.1.0
void Zone::ParseFooter(std::string_view t) {
  size_t i = 0;
  auto name = [&] {
    std::string out;
    if (i < t.size() && t[i] == '<') {
      for (++i; i < t.size() && t[i] != '>'; ++i) out += t[i];
      ++i;
    } else {
      while (i < t.size() && std::isalpha(static_cast<unsigned char>(t[i]))) out += t[i++];
    }
    return out;
  };
  auto number = [&] {
    int n = 0;
    while (i < t.size() && t[i] >= '0' && t[i] <= '9') n = n * 10 + (t[i++] - '0');
    return n;
  };
  auto time = [&] {
    int sign = 1;
    if (i < t.size() && (t[i] == '-' || t[i] == '+')) sign = t[i++] == '-' ? -1 : 1;
    int seconds = number() * 3600;
    if (i < t.size() && t[i] == ':') {
      ++i;
      seconds += number() * 60;
      if (i < t.size() && t[i] == ':') {
        ++i;
        seconds += number();
      }
    }
    return sign * seconds;
  };
  auto rule = [&](Rule& r) {
    if (i + 1 >= t.size() || t[i] != ',' || t[i + 1] != 'M') return false;
    i += 2;
    r.month = number();
    ++i;
    r.week = number();
    ++i;
    r.day = number();
    if (i < t.size() && t[i] == '/') {
      ++i;
      r.time = time();
    }
    return true;
  };
  Offset standard;
  standard.name = name();
  if (standard.name.empty()) return;
  standard.seconds = -time();
  standard_ = standard;
  if (i >= t.size()) return;
  Offset summer;
  summer.name = name();
  summer.seconds = standard.seconds + 3600;
  if (i < t.size() && t[i] != ',') summer.seconds = -time();
  if (rule(start_) && rule(end_)) summer_ = summer;
}

int64_t Zone::RuleTime(const Rule& r, int64_t year) {
  int64_t first = DaysFromCivil(year, r.month, 1);
  int shift = (r.day - Weekday(first) + 7) % 7 + (r.week - 1) * 7;
  if (shift >= DaysInMonth(year, r.month)) shift -= 7;
  return (first + shift) * 86400 + r.time;
}

Zone::Offset Zone::At(int64_t t) const {
  if (times_.empty() || t < times_.front())
    return times_.empty() && standard_ && !summer_ ? *standard_ : offsets_.front();
  if (t >= times_.back() && standard_) {
    if (!summer_) return *standard_;
    int64_t year = CivilFromUnix(t + standard_->seconds).year;
    int64_t start = RuleTime(start_, year) - standard_->seconds;
    int64_t end = RuleTime(end_, year) - summer_->seconds;
    bool in = start < end ? t >= start && t < end : t >= start || t < end;
    return in ? *summer_ : *standard_;
  }
  auto it = std::upper_bound(times_.begin(), times_.end(), t);
  return offsets_[indexes_[static_cast<size_t>(it - times_.begin() - 1)]];
}

}  // namespace hexr::rego
