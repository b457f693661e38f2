#include "ledger/tiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hexr::ledger {

namespace {

// 1234067 → "x001/x234/067".
std::string IndexPath(uint64_t index) {
  std::string path = fmt::format("{:03}", index % 1000);
  for (index /= 1000; index > 0; index /= 1000) path.insert(0, fmt::format("x{:03}/", index % 1000));
  return path;
}

std::string WithWidth(std::string path, unsigned width) {
  HEXR_CHECK(width > 0 && width <= kTileWidth);
  if (width < kTileWidth) path += fmt::format(".p/{}", width);
  return path;
}

}  // namespace

std::string TilePath(unsigned level, uint64_t index, unsigned width) {
  return WithWidth(fmt::format("tile/{}/{}", level, IndexPath(index)), width);
}
std::string EntriesPath(uint64_t index, unsigned width) { return WithWidth("tile/entries/" + IndexPath(index), width); }
std::string PartialTileFolder(unsigned level, uint64_t index) {
  return fmt::format("tile/{}/{}.p", level, IndexPath(index));
}
std::string PartialEntriesFolder(uint64_t index) { return fmt::format("tile/entries/{}.p", IndexPath(index)); }

unsigned TileWidth(unsigned level, uint64_t index, uint64_t size) {
  const uint64_t hashes = size >> (kTileHeight * level);
  if (index > hashes / kTileWidth) return 0;
  return static_cast<unsigned>(std::min<uint64_t>(hashes - index * kTileWidth, kTileWidth));
}

Bytes EncodeTile(std::span<const Hash> hashes) {
  Bytes out(hashes.size() * sizeof(Hash));
  if (!hashes.empty()) std::memcpy(out.data(), hashes.data(), out.size());
  return out;
}

Result<std::vector<Hash>> ParseTile(ByteView bytes, unsigned width, Width rule) {
  const size_t wanted = width * sizeof(Hash);
  const bool fits = rule == Width::kExact
                        ? bytes.size() == wanted
                        : bytes.size() >= wanted && bytes.size() % sizeof(Hash) == 0 && bytes.size() <= kMaxTileBytes;
  if (!fits) {
    return Error(ErrorCode::kDataLoss,
                 fmt::format("a tile of {} hashes has {} bytes, not {}", width, wanted, bytes.size()));
  }
  std::vector<Hash> hashes(width);
  if (wanted > 0) std::memcpy(hashes.data(), bytes.data(), wanted);
  return hashes;
}

void AppendEntry(ByteView entry, Bytes& bundle) {
  HEXR_CHECK(entry.size() <= kMaxEntryBytes);
  bundle.push_back(static_cast<uint8_t>(entry.size() >> 8));
  bundle.push_back(static_cast<uint8_t>(entry.size()));
  bundle.insert(bundle.end(), entry.begin(), entry.end());
}

Result<std::vector<ByteView>> ParseEntries(ByteView bytes, unsigned width, Width rule) {
  std::vector<ByteView> entries;
  entries.reserve(width);
  while (entries.size() < width) {
    if (bytes.size() < 2)
      return Error(ErrorCode::kDataLoss, fmt::format("a bundle of {} entries ends after {}", width, entries.size()));
    const size_t size = size_t{bytes[0]} << 8 | bytes[1];
    if (bytes.size() - 2 < size)
      return Error(ErrorCode::kDataLoss, fmt::format("entry {} of a bundle is cut", entries.size()));
    entries.push_back(bytes.subspan(2, size));
    bytes = bytes.subspan(2 + size);
  }
  if (rule == Width::kExact && !bytes.empty()) {
    return Error(ErrorCode::kDataLoss, fmt::format("a bundle of {} entries has {} bytes more", width, bytes.size()));
  }
  return entries;
}

}  // namespace hexr::ledger
