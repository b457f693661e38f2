// Structured logs: one event name, typed fields, JSON lines or text on stderr. Thread-safe.
// Only values that cannot hold a secret by type get in: there is no overload for Secret, and none takes a body.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "base/spiffe_id.h"

namespace hexr {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };

struct LogField {
  std::string_view key;
  std::variant<std::string, int64_t, uint64_t, double, bool> value;

  LogField(std::string_view k, std::string_view v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const SpiffeId& v) : key(k), value(v.ToString()) {}
  LogField(std::string_view k, const InstanceId& v) : key(k), value(v.value()) {}
  LogField(std::string_view k, const Error& v) : key(k), value(v.ToString()) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) LogField(std::string_view k, T v) : key(k) {
    if constexpr (std::is_signed_v<T>)
      value = static_cast<int64_t>(v);
    else
      value = static_cast<uint64_t>(v);
  }
};

enum class LogFormat : uint8_t { kJson, kText };

// Once, before the first line. `process` names the writer: supervisor, spawner, keeper, gateway/default…
void InitLog(std::string_view process, LogFormat format, LogLevel level);

// `event` is a constant such as "instance.started": what varies goes into fields.
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// The JSON string literal of `text`, invalid UTF-8 replaced: for writers below the JSON codec.
std::string JsonQuote(std::string_view text);

}  // namespace hexr
