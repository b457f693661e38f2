#include "crypto/secret_arena.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"

namespace hexr::crypto {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kChunk = 4 * kPage;  // one size class each: small enough that eight classes stay below 128 KiB

constexpr size_t RoundToPages(size_t n) { return (n + kPage - 1) / kPage * kPage; }

// Lays a memfd_secret(2) mapping over [at, at + size). False when the kernel has none, or RLIMIT_MEMLOCK is used up.
bool MapSecretFile(uint8_t* at, size_t size) {
  const int fd = static_cast<int>(syscall(SYS_memfd_secret, O_CLOEXEC));
  if (fd < 0) return false;
  bool ok = ftruncate(fd, static_cast<off_t>(size)) == 0 &&
            mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at;
  // The mapping is shared, so the kernel could not wipe it in a child; a child gets none of it instead.
  ok = ok && madvise(at, size, MADV_DONTFORK) == 0;
  close(fd);
  return ok;
}

// Lays anonymous memory over [at, at + size) and asks for the lock; returns whether it was granted.
bool MapAnonymous(uint8_t* at, size_t size, bool lock) {
  HEXR_CHECK(mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
  HEXR_CHECK(madvise(at, size, MADV_DONTDUMP) == 0 && madvise(at, size, MADV_WIPEONFORK) == 0);
  return lock && mlock2(at, size, 0) == 0;
}

}  // namespace

std::string_view SecretBackendName(SecretBackend backend) {
  switch (backend) {
    case SecretBackend::kMemfdSecret: return "memfd_secret";
    case SecretBackend::kLocked: return "mlock";
    case SecretBackend::kUnlocked: return "unlocked";
  }
  return "unlocked";
}

SecretArena& SecretArena::Process() {
  static SecretArena& arena = *new SecretArena();  // never destroyed: secrets may outlive main()
  return arena;
}

SecretArena::~SecretArena() {
  MutexLock lock(mutex_);
  HEXR_CHECK(live_ == 0);
  for (const Mapping& m : mappings_) munmap(m.base, m.usable + 2 * kPage);
}

uint8_t* SecretArena::Map(size_t usable) {
  void* const reserved =
      mmap(nullptr, usable + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  HEXR_CHECK(reserved != MAP_FAILED);
  uint8_t* const base = static_cast<uint8_t*>(reserved);
  uint8_t* const inner = base + kPage;
  SecretBackend got = SecretBackend::kUnlocked;
  if (strongest_ == SecretBackend::kMemfdSecret && MapSecretFile(inner, usable)) {
    got = SecretBackend::kMemfdSecret;
  } else if (MapAnonymous(inner, usable, strongest_ != SecretBackend::kUnlocked)) {
    got = SecretBackend::kLocked;
  }
  mappings_.push_back({base, usable, got});
  return inner;
}

void SecretArena::Unmap(const Mapping& mapping) { munmap(mapping.base, mapping.usable + 2 * kPage); }

std::span<uint8_t> SecretArena::Allocate(size_t size) {
  HEXR_CHECK(size > 0);
  MutexLock lock(mutex_);
  ++live_;
  if (size > kClasses.back()) return {Map(RoundToPages(size)), size};
  const size_t index = static_cast<size_t>(std::ranges::lower_bound(kClasses, size) - kClasses.begin());
  std::vector<uint8_t*>& slots = free_[index];
  if (slots.empty()) {
    uint8_t* const chunk = Map(kChunk);
    for (size_t at = kChunk; at >= kClasses[index]; at -= kClasses[index]) {
      slots.push_back(chunk + at - kClasses[index]);
    }
  }
  uint8_t* const slot = slots.back();
  slots.pop_back();
  return {slot, size};
}

void SecretArena::Free(std::span<uint8_t> memory) noexcept {
  OPENSSL_cleanse(memory.data(), memory.size());
  MutexLock lock(mutex_);
  HEXR_CHECK(live_ > 0);
  --live_;
  if (memory.size() <= kClasses.back()) {
    const size_t index = static_cast<size_t>(std::ranges::lower_bound(kClasses, memory.size()) - kClasses.begin());
    free_[index].push_back(memory.data());
    return;
  }
  const auto it = std::ranges::find(mappings_, memory.data() - kPage, &Mapping::base);
  HEXR_CHECK(it != mappings_.end());
  Unmap(*it);
  mappings_.erase(it);
}

SecretArenaStatus SecretArena::status() const {
  MutexLock lock(mutex_);
  SecretArenaStatus s{SecretBackend::kUnlocked};
  for (const Mapping& m : mappings_) {
    s.best = std::min(s.best, m.backend);
    (m.backend == SecretBackend::kUnlocked ? s.unlocked_bytes : s.protected_bytes) += m.usable;
  }
  return s;
}

}  // namespace hexr::crypto
