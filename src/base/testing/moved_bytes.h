// The bytes that a test's program moves about in memory: what grows with the square of its input shows in their number,
// on a slow machine as on a fast one. One file of a test binary includes this: it takes the place of memcpy(3) and
// memmove(3) in all of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hexr {

#if defined(HEXR_SANITIZED)
inline constexpr bool kCountsMovedBytes = false;  // these functions are the sanitizer's
inline size_t MovedBytes() { return 0; }
#else
inline constexpr bool kCountsMovedBytes = true;
inline std::atomic<size_t> moved_bytes{0};
inline size_t MovedBytes() { return moved_bytes.load(); }
#endif

}  // namespace hexr

#if !defined(HEXR_SANITIZED)
// In assembly: a compiler makes a call of memcpy from a loop that copies.
extern "C" __attribute__((visibility("default"))) void* memcpy(void* to, const void* from, size_t n) noexcept {
  hexr::moved_bytes.fetch_add(n, std::memory_order_relaxed);
  void* at = to;
  asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
  return to;
}
extern "C" __attribute__((visibility("default"))) void* memmove(void* to, const void* from, size_t n) noexcept {
  if (n == 0 || reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from) >= n) return memcpy(to, from, n);
  hexr::moved_bytes.fetch_add(n, std::memory_order_relaxed);
  // It begins inside of what is moved: from the end.
  void* at = static_cast<char*>(to) + n - 1;
  const void* last = static_cast<const char*>(from) + n - 1;
  asm volatile("std\n\trep movsb\n\tcld" : "+D"(at), "+S"(last), "+c"(n) : : "memory");
  return to;
}
#endif
