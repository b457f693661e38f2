// Reads big-endian fields off a byte view. A read beyond the end gives zeros and makes ok() false for good, so that a
// parser checks once per structure. Not thread-safe.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace hexr::wire {

class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : rest_(bytes) {}

  uint8_t U8() {
    const ByteView b = Bytes(1);
    return b.empty() ? uint8_t{0} : b[0];
  }
  uint16_t U16() {
    const ByteView b = Bytes(2);
    return b.empty() ? uint16_t{0} : static_cast<uint16_t>(b[0] << 8 | b[1]);
  }
  // Exactly `n` bytes, or none.
  ByteView Bytes(size_t n) {
    if (n > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const ByteView out = rest_.first(n);
    rest_ = rest_.subspan(n);
    return out;
  }
  // A reader of what a two-byte length announces. Not ok from the start when this one is not.
  ByteReader Block16() {
    const uint16_t n = U16();
    ByteReader out(Bytes(n));
    out.ok_ = ok_;
    return out;
  }

  size_t left() const { return rest_.size(); }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  ByteView rest_;
  bool ok_ = true;
};

}  // namespace hexr::wire
