#include "ledger/tile_log.h"

#include <fmt/format.h>

#include "ledger/log_reader.h"
#include "ledger/tiles.h"

namespace hexr::ledger {

namespace {

constexpr std::chrono::minutes kHistoryInterval{1};

}  // namespace

TileLog::TileLog(Storage& storage, const NoteSigner& signer, const Clock& clock, Checkpoint committed, Note note)
    : storage_(&storage), signer_(&signer), clock_(&clock), committed_(std::move(committed)), note_(std::move(note)) {}

Result<TileLog> TileLog::Open(Storage& storage, const NoteSigner& signer, const Clock& clock) {
  Result<VerifiedCheckpoint> published = ReadCheckpoint(storage, signer.verifier());
  if (published.ok()) {
    TileLog log(storage, signer, clock, published->checkpoint(), published->note());
    RETURN_IF_ERROR(log.Recover());
    return log;
  }
  if (published.error().code() != ErrorCode::kNotFound) return published.error().WithContext(kCheckpointPath);
  // The empty checkpoint is written before any tile: tiles without one mean that somebody took it away, and a log that
  // began again would contradict what it has signed before.
  ASSIGN_OR_RETURN(const auto tiles, storage.List("tile"));
  if (!tiles.empty())
    return Error(ErrorCode::kDataLoss, "the log has tiles and no checkpoint: restore the file 'checkpoint'");
  Checkpoint empty{.origin = signer.verifier().name(), .size = 0, .root = EmptyRoot(), .extensions = {}};
  Note note(empty.ToText());
  RETURN_IF_ERROR(note.Add(signer.Sign(note.text(), clock.Wall())));
  RETURN_IF_ERROR(storage.Replace(kKeyPath, AsBytes(signer.verifier().ToString() + "\n")));
  RETURN_IF_ERROR(storage.Replace(kCheckpointPath, AsBytes(note.ToString())));
  return TileLog(storage, signer, clock, std::move(empty), std::move(note));
}

Status TileLog::Recover() {
  const uint64_t size = committed_.size;
  const LogReader reader(*storage_, size);
  std::array<std::vector<Hash>, kMaxTileLevel + 1> rows;
  for (unsigned level = 0; level <= kMaxTileLevel; ++level) {
    const uint64_t index = (size >> (kTileHeight * level)) / kTileWidth;
    if (TileWidth(level, index, size) == 0) continue;
    ASSIGN_OR_RETURN(rows[level], reader.ReadTile(level, index));
  }
  if (const uint64_t index = size / kTileWidth; TileWidth(0, index, size) > 0) {
    ASSIGN_OR_RETURN(const LogReader::Bundle bundle, reader.ReadBundle(index));
    ASSIGN_OR_RETURN(const auto entries, ParseEntries(bundle.bytes, bundle.width, Width::kAtLeast));
    for (const ByteView entry : entries) AppendEntry(entry, bundle_);
  }
  edge_ = TreeEdge::Restore(size, std::move(rows));
  tiles_on_disk_ = size;
  if (edge_.Root() != committed_.root)
    return Error(ErrorCode::kDataLoss, "the tiles do not lead to the root of the checkpoint");
  return Ok();
}

void TileLog::Append(ByteView entry) {
  AppendEntry(entry, bundle_);
  edge_.Push(LeafHash(entry), [this](unsigned level, uint64_t index, std::span<const Hash> hashes) {
    full_.push_back({.path = TilePath(level, index, kTileWidth), .bytes = EncodeTile(hashes)});
    superseded_.push_back(PartialTileFolder(level, index));
    if (level > 0) return;
    full_.push_back({.path = EntriesPath(index, kTileWidth), .bytes = std::move(bundle_)});
    superseded_.push_back(PartialEntriesFolder(index));
    bundle_.clear();
  });
}

Status TileLog::WriteTiles() {
  // A file that was written is never written again: the checkpoint that needs it may be on disk already, although
  // publishing it was reported as failed.
  const uint64_t size = edge_.size();
  if (tiles_on_disk_ == size) return Ok();
  const size_t full = full_.size();
  for (unsigned level = 0; level <= kMaxTileLevel; ++level) {
    const uint64_t hashes = size >> (kTileHeight * level);
    if (hashes == tiles_on_disk_ >> (kTileHeight * level)) continue;  // the same tile is there, and in use
    const uint64_t index = hashes / kTileWidth;
    const std::span<const Hash> row = edge_.row(level);
    if (row.empty()) continue;
    full_.push_back({.path = TilePath(level, index, static_cast<unsigned>(row.size())), .bytes = EncodeTile(row)});
  }
  if (const auto width = static_cast<unsigned>(size % kTileWidth); width > 0) {
    full_.push_back({.path = EntriesPath(size / kTileWidth, width), .bytes = bundle_});
  }
  const Status written = storage_->Write(full_);
  full_.resize(full);
  RETURN_IF_ERROR(written);
  full_.clear();
  tiles_on_disk_ = size;
  return Ok();
}

Status TileLog::Commit() {
  if (pending() == 0) return Ok();
  RETURN_IF_ERROR(WriteTiles());
  Checkpoint next{.origin = committed_.origin, .size = size(), .root = edge_.Root(), .extensions = {}};
  Note note(next.ToText());
  RETURN_IF_ERROR(note.Add(signer_->Sign(note.text(), clock_->Wall())));
  const std::string text = note.ToString();
  RETURN_IF_ERROR(storage_->Replace(kCheckpointPath, AsBytes(text)));
  committed_ = std::move(next);
  note_ = std::move(note);

  // From here on the entries are published: what fails below is tidied up by a later commit.
  if (!history_kept_ || clock_->Mono() - *history_kept_ >= kHistoryInterval) {
    RETURN_IF_ERROR(AppendHistory(text));
    history_kept_ = clock_->Mono();
  }
  const std::vector<std::string> folders = std::move(superseded_);
  superseded_.clear();
  return RemovePartials(folders);
}

Status TileLog::RemovePartials(const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) RETURN_IF_ERROR(storage_->Remove(folder));
  return Ok();
}

Status TileLog::AppendHistory(const std::string& note) {
  const std::string path = fmt::format("{}/{}", kHistoryFolder, FormatRfc3339(clock_->Wall(), 0).substr(0, 10));
  if (history_may_be_torn_) {
    const Result<Bytes> day = storage_->Read(path, kMaxHistoryBytes);
    if (!day.ok() && day.error().code() != ErrorCode::kNotFound) return day.error();
    if (const History history = SplitHistory(day.ok() ? AsText(*day) : std::string_view()); history.torn) {
      std::string whole;
      for (const std::string_view kept : history.notes) whole += kept;
      RETURN_IF_ERROR(storage_->Replace(path, AsBytes(whole)));
    }
    history_may_be_torn_ = false;
  }
  Status appended = storage_->Append(path, AsBytes(note));
  history_may_be_torn_ = !appended.ok();
  return appended;
}

Status TileLog::AddCosignatures(const Note& checkpoint) {
  RETURN_IF_ERROR(AppendHistory(checkpoint.ToString()));
  if (checkpoint.text() != note_.text()) return Ok();
  Note merged = note_;
  for (const NoteSignature& line : checkpoint.signatures()) RETURN_IF_ERROR(merged.Add(line));
  RETURN_IF_ERROR(storage_->Replace(kCheckpointPath, AsBytes(merged.ToString())));
  note_ = std::move(merged);
  return Ok();
}

}  // namespace hexr::ledger
