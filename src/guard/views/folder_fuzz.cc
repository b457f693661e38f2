// Whatever comes in, folding it whole or byte by byte gives the same text and the same way back.
#include "base/bytes.h"
#include "base/check.h"
#include "guard/views/folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hexr::guard::FoldedText;
  const std::string_view text = hexr::AsText({data, size});
  const auto run = [&](size_t step) {
    hexr::guard::Folder f;
    FoldedText all;
    const auto add = [&](const FoldedText& piece) {
      all.text += piece.text;
      all.anchors.insert(all.anchors.end(), piece.anchors.begin(), piece.anchors.end());
    };
    for (size_t i = 0; i < text.size(); i += step) {
      FoldedText piece;
      f.Feed(text.substr(i, step), piece);
      add(piece);
    }
    FoldedText last;
    f.Finish(last);
    add(last);
    HEXR_CHECK(f.consumed() == text.size());
    return all;
  };
  const FoldedText whole = run(text.size() + 1);
  const FoldedText bytes = run(1);
  HEXR_CHECK(whole.text == bytes.text);
  for (const auto& a : whole.anchors) HEXR_CHECK(a.folded <= whole.text.size() && a.raw <= text.size());
  return 0;
}
