// Memory for secrets: never swapped, dumped or inherited, guarded on both sides, wiped when given back.
//
// Small secrets share chunks of locked pages by size class, so that a thousand keys take tens of pages and not a
// thousand (RLIMIT_MEMLOCK is 8 MiB or less on many machines). When the kernel locks no more, memory is still given
// out, and status() says so: `hexr doctor` and metrics show it. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace hexr::crypto {

enum class SecretBackend : uint8_t {
  kMemfdSecret,  // memfd_secret(2): also gone from the kernel's own map; no ptrace, no /proc/PID/mem
  kLocked,       // anonymous pages, mlock2(2), MADV_DONTDUMP, MADV_WIPEONFORK
  kUnlocked,     // as kLocked without the lock: can reach swap. What is left when RLIMIT_MEMLOCK is used up
};
std::string_view SecretBackendName(SecretBackend backend);

struct SecretArenaStatus {
  SecretBackend best;          // strongest backend in use
  size_t protected_bytes = 0;  // mapped with lock (kMemfdSecret or kLocked)
  size_t unlocked_bytes = 0;   // mapped without: above zero means degraded
  bool degraded() const { return unlocked_bytes > 0; }
};

class SecretArena {
 public:
  // Uses `strongest`, or the next weaker one that the kernel grants.
  explicit SecretArena(SecretBackend strongest = SecretBackend::kMemfdSecret) : strongest_(strongest) {}
  ~SecretArena();  // every secret of it must be gone
  SecretArena(const SecretArena&) = delete;
  SecretArena& operator=(const SecretArena&) = delete;

  // The heap that secrets come from unless told otherwise. Process-wide as malloc is, and never torn down
  // (docs/adr/0010-secret-memory.md).
  static SecretArena& Process();

  // `size` zero bytes, size > 0. Running out of address space ends the process, as it does for new.
  std::span<uint8_t> Allocate(size_t size);
  // Wipes and takes back what Allocate returned.
  void Free(std::span<uint8_t> memory) noexcept;

  SecretArenaStatus status() const;

 private:
  static constexpr std::array<size_t, 8> kClasses = {32, 64, 128, 256, 512, 1024, 2048, 4096};

  struct Mapping {
    uint8_t* base;  // first guard page
    size_t usable;  // bytes between the guard pages
    SecretBackend backend;
  };

  uint8_t* Map(size_t usable) HEXR_REQUIRES(mutex_);
  void Unmap(const Mapping& mapping) HEXR_REQUIRES(mutex_);

  const SecretBackend strongest_;
  mutable Mutex mutex_;
  std::vector<Mapping> mappings_ HEXR_GUARDED_BY(mutex_);
  std::array<std::vector<uint8_t*>, kClasses.size()> free_ HEXR_GUARDED_BY(mutex_);
  size_t live_ HEXR_GUARDED_BY(mutex_) = 0;
};

}  // namespace hexr::crypto
