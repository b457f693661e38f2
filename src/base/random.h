// Randomness as a dependency: production uses the kernel's, simulation a seed.
#pragma once

#include <cstdint>
#include <span>

namespace hexr {

// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(std::span<uint8_t> out) = 0;

  uint64_t Next64();
  // Uniform in [0, bound), bound > 0.
  uint64_t Below(uint64_t bound);
};

// getrandom(2). A failing kernel source ends the process: there is no safe way on.
class SystemRandom final : public Random {
 public:
  void Fill(std::span<uint8_t> out) override;
};

// splitmix64 from a seed: repeatable, for tests and simulation only. Not thread-safe, not secret.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  void Fill(std::span<uint8_t> out) override;

 private:
  uint64_t state_;
};

}  // namespace hexr
