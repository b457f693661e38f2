#include "crypto/secret.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <ostream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/log.h"
namespace hexr::crypto {
namespace {

constexpr RevealToken kSecretTest = RevealToken::For("test");

// INV-CRYPTO-01: nothing may print, copy or log a Secret. Each line fails to compile once somebody makes it possible.
template <class T>
concept Streamable = requires(std::ostream& o, const T& t) {
  o << t;
};
static_assert(!Streamable<Secret>);
static_assert(!fmt::is_formattable<Secret>::value);
static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(std::is_nothrow_move_constructible_v<Secret>);
static_assert(!std::is_convertible_v<Secret, ByteView> && !std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_default_constructible_v<RevealToken>);
static_assert(!std::is_constructible_v<LogField, std::string_view, Secret>);  // INV-BASE-03

class SecretBackends : public ::testing::TestWithParam<SecretBackend> {};
INSTANTIATE_TEST_SUITE_P(All, SecretBackends,
                         ::testing::Values(SecretBackend::kMemfdSecret, SecretBackend::kLocked,
                                           SecretBackend::kUnlocked),
                         [](const auto& param) { return std::string(SecretBackendName(param.param)); });

TEST_P(SecretBackends, HoldsComparesAndMoves) {
  SecretArena arena(GetParam());
  for (const size_t n : {1U, 31U, 32U, 33U, 4096U, 4097U, 70000U}) {
    const Bytes bytes(n, 0x5a);
    Secret s = Secret::Copy(bytes, arena);
    EXPECT_TRUE(s.Equals(bytes));
    Secret moved = std::move(s);
    EXPECT_TRUE(s.empty());  // NOLINT: a moved-from Secret holds nothing, by contract
    EXPECT_EQ(moved, moved.Clone());
    Bytes other = bytes;
    other.back() ^= 1;
    EXPECT_FALSE(moved.Equals(other));
    moved = Secret::Copy(other, arena);
    EXPECT_TRUE(moved.Equals(other));
  }
}

TEST_P(SecretBackends, MemoryIsWipedWhenGivenBack) {
  SecretArena arena(GetParam());
  const uint8_t* at = nullptr;
  {
    const Secret s = Secret::Copy(Bytes(48, 0xaa), arena);
    at = s.Reveal(kSecretTest).data();
  }
  const ByteView freed(at, 48);  // still mapped: small secrets share chunks
  EXPECT_EQ(Bytes(freed.begin(), freed.end()), Bytes(48, 0));
}

TEST_P(SecretBackends, BackendIsReported) {
  SecretArena arena(GetParam());
  const Secret s = Secret::Copy(Bytes(10, 1), arena);
  const SecretArenaStatus status = arena.status();
  EXPECT_GE(status.best, GetParam());
  EXPECT_EQ(status.degraded(), status.best == SecretBackend::kUnlocked);
}

// The kernel's own word on a mapping: the VmFlags of smaps (proc_pid_smaps(5)).
std::set<std::string> FlagsOf(const uint8_t* at) {
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t from = 0, to = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
      here = from <= reinterpret_cast<uintptr_t>(at) && reinterpret_cast<uintptr_t>(at) < to;
    } else if (here && line.starts_with("VmFlags:")) {
      std::istringstream words(line.substr(8));
      return {std::istream_iterator<std::string>(words), {}};
    }
  }
  return {};
}

TEST_P(SecretBackends, TheKernelKeepsItOutOfDumpsSwapAndChildren) {
  SecretArena arena(GetParam());
  for (const size_t size : {32U, 70000U}) {
    const Secret s = Secret::Copy(Bytes(size, 1), arena);
    const SecretBackend got = arena.status().unlocked_bytes > 0 ? SecretBackend::kUnlocked : arena.status().best;
    const auto flags = FlagsOf(s.Reveal(kSecretTest).data());
    EXPECT_TRUE(flags.contains("dd")) << "MADV_DONTDUMP";
    EXPECT_EQ(flags.contains("lo"), got != SecretBackend::kUnlocked) << "locked";
    EXPECT_TRUE(flags.contains(got == SecretBackend::kMemfdSecret ? "dc" : "wf")) << "not in children";
    // Nothing runs into it from either side.
    const uint8_t* const begin = s.Reveal(kSecretTest).data();
    if (size > 4096) {
      EXPECT_FALSE(FlagsOf(begin - 1).contains("rd"));
      EXPECT_FALSE(FlagsOf(begin + (size + 4095) / 4096 * 4096).contains("rd"));
    }
  }
}

TEST(SecretArena, ThousandKeysShareTensOfPages) {
  SecretArena arena(SecretBackend::kLocked);
  std::vector<Secret> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back(Secret::Copy(Bytes(32, 7), arena));
  const SecretArenaStatus s = arena.status();
  EXPECT_LE(s.protected_bytes + s.unlocked_bytes, 64U * 1024);
}

TEST(SecretArena, SlotsNeverOverlap) {
  SecretArena arena(SecretBackend::kUnlocked);
  std::vector<Secret> all;
  SeededRandom random(3);
  for (size_t i = 0; i < 500; ++i) {
    const size_t n = 1 + random.Below(300);
    all.push_back(Secret::Copy(Bytes(n, static_cast<uint8_t>(i)), arena));
    if (random.Below(3) == 0) all.erase(all.begin() + static_cast<long>(random.Below(all.size())));
  }
  for (const Secret& s : all) {
    const ByteView b = s.Reveal(kSecretTest);
    EXPECT_EQ(std::set<uint8_t>(b.begin(), b.end()).size(), 1U);
  }
}

TEST(SecretArena, UsedUpLockLimitDegradesVisibly) {
  // In a child, since the limit cannot be raised again. Root ignores RLIMIT_MEMLOCK by CAP_IPC_LOCK, so it is dropped
  // by uid.
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) _exit(2);
    if (geteuid() == 0 && setuid(65534) != 0) _exit(3);
    SecretArena arena;
    const Secret s = Secret::Copy(Bytes(32, 9), arena);
    _exit(arena.status().degraded() && s.Equals(Bytes(32, 9)) ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(SecretArena, ForkedChildInheritsNothing) {
  SecretArena arena(SecretBackend::kLocked);
  const Secret s = Secret::Copy(Bytes(32, 0x77), arena);
  const pid_t child = fork();
  if (child == 0) _exit(s.Equals(Bytes(32, 0)) ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the child can read its parent's secret";
}

TEST(SecretArena, GuardPageStopsOverrun) {
  SecretArena arena(SecretBackend::kUnlocked);
  const Secret s = Secret::Copy(Bytes(8192, 1), arena);
  const volatile uint8_t* const data = s.Reveal(kSecretTest).data();
  EXPECT_DEATH((void)data[8192], "");
  EXPECT_DEATH((void)data[-1], "");
}

// The attack that memfd_secret is for: another reader of /proc/PID/mem, even root. With the kLocked backend this read
// works.
TEST(SecretArena, ProcMemCannotReadSecretFile) {
  SecretArena arena(SecretBackend::kMemfdSecret);
  const Secret s = Secret::Copy(Bytes(64, 0x33), arena);
  if (arena.status().best != SecretBackend::kMemfdSecret) {
    EXPECT_LT(SecretBackend::kMemfdSecret, arena.status().best);  // kernel without it: reported as weaker
    return;
  }
  const int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  Bytes stolen(64);
  EXPECT_LT(pread(fd, stolen.data(), stolen.size(), reinterpret_cast<off_t>(s.Reveal(kSecretTest).data())), 0);
  close(fd);
}

TEST(Secret, TakeWipesTheString) {
  std::string text = "a long enough text not to be in the small buffer of a string";
  const char* const at = text.data();
  const size_t n = text.size();
  const Secret s = Secret::Take(text);
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(std::string(at, n), std::string(n, '\0'));
  EXPECT_EQ(s.size(), n);
  EXPECT_TRUE(s.RevealText(kSecretTest).starts_with("a long enough"));
}

TEST(Secret, RandomOnesDiffer) {
  SystemRandom random;
  EXPECT_FALSE(Secret::Random(32, random) == Secret::Random(32, random));
  EXPECT_TRUE(Secret() == Secret());
  EXPECT_TRUE(Secret().Clone().empty());
}

}  // namespace
}  // namespace hexr::crypto
