#include "ledger/sequencer_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/bytes.h"
#include "base/decimal.h"

namespace hexr::ledger {

namespace {

// Inside the seal: one line a fact, in order.
//   log SIZE
//   journal WRITER OFFSET COUNTER CHAIN open|remove|aside LABEL
//   count INSTANCE|- COUNT             of the journal above
constexpr std::string_view kNoInstance = "-";
constexpr std::string_view kEnds[] = {"open", "remove", "aside"};

std::string Context(std::string_view log) { return fmt::format("hexr sequencer state\n{}", log); }

Error Bad() { return {ErrorCode::kDataLoss, "the sequencer's state is damaged"}; }

std::vector<std::string_view> Split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(by), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool ParseNumber(std::string_view text, uint64_t& out) {
  const auto n = ParseDecimal<uint64_t>(text);
  if (n) out = *n;
  return n.has_value();
}

bool ParseJournal(const std::vector<std::string_view>& words, JournalState& out) {
  if (words.size() != 7 || !ParseNumber(words[2], out.position.offset) || !ParseNumber(words[3], out.position.counter))
    return false;
  const Result<Bytes> chain = HexDecode(words[4]);
  const auto end = std::find(std::begin(kEnds), std::end(kEnds), words[5]);
  if (!chain.ok() || chain->size() != kChainBytes || end == std::end(kEnds)) return false;
  std::copy(chain->begin(), chain->end(), out.position.chain.begin());
  out.end = static_cast<JournalEnd>(end - std::begin(kEnds));
  out.label = words[6];
  return true;
}

}  // namespace

std::string BeginSnapshot(uint64_t log_size) { return fmt::format("log {}\n", log_size); }

void AddJournal(std::string_view writer, const JournalState& journal, std::string& snapshot) {
  auto to = std::back_inserter(snapshot);
  fmt::format_to(to, "journal {} {} {} {} {} {}\n", writer, journal.position.offset, journal.position.counter,
                 HexEncode(journal.position.chain), kEnds[static_cast<size_t>(journal.end)], journal.label);
  for (const auto& [instance, count] : journal.counts) {
    fmt::format_to(to, "count {} {}\n", instance.empty() ? kNoInstance : std::string_view(instance), count);
  }
}

Bytes SealSnapshots(std::string_view snapshots, const crypto::AeadKey& key, std::string_view log, Random& random) {
  return key.Seal(AsBytes(snapshots), Context(log), random);
}

Result<std::vector<SequencerSnapshot>> OpenSnapshots(ByteView sealed, const crypto::AeadKey& key,
                                                     std::string_view log) {
  ASSIGN_OR_RETURN(const crypto::Secret opened, key.Open(sealed, Context(log)));
  std::vector<SequencerSnapshot> snapshots;
  JournalState* journal = nullptr;
  for (const std::string_view line : Split(opened.RevealText(crypto::RevealToken::For("sequencer state")), '\n')) {
    const std::vector<std::string_view> words = Split(line, ' ');
    if (words.empty()) return Bad();
    if (words[0] == "log" && words.size() == 2) {
      if (!ParseNumber(words[1], snapshots.emplace_back().log_size)) return Bad();
      journal = nullptr;
    } else if (words[0] == "journal" && !snapshots.empty()) {
      if (words.size() < 2) return Bad();
      journal = &snapshots.back().journals[std::string(words[1])];
      if (!ParseJournal(words, *journal)) return Bad();
    } else if (words[0] == "count" && words.size() == 3 && journal != nullptr) {
      uint64_t& count = journal->counts[words[1] == kNoInstance ? std::string() : std::string(words[1])];
      if (!ParseNumber(words[2], count)) return Bad();
    } else {
      return Bad();
    }
  }
  return snapshots;
}

}  // namespace hexr::ledger
