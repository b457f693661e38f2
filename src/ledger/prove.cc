#include "ledger/prove.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits/ledger.h"
#include "ledger/log_reader.h"
#include "ledger/tiles.h"

namespace hexr::ledger {

namespace {

constexpr std::string_view kProofHeader = "c2sp.org/tlog-proof@v1\n";

// Text up to the newline, which is dropped. False: there is none.
bool TakeLine(std::string_view& text, std::string_view& line) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

struct Entry {
  std::string text;
  Proof proof;
};

Result<Entry> ReadEntry(const LogReader& reader, const Checkpoint& checkpoint, uint64_t index) {
  ASSIGN_OR_RETURN(std::string text, reader.Entry(index));
  ASSIGN_OR_RETURN(Proof proof, InclusionProof(reader, index, checkpoint.size));
  RETURN_IF_ERROR(VerifyInclusion(index, checkpoint.size, LeafHash(AsBytes(text)), proof, checkpoint.root));
  return Entry{.text = std::move(text), .proof = std::move(proof)};
}

Result<Record> ParseAt(std::string_view text, uint64_t index) {
  ASSIGN_OR_RETURN(Record record, Record::Parse(text));
  if (record.seq != index)
    return Error(ErrorCode::kDataLoss, fmt::format("record {} stands at place {}", record.seq, index));
  return record;
}

}  // namespace

Result<Record> ReadRecord(const Storage& log, const VerifierKey& log_key, uint64_t index) {
  ASSIGN_OR_RETURN(const VerifiedCheckpoint published, ReadCheckpoint(log, log_key));
  const LogReader reader(log, published.checkpoint().size);
  ASSIGN_OR_RETURN(const Entry entry, ReadEntry(reader, published.checkpoint(), index));
  return ParseAt(entry.text, index);
}

Result<std::vector<Record>> ReadRecords(const Storage& log, const VerifierKey& log_key, uint64_t from, uint64_t max) {
  ASSIGN_OR_RETURN(const VerifiedCheckpoint published, ReadCheckpoint(log, log_key));
  const uint64_t size = published.checkpoint().size;
  const LogReader reader(log, size);
  std::vector<Record> records;
  for (uint64_t index = from; index < size && records.size() < max; ++index) {
    ASSIGN_OR_RETURN(const Entry entry, ReadEntry(reader, published.checkpoint(), index));
    ASSIGN_OR_RETURN(Record record, ParseAt(entry.text, index));
    records.push_back(std::move(record));
  }
  return records;
}

Result<std::string> Prove(const Storage& log, const VerifierKey& log_key, uint64_t index) {
  ASSIGN_OR_RETURN(const VerifiedCheckpoint published, ReadCheckpoint(log, log_key));
  const LogReader reader(log, published.checkpoint().size);
  ASSIGN_OR_RETURN(const Entry entry, ReadEntry(reader, published.checkpoint(), index));
  std::string text = fmt::format("{}extra {}\nindex {}\n", kProofHeader, Base64Encode(AsBytes(entry.text)), index);
  for (const Hash& hash : entry.proof) text += Base64Encode(hash) + "\n";
  return text + "\n" + published.note().ToString();
}

Result<ProvenRecord> VerifyProof(std::string_view proof, const VerifierKey& log_key,
                                 const std::vector<VerifierKey>& witnesses, size_t needed) {
  const auto bad = [](std::string_view why) {
    return InvalidArgument(fmt::format("not a proof of a record: {}", why));
  };
  if (proof.size() > limits::kMaxNoteBytes + 2 * limits::kMaxRecordBytes)
    return ResourceExhausted("a proof of this size is not read");
  if (!proof.starts_with(kProofHeader)) return bad("the first line is c2sp.org/tlog-proof@v1");
  proof.remove_prefix(kProofHeader.size());
  std::string_view line;
  if (!TakeLine(proof, line) || !line.starts_with("extra ")) return bad("the record is missing");
  ASSIGN_OR_RETURN(const Bytes record, Base64Decode(line.substr(6)));
  if (!TakeLine(proof, line) || !line.starts_with("index ")) return bad("the index is missing");
  ASSIGN_OR_RETURN(const uint64_t index, ParseTreeSize(line.substr(6)));
  Proof hashes;
  for (;;) {
    if (!TakeLine(proof, line)) return bad("it ends early");
    if (line.empty()) break;
    if (hashes.size() == kMaxProofHashes) return bad("too many hashes");
    ASSIGN_OR_RETURN(const Hash hash, ParseHash(line));
    hashes.push_back(hash);
  }
  ASSIGN_OR_RETURN(const VerifiedCheckpoint verified, VerifiedCheckpoint::Verify(proof, log_key));
  const Checkpoint& checkpoint = verified.checkpoint();
  RETURN_IF_ERROR(VerifyInclusion(index, checkpoint.size, LeafHash(record), hashes, checkpoint.root));
  ASSIGN_OR_RETURN(Record parsed, ParseAt(AsText(record), index));
  ProvenRecord proven{.record = std::move(parsed), .checkpoint = checkpoint, .witnesses = {}};
  for (const VerifierKey& witness : witnesses) {
    if (witness.Check(verified.note()).state == VerifierKey::Verdict::State::kGood)
      proven.witnesses.push_back(witness.name());
  }
  if (proven.witnesses.size() < needed) {
    return PermissionDenied(
        fmt::format("cosigned by {} of the {} witnesses that are needed", proven.witnesses.size(), needed));
  }
  return proven;
}

Status Export(const Storage& log, const VerifierKey& log_key, Storage& to) {
  ASSIGN_OR_RETURN(const auto there, to.List("."));
  if (!there.empty()) return AlreadyExists("the folder to export to is not empty");
  // The checkpoint first: what it needs stays there while the log grows.
  ASSIGN_OR_RETURN(const Bytes note, log.Read(kCheckpointPath, limits::kMaxNoteBytes));
  ASSIGN_OR_RETURN(const VerifiedCheckpoint published, VerifiedCheckpoint::Verify(AsText(note), log_key));
  const uint64_t size = published.checkpoint().size;
  const LogReader reader(log, size);
  for (unsigned level = 0; level <= kMaxTileLevel; ++level) {
    for (uint64_t index = 0; TileWidth(level, index, size) > 0; ++index) {
      ASSIGN_OR_RETURN(const auto tile, reader.ReadTile(level, index));
      std::vector<Storage::File> files;
      files.push_back({.path = TilePath(level, index, static_cast<unsigned>(tile.size())), .bytes = EncodeTile(tile)});
      if (level == 0) {
        ASSIGN_OR_RETURN(const LogReader::Bundle bundle, reader.ReadBundle(index));
        ASSIGN_OR_RETURN(const auto entries, ParseEntries(bundle.bytes, bundle.width, Width::kAtLeast));
        Bytes bytes;
        for (const ByteView entry : entries) AppendEntry(entry, bytes);
        files.push_back({.path = EntriesPath(index, bundle.width), .bytes = std::move(bytes)});
      }
      RETURN_IF_ERROR(to.Write(files));
    }
  }
  ASSIGN_OR_RETURN(const auto days, log.List(kHistoryFolder));
  for (const std::string& day : days) {
    const std::string path = fmt::format("{}/{}", kHistoryFolder, day);
    ASSIGN_OR_RETURN(const Bytes history, log.Read(path, kMaxHistoryBytes));
    // A history goes on growing while it is copied: what lies beyond the copied checkpoint is left out.
    std::string kept;
    for (const std::string_view text : SplitHistory(AsText(history)).notes) {
      const Result<VerifiedCheckpoint> old = VerifiedCheckpoint::Verify(text, log_key);
      if (!old.ok() || old->checkpoint().size <= size) kept += text;
    }
    RETURN_IF_ERROR(to.Write({{.path = path, .bytes = ToBytes(kept)}}));
  }
  RETURN_IF_ERROR(to.Replace(kKeyPath, AsBytes(log_key.ToString() + "\n")));
  return to.Replace(kCheckpointPath, note);
}

}  // namespace hexr::ledger
