#include "ledger/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/decimal.h"
#include "base/limits/ledger.h"

namespace hexr::ledger {

namespace {

Error Bad(std::string_view why) { return InvalidArgument(fmt::format("not a checkpoint: {}", why)); }

}  // namespace

Result<uint64_t> ParseTreeSize(std::string_view text) {
  const auto value = ParseDecimal<uint64_t>(text);
  if (!value || *value > INT64_MAX || (text.size() > 1 && text.front() == '0')) {
    return InvalidArgument("not a tree size: decimal without leading zeros");
  }
  return *value;
}

Result<Hash> ParseHash(std::string_view text) {
  ASSIGN_OR_RETURN(const Bytes bytes, Base64Decode(text));
  Hash hash{};
  if (bytes.size() != hash.size()) return InvalidArgument("a hash has 32 bytes");
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

std::string Checkpoint::ToText() const {
  std::string text = fmt::format("{}\n{}\n{}\n", origin, size, Base64Encode(root));
  for (const std::string& line : extensions) text += line + "\n";
  return text;
}

Result<Checkpoint> Checkpoint::Parse(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return Bad("the last line does not end");
    if (end == 0) return Bad("an empty line");
    if (lines.size() == limits::kMaxCheckpointLines) return Bad("too many lines");
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  if (lines.size() < 3) return Bad("origin, size and root are three lines");
  Checkpoint checkpoint;
  checkpoint.origin = lines[0];
  ASSIGN_OR_RETURN(checkpoint.size, ParseTreeSize(lines[1]));
  ASSIGN_OR_RETURN(checkpoint.root, ParseHash(lines[2]));
  if (checkpoint.size == 0 && checkpoint.root != EmptyRoot()) return Bad("an empty log has another root");
  checkpoint.extensions.assign(lines.begin() + 3, lines.end());
  return checkpoint;
}

Result<VerifiedCheckpoint> VerifiedCheckpoint::Verify(std::string_view note, const VerifierKey& log_key) {
  ASSIGN_OR_RETURN(Note parsed, Note::Parse(note));
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Parse(parsed.text()));
  if (checkpoint.origin != log_key.name()) {
    return PermissionDenied(
        fmt::format("the checkpoint is of log '{}', the key is of '{}'", checkpoint.origin, log_key.name()));
  }
  if (log_key.type() != NoteKeyType::kEd25519 || log_key.Check(parsed).state != VerifierKey::Verdict::State::kGood) {
    return PermissionDenied("the checkpoint is not signed by the log's key");
  }
  return VerifiedCheckpoint(std::move(checkpoint), std::move(parsed));
}

}  // namespace hexr::ledger
