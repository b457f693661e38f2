// Buffers that secrets pass through on their way between processes: overwritten before their memory is given back.
// What holds a secret for longer is a crypto::Secret. Stateless; thread-safe.
#pragma once

#include <string.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hexr {

template <class T>
struct WipingAllocator {
  using value_type = T;
  WipingAllocator() = default;
  template <class U>
  explicit WipingAllocator(const WipingAllocator<U>&) {}
  T* allocate(size_t n) { return std::allocator<T>().allocate(n); }
  void deallocate(T* p, size_t n) {
    explicit_bzero(p, n * sizeof(T));
    std::allocator<T>().deallocate(p, n);
  }
  bool operator==(const WipingAllocator&) const = default;
};

using WipedBytes = std::vector<uint8_t, WipingAllocator<uint8_t>>;

// For strings of others (protobuf's), which nobody wipes when they are freed: also the capacity behind the end.
inline void WipeText(std::string& s) {
  s.resize(s.capacity());
  explicit_bzero(s.data(), s.size());
  s.clear();
}

}  // namespace hexr
