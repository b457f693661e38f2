// The Merkle tree as RFC 9162 defines it, by plain recursion: slow, and what the fast one is held against.
#pragma once

#include <bit>
#include <string>
#include <vector>

#include "ledger/merkle.h"

namespace hexr::ledger::testing {

inline Hash NaiveRoot(std::span<const Hash> d) {
  if (d.empty()) return EmptyRoot();
  if (d.size() == 1) return d[0];
  const size_t k = std::bit_floor(d.size() - 1);
  return NodeHash(NaiveRoot(d.first(k)), NaiveRoot(d.subspan(k)));
}

// PATH(m, D[n]) of RFC 9162 2.1.3.1.
inline Proof NaiveInclusion(size_t m, std::span<const Hash> d) {
  if (d.size() <= 1) return {};
  const size_t k = std::bit_floor(d.size() - 1);
  Proof path = m < k ? NaiveInclusion(m, d.first(k)) : NaiveInclusion(m - k, d.subspan(k));
  path.push_back(m < k ? NaiveRoot(d.subspan(k)) : NaiveRoot(d.first(k)));
  return path;
}

// SUBPROOF(m, D[n], b) of RFC 9162 2.1.4.1.
inline Proof NaiveSubproof(size_t m, std::span<const Hash> d, bool known) {
  if (m == d.size()) return known ? Proof{} : Proof{NaiveRoot(d)};
  const size_t k = std::bit_floor(d.size() - 1);
  Proof proof = m <= k ? NaiveSubproof(m, d.first(k), known) : NaiveSubproof(m - k, d.subspan(k), false);
  proof.push_back(m <= k ? NaiveRoot(d.subspan(k)) : NaiveRoot(d.first(k)));
  return proof;
}
inline Proof NaiveConsistency(size_t m, std::span<const Hash> d) { return NaiveSubproof(m, d, true); }

inline std::vector<Hash> TestLeaves(size_t n) {
  std::vector<Hash> leaves;
  for (size_t i = 0; i < n; ++i) leaves.push_back(LeafHash(AsBytes("entry " + std::to_string(i))));
  return leaves;
}

class VectorHashes final : public HashSource {
 public:
  explicit VectorHashes(std::vector<Hash> leaves) : leaves_(std::move(leaves)) {}
  Result<Hash> Subtree(unsigned level, uint64_t index) const override {
    const uint64_t begin = index << level;
    const uint64_t n = uint64_t{1} << level;
    if (begin + n > leaves_.size()) return OutOfRange("beyond the tree");
    return NaiveRoot(std::span<const Hash>(leaves_).subspan(begin, n));
  }

 private:
  std::vector<Hash> leaves_;
};

}  // namespace hexr::ledger::testing
