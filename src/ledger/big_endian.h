// Numbers in network order, for the ledger's own binary formats. Stateless; thread-safe.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/bytes.h"

namespace hexr::ledger {

// `bytes` has at least sizeof(T).
template <class T>
requires std::is_unsigned_v<T> T ReadBig(ByteView bytes) {
  T v = 0;
  for (size_t i = 0; i < sizeof(T); ++i) v = static_cast<T>(v << 8 | bytes[i]);
  return v;
}

template <class T>
requires std::is_unsigned_v<T>
void WriteBig(uint8_t* out, T v) {
  for (size_t i = sizeof(T); i-- > 0; v = static_cast<T>(sizeof(T) > 1 ? v >> 8 : 0)) out[i] = static_cast<uint8_t>(v);
}

template <class T>
requires std::is_unsigned_v<T>
void AppendBig(Bytes& out, T v) {
  out.resize(out.size() + sizeof(T));
  WriteBig(out.data() + out.size() - sizeof(T), v);
}

}  // namespace hexr::ledger
