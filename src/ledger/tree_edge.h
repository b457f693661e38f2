// The right edge of a growing tree: all that is needed to add leaves and to know the root. A few KiB, whatever the
// size. Value; belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ledger/merkle.h"
#include "ledger/tiles.h"

namespace hexr::ledger {

class TreeEdge {
 public:
  uint64_t size() const { return size_; }
  // The hashes of `level` that do not fill a tile yet.
  std::span<const Hash> row(unsigned level) const { return rows_[level]; }
  Hash Root() const;

  // Adds a leaf. `full(level, index, hashes)` is called for each tile that becomes full by it.
  template <class Full>
  void Push(const Hash& leaf, Full&& full) {
    ++size_;
    Hash hash = leaf;
    for (unsigned level = 0; level <= kMaxTileLevel; ++level) {
      std::vector<Hash>& row = rows_[level];
      row.push_back(hash);
      if (row.size() < kTileWidth) return;
      full(level, (size_ >> (kTileHeight * (level + 1))) - 1, std::span<const Hash>(row));
      hash = RootOf(row);
      row.clear();
    }
  }
  // Continues a tree: the rows of its rightmost, partial tiles.
  static TreeEdge Restore(uint64_t size, std::array<std::vector<Hash>, kMaxTileLevel + 1> rows);

 private:
  uint64_t size_ = 0;
  std::array<std::vector<Hash>, kMaxTileLevel + 1> rows_;
};

}  // namespace hexr::ledger
