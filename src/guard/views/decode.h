// Readings of a bounded piece of text: base64 and hex undone, rot13, reversed, letters spaced out, digits for letters.
// Each gives text only when the piece really looks encoded: detection decides on what was found, not on the guess.
// Stateless, thread-safe; linear in the input, output never longer than it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hexr::guard {

// `token` holds no white space. Standard or URL alphabet, padding optional; the prefix of a cut run is enough. Nothing
// unless at least 8 bytes come out and nine in ten of them are printable.
std::optional<std::string> DecodeBase64Text(std::string_view token);

// The pieces of readable text within base64 of something else: an image's comments, a document's strings. Of a piece
// that reaches an end of the bytes, it is said so: it may go on in another token.
struct TextInside {
  std::string text;
  bool at_start = false;
  bool at_end = false;
};
std::vector<TextInside> TextInsideBase64(std::string_view token);

// Pairs of hexadecimal digits, also with "0x" or "\x" before or ':' '-' ' ' between them.
std::optional<std::string> DecodeHexText(std::string_view token);

std::string Rot13(std::string_view text);
// By code point, so that the result is UTF-8 again.
std::string ReverseText(std::string_view text);
// "i g n o r e  a l l" → "ignore all": single letters divided by one and the same separator, words by more of it.
std::string JoinSpacedLetters(std::string_view text);
// "1gn0r3 4ll" → "ignore all": digits and signs inside words that also have letters.
std::string UndoLeet(std::string_view text);

// Nine in ten bytes are printable ASCII, white space or part of well-formed UTF-8.
bool IsMostlyText(std::string_view bytes);

}  // namespace hexr::guard
