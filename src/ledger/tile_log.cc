#include "ledger/tile_log.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "ledger/log_reader.h"
#include "ledger/tiles.h"

namespace hexr::ledger {

namespace {

constexpr std::chrono::minutes kHistoryInterval{1};

}  // namespace

TileLog::TileLog(Storage& storage, const NoteSigner& signer, const Clock& clock, Checkpoint committed, Note note)
    : storage_(&storage), signer_(&signer), clock_(&clock), committed_(std::move(committed)), note_(std::move(note)),
      edge_(kMaxTileLevel + 1) {}

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
  if (!tiles.empty()) return Error(ErrorCode::kDataLoss, "the log has tiles and no checkpoint: restore the file 'checkpoint'");
  Checkpoint empty{.origin = signer.verifier().name(), .size = 0, .root = EmptyRoot(), .extensions = {}};
  Note note(empty.ToText());
  RETURN_IF_ERROR(note.Add(signer.Sign(note.text(), clock.Wall())));
  RETURN_IF_ERROR(storage.Replace(kCheckpointPath, AsBytes(note.ToString())));
  return TileLog(storage, signer, clock, std::move(empty), std::move(note));
}

Status TileLog::Recover() {
  size_ = committed_.size;
  tiles_on_disk_ = size_;
  const LogReader reader(*storage_, size_);
  for (unsigned level = 0; level <= kMaxTileLevel; ++level) {
    const uint64_t index = (size_ >> (kTileHeight * level)) / kTileWidth;
    if (TileWidth(level, index, size_) == 0) continue;
    ASSIGN_OR_RETURN(edge_[level], reader.ReadTile(level, index));
  }
  if (const uint64_t index = size_ / kTileWidth; TileWidth(0, index, size_) > 0) {
    ASSIGN_OR_RETURN(const LogReader::Bundle bundle, reader.ReadBundle(index));
    ASSIGN_OR_RETURN(const auto entries, ParseEntries(bundle.bytes, bundle.width, Width::kAtLeast));
    for (const ByteView entry : entries) AppendEntry(entry, bundle_);
  }
  if (Root() != committed_.root) return Error(ErrorCode::kDataLoss, "the tiles do not lead to the root of the checkpoint");
  return Ok();
}

Hash TileLog::Root() const {
  if (size_ == 0) return EmptyRoot();
  // Each level's edge is a row of perfect subtrees; inside a level, one for each bit of its length.
  std::optional<Hash> root;
  for (const std::vector<Hash>& row : edge_) {
    size_t end = row.size();
    for (size_t left = row.size(); left != 0; left &= left - 1) {
      const size_t n = left & (~left + 1);
      const Hash part = RootOf(std::span<const Hash>(row).subspan(end - n, n));
      root = root ? NodeHash(part, *root) : part;
      end -= n;
    }
  }
  return *root;
}

void TileLog::PushHash(unsigned level, const Hash& hash) {
  HEXR_CHECK(level <= kMaxTileLevel);
  std::vector<Hash>& row = edge_[level];
  row.push_back(hash);
  if (row.size() < kTileWidth) return;
  const uint64_t index = (size_ >> (kTileHeight * (level + 1))) - 1;
  full_.push_back({.path = TilePath(level, index, kTileWidth), .bytes = EncodeTile(row)});
  superseded_.push_back(PartialTileFolder(level, index));
  const Hash root = RootOf(row);
  row.clear();
  PushHash(level + 1, root);
}

void TileLog::Append(ByteView entry) {
  AppendEntry(entry, bundle_);
  ++size_;
  if (size_ % kTileWidth == 0) {
    const uint64_t index = size_ / kTileWidth - 1;
    full_.push_back({.path = EntriesPath(index, kTileWidth), .bytes = std::move(bundle_)});
    superseded_.push_back(PartialEntriesFolder(index));
    bundle_.clear();
  }
  PushHash(0, LeafHash(entry));
}

Status TileLog::WriteTiles() {
  // A file that was written is never written again: the checkpoint that needs it may be on disk already, although
  // publishing it was reported as failed.
  if (tiles_on_disk_ == size_) return Ok();
  const size_t full = full_.size();
  for (unsigned level = 0; level <= kMaxTileLevel; ++level) {
    const uint64_t hashes = size_ >> (kTileHeight * level);
    const auto width = static_cast<unsigned>(edge_[level].size());
    if (hashes == tiles_on_disk_ >> (kTileHeight * level)) continue;  // the same tile is there, and in use
    const uint64_t index = hashes / kTileWidth;
    if (width > 0) full_.push_back({.path = TilePath(level, index, width), .bytes = EncodeTile(edge_[level])});
  }
  if (const auto width = static_cast<unsigned>(size_ % kTileWidth); width > 0) {
    full_.push_back({.path = EntriesPath(size_ / kTileWidth, width), .bytes = bundle_});
  }
  const Status written = storage_->Write(full_);
  full_.resize(full);
  RETURN_IF_ERROR(written);
  full_.clear();
  tiles_on_disk_ = size_;
  return Ok();
}

Status TileLog::Commit() {
  if (size_ == committed_.size) return Ok();
  RETURN_IF_ERROR(WriteTiles());
  Checkpoint next{.origin = committed_.origin, .size = size_, .root = Root(), .extensions = {}};
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
  const Status appended = storage_->Append(path, AsBytes(note));
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
