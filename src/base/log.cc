#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <memory>

#include "base/bytes.h"
#include "base/clock.h"

namespace hexr {
namespace {

struct LogState {
  std::string process = "hexr";
  LogFormat format = LogFormat::kText;
  LogLevel level = LogLevel::kInfo;
  std::shared_ptr<spdlog::logger> sink;
};

// The one process-wide object of the product: a log line must be possible before and after everything else.
LogState& State() {
  static LogState* state = [] {
    auto* s = new LogState;  // never destroyed: late threads may still log
    s->sink = std::make_shared<spdlog::logger>("hexr", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    s->sink->set_pattern("%v");
    s->sink->set_level(spdlog::level::trace);
    s->sink->flush_on(spdlog::level::trace);
    return s;
  }();
  return *state;
}

constexpr std::string_view LevelName(LogLevel l) {
  switch (l) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "error";
}

std::string ValueText(const LogField& f) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>)
          return JsonQuote(v);
        else if constexpr (std::is_same_v<T, bool>)
          return v ? "true" : "false";
        else
          return fmt::format("{}", v);
      },
      f.value);
}

}  // namespace

std::string JsonQuote(std::string_view text) {
  std::string out = "\"";
  const bool utf8 = IsUtf8(text);
  for (const char c : text) {
    const auto u = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20 || u == 0x7F) {
      out += fmt::format("\\u{:04x}", u);
    } else if (u >= 0x80 && !utf8) {
      out += "\\ufffd";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void InitLog(std::string_view process, LogFormat format, LogLevel level) {
  LogState& s = State();
  s.process = process;
  s.format = format;
  s.level = level;
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  const LogState& s = State();
  if (level < s.level) return;
  const std::string time = FormatRfc3339(SystemClock().Wall());
  std::string line;
  if (s.format == LogFormat::kJson) {
    line = fmt::format(R"({{"time":"{}","level":"{}","process":{},"event":{})", time, LevelName(level),
                       JsonQuote(s.process), JsonQuote(event));
    for (const LogField& f : fields) line += fmt::format(",{}:{}", JsonQuote(f.key), ValueText(f));
    line += '}';
  } else {
    line = fmt::format("{} {:5} {} {}", time, LevelName(level), s.process, event);
    for (const LogField& f : fields) line += fmt::format(" {}={}", f.key, ValueText(f));
  }
  s.sink->log(spdlog::level::info, line);
}

}  // namespace hexr
