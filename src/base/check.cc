#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace hexr {

void CheckFailed(const char* file, int line, const char* condition) noexcept {
  std::fprintf(stderr, "hexr: broken invariant at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace hexr
