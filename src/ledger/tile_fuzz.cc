// Tiles and bundles of a log from anywhere. The first byte is the width that a checkpoint asks for.
#include "ledger/tiles.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hexr::ledger;
  if (size == 0) return 0;
  const unsigned width = data[0] + 1U;
  const hexr::ByteView bytes(data + 1, size - 1);
  if (const auto tile = ParseTile(bytes, width); tile.ok()) {
    const hexr::Bytes again = EncodeTile(*tile);
    HEXR_CHECK(hexr::AsText(again) == hexr::AsText(bytes));
  }
  (void)ParseTile(bytes, width, Width::kAtLeast);
  if (const auto entries = ParseEntries(bytes, width); entries.ok()) {
    hexr::Bytes again;
    for (const hexr::ByteView entry : *entries) AppendEntry(entry, again);
    HEXR_CHECK(hexr::AsText(again) == hexr::AsText(bytes));
  }
  (void)ParseEntries(bytes, width, Width::kAtLeast);
  return 0;
}
