#include "ledger/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/limits/ledger.h"
#include "base/log.h"
#include "ledger/log_reader.h"
#include "ledger/record_rules.h"
#include "ledger/record_scan.h"
#include "ledger/tiles.h"
#include "ledger/tree_edge.h"

namespace hexr::ledger {

namespace {

using State = VerifierKey::Verdict::State;

// A checkpoint to compare with the tree, and where it came from.
struct Claim {
  Checkpoint checkpoint;
  std::string source;
};

class Verification {
 public:
  Verification(const Storage& storage, const VerifyOptions& options) : storage_(storage), options_(options) {}

  Result<VerifyReport> Run() {
    const Result<Bytes> published = storage_.Read(kCheckpointPath, limits::kMaxNoteBytes);
    if (!published.ok() && published.error().code() == ErrorCode::kNotFound) {
      ASSIGN_OR_RETURN(const auto tiles, storage_.List("tile"));
      if (tiles.empty()) return NotFound("there is no log here: neither a checkpoint nor tiles");
    }
    report_.origin = options_.log_key.name();
    if (!published.ok()) {
      Add("checkpoint", published.error().message());
      return std::move(report_);
    }
    TakeNote(AsText(*published), kCheckpointPath, true);
    ReadHistory();
    for (const std::string& note : options_.seen) TakeNote(note, "a checkpoint from elsewhere", false);
    CheckTree();
    CheckWitnesses();
    return std::move(report_);
  }

 private:
  void Add(std::string_view code, std::string message, std::optional<uint64_t> record = {}) {
    ++report_.problems_total;
    if (report_.problems.size() < options_.max_problems) {
      report_.problems.push_back({.code = std::string(code), .message = std::move(message), .record = record});
    }
  }

  // Signatures first: an unsigned checkpoint claims nothing.
  void TakeNote(std::string_view text, const std::string& source, bool published) {
    const Result<VerifiedCheckpoint> verified = VerifiedCheckpoint::Verify(text, options_.log_key);
    if (!verified.ok()) {
      Add("signature", fmt::format("{}: {}", source, verified.error().message()));
      return;
    }
    const Checkpoint& checkpoint = verified->checkpoint();
    for (size_t i = 0; i < options_.witnesses.size(); ++i) {
      const VerifierKey::Verdict verdict = options_.witnesses[i].Check(verified->note());
      if (verdict.state == State::kBad) {
        Add("cosignature",
            fmt::format("{}: the line of witness {} is not its signature", source, options_.witnesses[i].name()));
      } else if (verdict.state == State::kGood) {
        cosigned_[i].push_back(checkpoint);
      }
    }
    claims_.push_back({.checkpoint = checkpoint, .source = source});
    if (published) size_ = checkpoint.size;
  }

  void ReadHistory() {
    const Result<std::vector<std::string>> days = storage_.List(kHistoryFolder);
    if (!days.ok()) return Add("history", days.error().message());
    for (const std::string& day : *days) {
      const std::string path = fmt::format("{}/{}", kHistoryFolder, day);
      const Result<Bytes> text = storage_.Read(path, kMaxHistoryBytes);
      if (!text.ok()) {
        Add("history", text.error().message());
        continue;
      }
      const History history = SplitHistory(AsText(*text));
      for (const std::string_view note : history.notes) TakeNote(note, path, false);
      if (history.torn) {
        // A crash can leave this too: the writer mends it at its next start.
        Add("history", path + ": it goes on with something that is no checkpoint");
      }
    }
  }

  void CheckTree() {
    std::stable_sort(claims_.begin(), claims_.end(),
                     [](const Claim& a, const Claim& b) { return a.checkpoint.size < b.checkpoint.size; });
    const LogReader reader(storage_, size_);
    auto claim = claims_.begin();
    const auto check_claims = [&] {
      for (; claim != claims_.end() && claim->checkpoint.size == edge_.size(); ++claim) CheckClaim(*claim);
    };
    check_claims();
    for (uint64_t bundle = 0; bundle * kTileWidth < size_; ++bundle) {
      const Result<LogReader::Bundle> file = reader.ReadBundle(bundle);
      if (!file.ok()) return Add("entries", file.error().message());
      const Width rule = TileWidth(0, bundle, size_) == kTileWidth ? Width::kExact : Width::kAtLeast;
      const Result<std::vector<ByteView>> entries = ParseEntries(file->bytes, file->width, rule);
      if (!entries.ok()) return Add("entries", fmt::format("entries {}: {}", bundle, entries.error().message()));
      const Result<std::vector<Hash>> tile = reader.ReadTile(0, bundle);
      if (!tile.ok()) Add("tile", tile.error().message());
      for (size_t i = 0; i < entries->size(); ++i) {
        const Hash leaf = LeafHash((*entries)[i]);
        if (tile.ok() && leaf != (*tile)[i]) {
          Add("entry", "the entry is not the one that the tree holds", bundle * kTileWidth + i);
        }
        CheckRecord(AsText((*entries)[i]));
        edge_.Push(leaf, [&](unsigned level, uint64_t index, std::span<const Hash> hashes) {
          if (level > 0) CheckTile(reader, level, index, hashes);
        });
        check_claims();
      }
    }
    for (unsigned level = 1; level <= kMaxTileLevel; ++level) {
      const std::span<const Hash> row = edge_.row(level);
      if (!row.empty()) CheckTile(reader, level, (edge_.size() >> (kTileHeight * level)) / kTileWidth, row);
    }
    for (; claim != claims_.end(); ++claim) {
      Add("truncated",
          fmt::format("{}: the log was signed at {} records and has {}", claim->source, claim->checkpoint.size, size_));
    }
  }

  void CheckClaim(const Claim& claim) {
    if (edge_.Root() == claim.checkpoint.root) {
      ++report_.checkpoints;
      return;
    }
    Add("root", fmt::format("{}: the checkpoint of {} records has another root than these entries", claim.source,
                            claim.checkpoint.size));
  }

  void CheckTile(const LogReader& reader, unsigned level, uint64_t index, std::span<const Hash> hashes) {
    const Result<std::vector<Hash>> tile = reader.ReadTile(level, index);
    if (!tile.ok()) return Add("tile", tile.error().message());
    if (!std::equal(tile->begin(), tile->end(), hashes.begin(), hashes.end())) {
      Add("tile", fmt::format("{}: not the hashes of the tiles below",
                              TilePath(level, index, static_cast<unsigned>(hashes.size()))));
    }
  }

  void CheckRecord(std::string_view text) {
    const uint64_t index = report_.records++;
    const Result<RecordView> record = ScanRecord(text, SeqField::kPresent);
    if (!record.ok()) return Add("record", record.error().message(), index);
    rules_.Check(*record, index,
                 [&](std::string_view code, std::string message) { Add(code, std::move(message), index); });
  }

  void CheckWitnesses() {
    for (size_t i = 0; i < options_.witnesses.size(); ++i) {
      uint64_t best = 0;
      for (const Checkpoint& checkpoint : cosigned_[i]) best = std::max(best, checkpoint.size);
      if (cosigned_[i].empty()) {
        Add("witness", fmt::format("no checkpoint is cosigned by witness {}", options_.witnesses[i].name()));
      }
      report_.witnessed = i == 0 ? best : std::min(report_.witnessed, best);
    }
  }

  const Storage& storage_;
  const VerifyOptions& options_;
  VerifyReport report_;
  uint64_t size_ = 0;
  std::vector<Claim> claims_;
  std::map<size_t, std::vector<Checkpoint>> cosigned_;
  TreeEdge edge_;
  RecordRules rules_;
};

}  // namespace

Result<VerifyReport> VerifyLog(const Storage& storage, const VerifyOptions& options) {
  return Verification(storage, options).Run();
}

std::string ToJson(const VerifyReport& report) {
  std::string problems;
  for (const Problem& problem : report.problems) {
    if (!problems.empty()) problems += ",";
    problems += fmt::format("{{\"code\":{},\"message\":{}", JsonQuote(problem.code), JsonQuote(problem.message));
    if (problem.record) problems += fmt::format(",\"record\":{}", *problem.record);
    problems += "}";
  }
  return fmt::format("{{\"origin\":{},\"records\":{},\"checkpoints\":{},\"witnessed\":{},\"problems\":[{}]}}",
                     JsonQuote(report.origin), report.records, report.checkpoints, report.witnessed, problems);
}

Result<KeyFile> ParseKeyFile(std::string_view text) {
  KeyFile file;
  for (size_t line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view content = text.substr(0, end);
    if (!content.empty() && content.front() != '#') {
      Result<VerifierKey> key = VerifierKey::Parse(content);
      if (!key.ok()) {
        // Not a key: the checkpoints begin here, if this is a checkpoint.
        const History notes = SplitHistory(text);
        if (notes.torn || notes.notes.empty()) return key.error().WithContext(fmt::format("line {}", line));
        file.checkpoints.assign(notes.notes.begin(), notes.notes.end());
        return file;
      }
      file.keys.push_back(std::move(*key));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return file;
}

}  // namespace hexr::ledger
