#include "ledger/merkle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace hexr::ledger {

namespace {

// Entries up to this size are hashed from the stack, in one call: the digest's set-up costs more than the copy.
constexpr size_t kStackEntryBytes = 2048;

Error Mismatch() { return {ErrorCode::kDataLoss, "the proof does not lead to this root"}; }

// The root over leaves [begin, end), where begin is a multiple of the largest power of two below or at the length.
Result<Hash> RangeRoot(const HashSource& source, uint64_t begin, uint64_t end) {
  // A range of n leaves is a row of perfect subtrees, one for each bit of n, the largest first. Folding from the
  // right gives the same root as splitting at the largest power of two again and again.
  const uint64_t n = end - begin;
  uint64_t right_edge = end;
  Hash root{};
  bool first = true;
  for (uint64_t left = n; left != 0; left &= left - 1) {
    const auto level = static_cast<unsigned>(std::countr_zero(left));
    right_edge -= uint64_t{1} << level;
    ASSIGN_OR_RETURN(const Hash part, source.Subtree(level, right_edge >> level));
    root = first ? part : NodeHash(part, root);
    first = false;
  }
  return root;
}

// The largest power of two that is smaller than n; n > 1.
uint64_t Split(uint64_t n) { return std::bit_floor(n - 1); }

}  // namespace

Hash LeafHash(ByteView entry) {
  if (entry.size() < kStackEntryBytes) {
    std::array<uint8_t, kStackEntryBytes> buffer;
    buffer[0] = 0;
    if (!entry.empty()) std::memcpy(buffer.data() + 1, entry.data(), entry.size());
    return crypto::Sha256({buffer.data(), entry.size() + 1});
  }
  Bytes buffer(entry.size() + 1);
  std::copy(entry.begin(), entry.end(), buffer.begin() + 1);
  return crypto::Sha256(buffer);
}

Hash NodeHash(const Hash& left, const Hash& right) {
  std::array<uint8_t, 65> buffer;
  buffer[0] = 1;
  std::memcpy(buffer.data() + 1, left.data(), 32);
  std::memcpy(buffer.data() + 33, right.data(), 32);
  return crypto::Sha256(buffer);
}

Hash EmptyRoot() { return crypto::Sha256({}); }

Hash RootOf(std::span<const Hash> leaves) {
  HEXR_CHECK(!leaves.empty());
  std::vector<Hash> row(leaves.begin(), leaves.end());
  // Pairing each row from the left and carrying an odd last one up gives the RFC's tree.
  while (row.size() > 1) {
    const size_t pairs = row.size() / 2;
    for (size_t i = 0; i < pairs; ++i) row[i] = NodeHash(row[2 * i], row[2 * i + 1]);
    if (row.size() % 2 != 0) {
      row[pairs] = row.back();
      row.resize(pairs + 1);
    } else {
      row.resize(pairs);
    }
  }
  return row.front();
}

Result<Hash> RootAt(const HashSource& source, uint64_t size) {
  if (size == 0) return EmptyRoot();
  return RangeRoot(source, 0, size);
}

Result<Proof> InclusionProof(const HashSource& source, uint64_t index, uint64_t size) {
  if (index >= size) return OutOfRange("the log has no entry with this number");
  // Walk down from the root; what the walk passes by is the proof, in reverse.
  Proof proof;
  uint64_t begin = 0;
  uint64_t end = size;
  while (end - begin > 1) {
    const uint64_t middle = begin + Split(end - begin);
    if (index < middle) {
      ASSIGN_OR_RETURN(const Hash sibling, RangeRoot(source, middle, end));
      proof.push_back(sibling);
      end = middle;
    } else {
      ASSIGN_OR_RETURN(const Hash sibling, RangeRoot(source, begin, middle));
      proof.push_back(sibling);
      begin = middle;
    }
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

Result<Proof> ConsistencyProof(const HashSource& source, uint64_t old_size, uint64_t size) {
  if (old_size > size) return OutOfRange("the log is smaller than that");
  Proof proof;
  if (old_size == 0 || old_size == size) return proof;
  // RFC 9162 2.1.4.1 from the root down: `whole` says that the range's old part is a subtree whose root the
  // verifier has already (the old root itself).
  uint64_t begin = 0;
  uint64_t end = size;
  bool whole = true;
  while (old_size != end) {
    const uint64_t middle = begin + Split(end - begin);
    if (old_size <= middle) {
      ASSIGN_OR_RETURN(const Hash right, RangeRoot(source, middle, end));
      proof.push_back(right);
      end = middle;
    } else {
      ASSIGN_OR_RETURN(const Hash left, RangeRoot(source, begin, middle));
      proof.push_back(left);
      begin = middle;
      whole = false;
    }
  }
  if (!whole) {
    ASSIGN_OR_RETURN(const Hash last, RangeRoot(source, begin, end));
    proof.push_back(last);
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

Status VerifyInclusion(uint64_t index, uint64_t size, const Hash& leaf, std::span<const Hash> proof, const Hash& root) {
  if (index >= size) return OutOfRange("the log has no entry with this number");
  // RFC 9162 2.1.3.2.
  uint64_t fn = index;
  uint64_t sn = size - 1;
  Hash r = leaf;
  for (const Hash& p : proof) {
    if (sn == 0) return Mismatch();
    if ((fn & 1) != 0 || fn == sn) {
      r = NodeHash(p, r);
      while ((fn & 1) == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      r = NodeHash(r, p);
    }
    fn >>= 1;
    sn >>= 1;
  }
  if (sn != 0 || r != root) return Mismatch();
  return Ok();
}

Status VerifyConsistency(uint64_t old_size, uint64_t size, const Hash& old_root, const Hash& root,
                         std::span<const Hash> proof) {
  if (old_size > size) return Mismatch();
  if (old_size == size) {
    if (!proof.empty() || old_root != root) return Mismatch();
    return Ok();
  }
  if (old_size == 0) {
    if (!proof.empty() || old_root != EmptyRoot()) return Mismatch();
    return Ok();
  }
  if (proof.empty()) return Mismatch();
  // RFC 9162 2.1.4.2. When the old tree is perfect its root starts the walk without being sent.
  size_t next = 0;
  const Hash start = std::has_single_bit(old_size) ? old_root : proof[next++];
  uint64_t fn = old_size - 1;
  uint64_t sn = size - 1;
  while ((fn & 1) != 0) {
    fn >>= 1;
    sn >>= 1;
  }
  Hash fr = start;
  Hash sr = start;
  for (; next < proof.size(); ++next) {
    const Hash& c = proof[next];
    if (sn == 0) return Mismatch();
    if ((fn & 1) != 0 || fn == sn) {
      fr = NodeHash(c, fr);
      sr = NodeHash(c, sr);
      while ((fn & 1) == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      sr = NodeHash(sr, c);
    }
    fn >>= 1;
    sn >>= 1;
  }
  if (sn != 0 || fr != old_root || sr != root) return Mismatch();
  return Ok();
}

}  // namespace hexr::ledger
