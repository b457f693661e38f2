// What a code point is to a scanner, and the ASCII that it stands for. Unicode 15.0. Stateless, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hexr::guard {

// The order is that of tools/gen_unicode.py. From kControl on nothing is drawn, or nobody agrees on what.
enum class CodeClass : uint8_t {
  kVisible,
  kLatin,
  kLetter,
  kJoining,
  kRtl,
  kRtlJoining,
  kSpaceless,
  kIdeograph,
  kMark,
  kEmoji,
  kEmojiModifier,
  kRegional,
  kBraille,
  kHangulJamo,
  kMongolian,
  kControl,
  kTag,
  kVariationSelector,
  kZeroWidth,
  kJoiner,
  kBidiMark,
  kBidiEmbed,
  kBidiOverride,
  kSoftHyphen,
  kFiller,
  kInvisibleOperator,
  kAnnotation,
  kPrivateUse,
  kUnassigned
};

CodeClass ClassOf(uint32_t cp);

// Is not drawn, and has no place in the text that a reader sees.
inline bool IsInvisible(CodeClass c) { return c >= CodeClass::kTag && c <= CodeClass::kAnnotation; }

enum class FoldKind : uint8_t { kCompatibility, kAccent, kLookalike };
struct Fold {
  FoldKind kind;
  std::string_view ascii;  // 1 to 4 characters
};
// Null when the code point stands for no ASCII.
const Fold* FoldOf(uint32_t cp);

inline constexpr uint32_t kInvalidCodePoint = 0xFFFFFFFF;
struct Decoded {
  uint32_t cp;    // kInvalidCodePoint for a byte that begins no well-formed sequence
  uint32_t size;  // bytes taken, 1 to 4; 0 when the text ends inside a sequence that may still become well formed
};
// The code point at the start of `text` (not empty), as RFC 3629 has it.
Decoded DecodeUtf8(std::string_view text);

}  // namespace hexr::guard
