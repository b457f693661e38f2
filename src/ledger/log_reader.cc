#include "ledger/log_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits/ledger.h"
#include "ledger/note.h"
#include "ledger/tiles.h"

namespace hexr::ledger {

namespace {

constexpr size_t kRecentTiles = 16;

}  // namespace

Result<Bytes> LogReader::ReadEither(const std::string& partial, const std::string& full, size_t max_bytes) const {
  Result<Bytes> bytes = storage_.Read(partial, max_bytes);
  if (!bytes.ok() && bytes.error().code() == ErrorCode::kNotFound && partial != full)
    bytes = storage_.Read(full, max_bytes);
  if (!bytes.ok() && bytes.error().code() == ErrorCode::kNotFound)
    return Error(ErrorCode::kDataLoss, partial + " is missing");
  return bytes;
}

Result<std::vector<Hash>> LogReader::ReadTile(unsigned level, uint64_t index) const {
  const unsigned width = TileWidth(level, index, size_);
  if (width == 0) return OutOfRange("the log has no such tile");
  const std::string path = TilePath(level, index, width);
  ASSIGN_OR_RETURN(const Bytes bytes, ReadEither(path, TilePath(level, index, kTileWidth), kMaxTileBytes));
  Result<std::vector<Hash>> tile = ParseTile(bytes, width, Width::kAtLeast);
  if (!tile.ok()) return tile.error().WithContext(path);
  return tile;
}

Result<LogReader::Bundle> LogReader::ReadBundle(uint64_t index) const {
  const unsigned width = TileWidth(0, index, size_);
  if (width == 0) return OutOfRange("the log has no such entries");
  ASSIGN_OR_RETURN(Bytes bytes, ReadEither(EntriesPath(index, width), EntriesPath(index, kTileWidth), kMaxBundleBytes));
  return Bundle{.bytes = std::move(bytes), .width = width};
}

Result<Hash> LogReader::Subtree(unsigned level, uint64_t index) const {
  // The hash stands in a tile of level L, or is the root over a row of hashes that do.
  const unsigned tile_level = level / kTileHeight;
  const unsigned rest = level % kTileHeight;
  const uint64_t first = index << rest;
  const Key key{tile_level, first / kTileWidth};
  const size_t offset = first % kTileWidth;
  auto at = std::find_if(recent_.begin(), recent_.end(), [&](const auto& tile) { return tile.first == key; });
  if (at == recent_.end()) {
    ASSIGN_OR_RETURN(std::vector<Hash> tile, ReadTile(tile_level, key.second));
    recent_.emplace_front(key, std::move(tile));
    if (recent_.size() > kRecentTiles) recent_.pop_back();
    at = recent_.begin();
  }
  const std::vector<Hash>& tile = at->second;
  if (offset + (size_t{1} << rest) > tile.size()) return OutOfRange("beyond this tree");
  return RootOf(std::span<const Hash>(tile).subspan(offset, size_t{1} << rest));
}

Result<std::string> LogReader::Entry(uint64_t index) const {
  if (index >= size_) return OutOfRange(fmt::format("the log has {} entries", size_));
  ASSIGN_OR_RETURN(const Bundle bundle, ReadBundle(index / kTileWidth));
  ASSIGN_OR_RETURN(const auto entries, ParseEntries(bundle.bytes, bundle.width, Width::kAtLeast));
  return std::string(AsText(entries[index % kTileWidth]));
}

Result<VerifiedCheckpoint> ReadCheckpoint(const Storage& storage, const VerifierKey& log_key) {
  ASSIGN_OR_RETURN(const Bytes bytes, storage.Read(kCheckpointPath, limits::kMaxNoteBytes));
  return VerifiedCheckpoint::Verify(AsText(bytes), log_key);
}

History SplitHistory(std::string_view text) {
  // A note ends where its signature lines end.
  History history;
  while (!text.empty()) {
    const size_t blank = text.find("\n\n");
    size_t end = blank == std::string_view::npos ? text.size() : blank + 2;
    const size_t signatures = end;
    while (text.substr(end).starts_with(kSignatureLine)) {
      const size_t newline = text.find('\n', end);
      if (newline == std::string_view::npos) break;
      end = newline + 1;
    }
    const bool whole = end > signatures && (end == text.size() || !text.substr(end).starts_with(kSignatureLine));
    if (!whole) {
      history.torn = true;
      break;
    }
    history.notes.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return history;
}

}  // namespace hexr::ledger
