// HEXR_CHECK: an invariant of ours, always on. Never on anything that input or the machine can cause.
#pragma once

namespace hexr {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition) noexcept;
}  // namespace hexr

#define HEXR_CHECK(cond) \
  (__builtin_expect(static_cast<bool>(cond), 1) ? static_cast<void>(0) : ::hexr::CheckFailed(__FILE__, __LINE__, #cond))
