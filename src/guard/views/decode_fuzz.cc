// No reading of a text is longer than the text, and what is read as text looks like text.
#include "base/bytes.h"
#include "base/check.h"
#include "guard/views/decode.h"

namespace hexr::guard {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = hexr::AsText({data, size});
  for (const auto& out : {DecodeBase64Text(text), DecodeHexText(text)}) {
    if (out.has_value()) HEXR_CHECK(out->size() <= text.size() && IsMostlyText(*out));
  }
  size_t inside = 0;
  for (const TextInside& t : TextInsideBase64(text)) inside += t.text.size();
  HEXR_CHECK(inside <= text.size());
  HEXR_CHECK(Rot13(Rot13(text)) == text);
  HEXR_CHECK(ReverseText(text).size() == text.size());
  HEXR_CHECK(JoinSpacedLetters(text).size() <= text.size() + 1);
  HEXR_CHECK(UndoLeet(text).size() == text.size());
  return 0;
}

}  // namespace hexr::guard
