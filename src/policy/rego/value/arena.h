// Bump allocation for one decision (or one snapshot): nothing is freed singly, everything at once. Keeps its blocks
// across Reset(), so that a warm decision takes no heap memory. Owned by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace hexr::rego {

class Arena {
 public:
  explicit Arena(size_t block_bytes = 64 * 1024) : block_bytes_(block_bytes) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 16-byte aligned and uninitialised. Never fails: budgets look at used() instead.
  void* Allocate(size_t bytes) {
    bytes = (bytes + 15) & ~size_t{15};
    if (static_cast<size_t>(end_ - next_) < bytes) return Grow(bytes);
    char* p = next_;
    next_ += bytes;
    return p;
  }
  template <class T>
  T* New(size_t count = 1) {
    return static_cast<T*>(Allocate(sizeof(T) * count));
  }
  // A copy of `text` that lives as long as the arena's content.
  std::string_view Copy(std::string_view text);

  // Forgets the content and keeps the blocks.
  void Reset();
  // Bytes handed out since the last Reset, block tails included.
  size_t used() const { return full_ + static_cast<size_t>(next_ - begin_); }

 private:
  void* Grow(size_t bytes);

  struct Block {
    std::unique_ptr<char[]> memory;
    size_t size;
  };
  size_t block_bytes_;
  std::vector<Block> blocks_;
  size_t current_ = 0;
  size_t full_ = 0;
  char* begin_ = nullptr;
  char* next_ = nullptr;
  char* end_ = nullptr;
};

}  // namespace hexr::rego
