#include "cli/policy/allocations.h"

#include <cstdlib>
#include <new>

// The counting operators stand on malloc and free.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace {
thread_local uint64_t t_allocations = 0;

void* Allocate(size_t n) {
  ++t_allocations;
  return std::malloc(n > 0 ? n : 1);
}
}  // namespace

void* operator new(size_t n) {
  if (void* p = Allocate(n)) return p;
  std::abort();  // as without memory the process cannot go on
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace hexr::cli {

uint64_t Allocations() { return t_allocations; }

}  // namespace hexr::cli
