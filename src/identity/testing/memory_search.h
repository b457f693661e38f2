// How often something stands in this process's memory, for tests that look for what a secret left behind.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "runtime/unique_fd.h"

namespace hexr::identity::testing {

constexpr uint8_t kMask = 0x5a;

// In writable memory. What is looked for is given masked (each byte ^ kMask), so that asking does not put it there.
inline size_t CountInMemory(ByteView masked) {
  std::vector<uint8_t> chunk(1 << 20);  // what was read is left out, and gone afterwards
  const auto here = reinterpret_cast<uintptr_t>(chunk.data());
  std::ifstream maps("/proc/self/maps");
  const runtime::UniqueFd memory(open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  size_t found = 0;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    char mode[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, mode) != 3 || mode[0] != 'r' || mode[1] != 'w') continue;
    if (end - begin > (uint64_t{1} << 30)) continue;  // a sanitizer's shadow
    for (uintptr_t at = begin; at < end;) {
      const size_t want = std::min<size_t>(chunk.size(), end - at);
      const ssize_t n = pread(memory.get(), chunk.data(), want, static_cast<off_t>(at));
      if (n <= 0) break;
      for (size_t i = 0; i + masked.size() <= static_cast<size_t>(n); ++i) {
        // By its first byte alone, which gives nothing away and is found fast, under a sanitizer too.
        const size_t starts = static_cast<size_t>(n) - masked.size() + 1;
        const void* const first = memchr(chunk.data() + i, masked[0] ^ kMask, starts - i);
        if (first == nullptr) break;
        i = static_cast<size_t>(static_cast<const uint8_t*>(first) - chunk.data());
        if (at + i >= here && at + i < here + chunk.size()) continue;
        size_t k = 0;
        while (k < masked.size() && (chunk[i + k] ^ kMask) == masked[k]) ++k;
        found += k == masked.size();
      }
      const bool last = static_cast<size_t>(n) < want || at + want == end;
      at += static_cast<size_t>(n) - (last ? 0 : masked.size());
    }
  }
  std::fill(chunk.begin(), chunk.end(), uint8_t{0});
  asm volatile("" ::"r"(chunk.data()) : "memory");  // or the filling is optimised away
  return found;
}

}  // namespace hexr::identity::testing
