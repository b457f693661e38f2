#include "ledger/merkle.h"

#include <gtest/gtest.h>

#include "ledger/testing/naive_tree.h"

namespace hexr::ledger {
namespace {

using testing::NaiveConsistency;
using testing::NaiveInclusion;
using testing::NaiveRoot;
using testing::TestLeaves;
using testing::VectorHashes;

Hash FromHex(std::string_view hex) {
  const Bytes bytes = HexDecode(hex).value();
  Hash hash{};
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

// The reference leaves and roots that the Certificate Transparency implementations share.
TEST(Merkle, PublishedVectors) {
  const std::vector<std::string> leaves = {
      "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
  const std::vector<std::string> roots = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                          "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                          "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                          "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                          "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                          "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                          "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  EXPECT_EQ(EmptyRoot(), FromHex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  std::vector<Hash> hashes;
  for (size_t i = 0; i < leaves.size(); ++i) {
    hashes.push_back(LeafHash(HexDecode(leaves[i]).value()));
    EXPECT_EQ(RootOf(hashes), FromHex(roots[i])) << i + 1;
    EXPECT_EQ(RootAt(VectorHashes(hashes), i + 1).value(), FromHex(roots[i])) << i + 1;
  }
}

TEST(Merkle, LongEntriesHashLikeShortOnes) {
  for (const size_t size : {2046u, 2047u, 2048u, 2049u, 70000u}) {
    Bytes entry(size, 0x5A);
    Bytes prefixed(size + 1, 0x5A);
    prefixed[0] = 0;
    EXPECT_EQ(LeafHash(entry), crypto::Sha256(prefixed)) << size;
  }
}

TEST(Merkle, RootsMatchTheDefinitionForEverySize) {
  const std::vector<Hash> leaves = TestLeaves(300);
  const VectorHashes source(leaves);
  EXPECT_EQ(RootAt(source, 0).value(), EmptyRoot());
  for (size_t n = 1; n <= leaves.size(); ++n) {
    const std::span<const Hash> some(leaves.data(), n);
    const Hash root = NaiveRoot(some);
    EXPECT_EQ(RootAt(source, n).value(), root) << n;
    EXPECT_EQ(RootOf(some), root) << n;
  }
}

TEST(Merkle, InclusionProofsMatchTheDefinitionAndVerify) {
  const std::vector<Hash> leaves = TestLeaves(300);
  const VectorHashes source(leaves);
  for (size_t n = 1; n <= leaves.size(); n += (n < 70 ? 1 : 23)) {
    const std::span<const Hash> some(leaves.data(), n);
    const Hash root = NaiveRoot(some);
    for (size_t i = 0; i < n; ++i) {
      const Proof proof = InclusionProof(source, i, n).value();
      EXPECT_EQ(proof, NaiveInclusion(i, some));
      EXPECT_TRUE(VerifyInclusion(i, n, leaves[i], proof, root).ok());
    }
  }
  EXPECT_EQ(InclusionProof(source, 5, 5).error().code(), ErrorCode::kOutOfRange);
}

TEST(Merkle, ConsistencyProofsMatchTheDefinitionAndVerify) {
  const std::vector<Hash> leaves = TestLeaves(300);
  const VectorHashes source(leaves);
  std::vector<Hash> roots = {EmptyRoot()};
  for (size_t n = 1; n <= leaves.size(); ++n) roots.push_back(NaiveRoot({leaves.data(), n}));
  for (size_t n = 1; n <= leaves.size(); n += (n < 70 ? 1 : 23)) {
    for (size_t m = 0; m <= n; ++m) {
      const Proof proof = ConsistencyProof(source, m, n).value();
      if (m > 0) {
        EXPECT_EQ(proof, NaiveConsistency(m, {leaves.data(), n})) << m << " " << n;
      }
      EXPECT_TRUE(VerifyConsistency(m, n, roots[m], roots[n], proof).ok()) << m << " " << n;
    }
  }
  EXPECT_EQ(ConsistencyProof(source, 6, 5).error().code(), ErrorCode::kOutOfRange);
}

// INV-LEDGER-01: no proof but the right one is taken.
TEST(Merkle, AnythingElseIsRefused) {
  const std::vector<Hash> leaves = TestLeaves(40);
  const VectorHashes source(leaves);
  std::vector<Hash> roots = {EmptyRoot()};
  for (size_t n = 1; n <= leaves.size(); ++n) roots.push_back(NaiveRoot({leaves.data(), n}));
  for (size_t n = 1; n <= leaves.size(); ++n) {
    for (size_t i = 0; i < n; ++i) {
      const Proof good = InclusionProof(source, i, n).value();
      for (size_t bit = 0; bit < good.size(); ++bit) {
        Proof bad = good;
        bad[bit][bit % 32] ^= 1;
        EXPECT_FALSE(VerifyInclusion(i, n, leaves[i], bad, roots[n]).ok());
        bad = good;
        bad.erase(bad.begin() + static_cast<std::ptrdiff_t>(bit));
        EXPECT_FALSE(VerifyInclusion(i, n, leaves[i], bad, roots[n]).ok());
      }
      Proof longer = good;
      longer.push_back(roots[n]);
      EXPECT_FALSE(VerifyInclusion(i, n, leaves[i], longer, roots[n]).ok());
      EXPECT_FALSE(VerifyInclusion(i, n, leaves[(i + 1) % leaves.size()], good, roots[n]).ok());
      EXPECT_FALSE(VerifyInclusion(n, n, leaves[i], good, roots[n]).ok());
      if (n > 1) {
        EXPECT_FALSE(VerifyInclusion((i + 1) % n, n, leaves[i], good, roots[n]).ok());
      }
    }
    for (size_t m = 1; m < n; ++m) {
      const Proof good = ConsistencyProof(source, m, n).value();
      for (size_t bit = 0; bit < good.size(); ++bit) {
        Proof bad = good;
        bad[bit][bit % 32] ^= 1;
        EXPECT_FALSE(VerifyConsistency(m, n, roots[m], roots[n], bad).ok());
        bad = good;
        bad.erase(bad.begin() + static_cast<std::ptrdiff_t>(bit));
        EXPECT_FALSE(VerifyConsistency(m, n, roots[m], roots[n], bad).ok());
      }
      Proof longer = good;
      longer.push_back(roots[n]);
      EXPECT_FALSE(VerifyConsistency(m, n, roots[m], roots[n], longer).ok());
      EXPECT_FALSE(VerifyConsistency(m, n, roots[n], roots[n], good).ok());
      EXPECT_FALSE(VerifyConsistency(m, n, roots[m], roots[m], good).ok());
      EXPECT_FALSE(VerifyConsistency(n, m, roots[n], roots[m], good).ok());
    }
    EXPECT_FALSE(VerifyConsistency(n, n, roots[n], roots[n], Proof{roots[n]}).ok());
    EXPECT_FALSE(VerifyConsistency(0, n, roots[n], roots[n], {}).ok());
  }
}

}  // namespace
}  // namespace hexr::ledger
