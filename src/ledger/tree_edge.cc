#include "ledger/tree_edge.h"

#include <optional>

namespace hexr::ledger {

Hash TreeEdge::Root() const {
  if (size_ == 0) return EmptyRoot();
  // Each level's row is a row of perfect subtrees; inside a row, one for each bit of its length.
  std::optional<Hash> root;
  for (const std::vector<Hash>& row : rows_) {
    size_t end = row.size();
    for (size_t left = row.size(); left != 0; left &= left - 1) {
      const size_t n = left & (~left + 1);
      const Hash part = RootOf(std::span<const Hash>(row).subspan(end - n, n));
      root = root ? NodeHash(part, *root) : part;
      end -= n;
    }
  }
  return *root;
}

TreeEdge TreeEdge::Restore(uint64_t size, std::array<std::vector<Hash>, kMaxTileLevel + 1> rows) {
  TreeEdge edge;
  edge.size_ = size;
  edge.rows_ = std::move(rows);
  return edge;
}

}  // namespace hexr::ledger
