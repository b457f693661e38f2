// The Merkle tree of the log: hashes, roots, and the two proofs that let a stranger check it.
// Source: RFC 6962 section 2.1, RFC 9162 sections 2.1.1 to 2.1.5. Stateless functions; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace hexr::ledger {

using Hash = crypto::Sha256Digest;
using Proof = std::vector<Hash>;
// Of a proof in any log of less than 2^63 entries.
inline constexpr size_t kMaxProofHashes = 63;

// SHA-256(0x00 || entry). The prefix keeps a leaf from being taken for a node.
Hash LeafHash(ByteView entry);
// SHA-256(0x01 || left || right).
Hash NodeHash(const Hash& left, const Hash& right);
// SHA-256 of nothing: the root of a log without entries.
Hash EmptyRoot();
// The root over `leaves`, which stand side by side: MTH of RFC 9162 2.1.1. At least one leaf.
Hash RootOf(std::span<const Hash> leaves);

// Where roots and proofs take their hashes from: the tiles of a log, or memory.
class HashSource {
 public:
  virtual ~HashSource() = default;
  // The root over the leaves [index << level, (index + 1) << level). Asked only for subtrees that are wholly
  // inside the tree the caller named.
  virtual Result<Hash> Subtree(unsigned level, uint64_t index) const = 0;
};

// The root of the tree over the first `size` leaves.
Result<Hash> RootAt(const HashSource& source, uint64_t size);
// From leaf `index` to the root at `size`, the leaf's sibling first. OUT_OF_RANGE unless index < size.
Result<Proof> InclusionProof(const HashSource& source, uint64_t index, uint64_t size);
// From the tree at `old_size` to the one at `size`; empty when old_size is 0 or equal to size.
// OUT_OF_RANGE unless old_size <= size.
Result<Proof> ConsistencyProof(const HashSource& source, uint64_t old_size, uint64_t size);

// DATA_LOSS when `leaf` is not leaf `index` of the tree with this size and root.
Status VerifyInclusion(uint64_t index, uint64_t size, const Hash& leaf, std::span<const Hash> proof, const Hash& root);
// DATA_LOSS when the older tree is not a prefix of the newer one.
Status VerifyConsistency(uint64_t old_size, uint64_t size, const Hash& old_root, const Hash& root,
                         std::span<const Hash> proof);

}  // namespace hexr::ledger
