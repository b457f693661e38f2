#include "policy/rego/value/arena.h"

#include <algorithm>
#include <cstring>

namespace hexr::rego {

void* Arena::Grow(size_t bytes) {
  full_ += static_cast<size_t>(next_ - begin_);
  size_t next_block = begin_ == nullptr ? 0 : current_ + 1;
  while (next_block < blocks_.size() && blocks_[next_block].size < bytes) ++next_block;
  if (next_block == blocks_.size()) {
    // Doubling keeps the number of blocks small when a decision builds large documents.
    size_t size = std::max(bytes, std::min(block_bytes_ << std::min<size_t>(blocks_.size(), 10), size_t{64} << 20));
    blocks_.push_back({std::make_unique_for_overwrite<char[]>(size), size});
  }
  current_ = next_block;
  begin_ = blocks_[current_].memory.get();
  end_ = begin_ + blocks_[current_].size;
  next_ = begin_ + bytes;
  return begin_;
}

std::string_view Arena::Copy(std::string_view text) {
  char* p = New<char>(text.size());
  if (!text.empty()) std::memcpy(p, text.data(), text.size());
  return {p, text.size()};
}

void Arena::Reset() {
  full_ = 0;
  current_ = 0;
  if (blocks_.empty()) return;
  begin_ = next_ = blocks_[0].memory.get();
  end_ = begin_ + blocks_[0].size;
}

}  // namespace hexr::rego
