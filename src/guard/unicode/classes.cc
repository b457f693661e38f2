#include "guard/unicode/classes.h"

#include <algorithm>
#include <array>

namespace hexr::guard {
namespace {

struct FoldEntry {
  uint32_t cp;
  uint8_t kind;
  const char* ascii;
};
#include "guard/unicode/tables.inc"

constexpr size_t kFoldCount = sizeof(kFolds) / sizeof(kFolds[0]);
constexpr std::array<Fold, kFoldCount> kFoldValues = [] {
  std::array<Fold, kFoldCount> out{};
  for (size_t i = 0; i < kFoldCount; ++i) out[i] = {static_cast<FoldKind>(kFolds[i].kind), kFolds[i].ascii};
  return out;
}();

}  // namespace

CodeClass ClassOf(uint32_t cp) {
  if (cp >= 0x110000) return CodeClass::kUnassigned;
  return static_cast<CodeClass>(kClassOf[kClassPage[cp >> 8]][cp & 0xFF]);
}

const Fold* FoldOf(uint32_t cp) {
  const auto* end = kFolds + kFoldCount;
  const auto* it = std::lower_bound(kFolds, end, cp, [](const FoldEntry& e, uint32_t c) { return e.cp < c; });
  return it != end && it->cp == cp ? &kFoldValues[static_cast<size_t>(it - kFolds)] : nullptr;
}

Decoded DecodeUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const uint32_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4) return {kInvalidCodePoint, 1};
  uint32_t cp = lead & (0x7FU >> size);
  for (uint32_t i = 1; i < size; ++i) {
    if (i >= text.size()) return {0, 0};
    const uint8_t c = byte(i);
    uint8_t low = 0x80;
    uint8_t high = 0xBF;
    if (i == 1 && lead == 0xE0) low = 0xA0;
    if (i == 1 && lead == 0xED) high = 0x9F;
    if (i == 1 && lead == 0xF0) low = 0x90;
    if (i == 1 && lead == 0xF4) high = 0x8F;
    if (c < low || c > high) return {kInvalidCodePoint, 1};
    cp = cp << 6 | (c & 0x3FU);
  }
  return {cp, size};
}

}  // namespace hexr::guard
