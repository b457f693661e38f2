#include "ledger/record_scan.h"

#include <fmt/format.h>

#include <array>
#include <iterator>

#include "base/limits/ledger.h"

namespace hexr::ledger {

namespace {

constexpr uint8_t kInString = 1, kInKey = 2;
constexpr std::array<uint8_t, 256> kCharacters = [] {
  std::array<uint8_t, 256> out{};
  for (int c = 0x21; c <= 0x7E; ++c) {
    const bool in_key = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (c != '"' && c != '\\') out[static_cast<size_t>(c)] = in_key ? kInString | kInKey : kInString;
  }
  return out;
}();
bool CharacterIs(uint8_t what, char c) { return (kCharacters[static_cast<uint8_t>(c)] & what) != 0; }

// Reads forward over the text. The first thing that does not fit stops it for good; `ok()` says whether that happened.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool ok() const { return ok_; }
  size_t offset() const { return at_; }
  bool done() const { return ok_ && at_ == text_.size(); }
  bool Peek(char c) const { return ok_ && at_ < text_.size() && text_[at_] == c; }
  bool Peek(std::string_view literal) const { return ok_ && text_.substr(at_).starts_with(literal); }

  bool Take(char c) {
    if (!Peek(c)) return Fail();
    ++at_;
    return true;
  }
  bool Take(std::string_view literal) {
    if (!Peek(literal)) return Fail();
    at_ += literal.size();
    return true;
  }

  // What stands between two quotes: at least one character.
  std::string_view String() {
    if (!Take('"')) return {};
    const size_t begin = at_;
    while (at_ < text_.size() && CharacterIs(kInString, text_[at_])) ++at_;
    const std::string_view s = text_.substr(begin, at_ - begin);
    if (s.empty() || !Take('"')) return Fail(), std::string_view();
    return s;
  }

  uint64_t Unsigned() {
    const size_t begin = at_;
    uint64_t v = 0;
    while (ok_ && at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      v = v * 10 + static_cast<uint64_t>(text_[at_] - '0');
      if (v > kMaxExactInteger) return Fail(), 0;
      ++at_;
    }
    if (at_ == begin || (text_[begin] == '0' && at_ > begin + 1)) return Fail(), 0;
    return v;
  }

  std::string_view Object(unsigned depth) {
    const size_t begin = at_;
    if (depth > limits::kMaxRecordDepth) return Fail(), std::string_view();
    if (!Take('{')) return {};
    std::string_view previous;
    while (ok_ && !Peek('}')) {
      if (!previous.empty() && !Take(',')) break;
      const std::string_view key = Key();
      // Canonical order and unique keys are one check: each key is greater than the one before.
      if (!ok_ || (!previous.empty() && key <= previous)) return Fail(), std::string_view();
      previous = key;
      Take(':');
      Value(depth);
    }
    if (!Take('}')) return {};
    return text_.substr(begin, at_ - begin);
  }

 private:
  bool Fail() {
    ok_ = false;
    return false;
  }

  std::string_view Key() {
    if (!Take('"')) return {};
    const size_t begin = at_;
    while (at_ < text_.size() && CharacterIs(kInKey, text_[at_])) ++at_;
    const std::string_view key = text_.substr(begin, at_ - begin);
    if (key.empty() || !Take('"')) return Fail(), std::string_view();
    return key;
  }

  void Value(unsigned depth) {
    if (!ok_ || at_ == text_.size()) {
      Fail();
      return;
    }
    switch (text_[at_]) {
      case '"': String(); return;
      case '{': Object(depth + 1); return;
      case '[': Array(depth + 1); return;
      case 't': Take("true"); return;
      case 'f': Take("false"); return;
      case '-':
        ++at_;
        if (Unsigned() == 0) Fail();  // minus zero is written 0
        return;
      default: Unsigned(); return;
    }
  }

  void Array(unsigned depth) {
    if (depth > limits::kMaxRecordDepth) {
      Fail();
      return;
    }
    Take('[');
    bool first = true;
    while (ok_ && !Peek(']')) {
      if (!first && !Take(',')) return;
      first = false;
      Value(depth);
    }
    Take(']');
  }

  std::string_view text_;
  size_t at_ = 0;
  bool ok_ = true;
};

Error BadRecord(size_t offset, std::string_view why) {
  return InvalidArgument(fmt::format("not a record, at byte {}: {}", offset, why));
}

// Our own form of RFC 3339: UTC with six digits, so that one time has one text.
bool ParseTime(std::string_view text, WallTime& out) {
  if (text.size() != std::string_view("2026-01-02T03:04:05.678901Z").size() || text[10] != 'T' || text[19] != '.' ||
      text.back() != 'Z' || text.substr(17, 2) == "60") {
    return false;
  }
  const Result<WallTime> time = ParseRfc3339(text);
  if (!time.ok()) return false;
  out = time.value();
  return true;
}

bool IsWriter(std::string_view text) {
  if (text.size() != Record::kWriterBytes) return false;
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

}  // namespace

Result<RecordView> ScanRecord(std::string_view json, SeqField seq) {
  const size_t with_seq = json.size() + (seq == SeqField::kAbsent ? kSeqFieldBytes : 0);
  if (with_seq > limits::kMaxRecordBytes) return ResourceExhausted("a record of this size is not read");
  Scanner s(json);
  RecordView view;
  const auto optional = [&s](std::string_view prefix) -> std::string_view {
    if (!s.Peek(prefix)) return {};
    s.Take(prefix);
    return s.String();
  };
  s.Take("{\"body\":");
  view.body = s.Object(0);
  view.call_id = optional(",\"call_id\":");
  view.instance = optional(",\"instance\":");
  s.Take(",\"instance_seq\":");
  view.instance_seq = s.Unsigned();
  s.Take(",\"kind\":");
  const std::string_view kind = s.String();
  view.seq_offset = s.offset();
  if (seq == SeqField::kPresent) {
    s.Take(",\"seq\":");
    view.seq = s.Unsigned();
  }
  s.Take(",\"spiffe_id\":");
  view.spiffe_id = s.String();
  view.tenant = optional(",\"tenant\":");
  s.Take(",\"time\":");
  const std::string_view time = s.String();
  s.Take(",\"v\":1,\"writer\":");
  view.writer = s.String();
  s.Take('}');
  if (!s.done()) return BadRecord(s.offset(), "canonical form expected");
  const std::optional<RecordKind> known = FindRecordKind(kind);
  if (!known) return BadRecord(view.seq_offset, "unknown kind");
  view.kind = *known;
  if (!ParseTime(time, view.time)) return BadRecord(s.offset(), "time is not RFC 3339 in UTC with six digits");
  if (!IsWriter(view.writer)) return BadRecord(s.offset(), "writer is not 16 hex digits");
  if (view.instance_seq == 0) return BadRecord(s.offset(), "instance_seq counts from 1");
  if (view.call_id.size() > limits::kMaxPublicNameBytes) return BadRecord(s.offset(), "call_id is too long");
  if (!view.instance.empty()) RETURN_IF_ERROR(InstanceId::Check(view.instance));
  if (!view.tenant.empty()) RETURN_IF_ERROR(IdSegment::Check(view.tenant));
  RETURN_IF_ERROR(SpiffeId::CheckCanonical(view.spiffe_id));
  return view;
}

Status ScanBody(std::string_view json) {
  Scanner s(json);
  s.Object(0);
  if (!s.done()) return BadRecord(s.offset(), "canonical form expected");
  return Ok();
}

void AppendUnsequenced(const Event& event, std::string_view writer, uint64_t instance_seq, std::string& out) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, "{{\"body\":{}", event.body.ToJson());
  if (event.call_id) fmt::format_to(to, ",\"call_id\":\"{}\"", event.call_id->value());
  if (event.instance) fmt::format_to(to, ",\"instance\":\"{}\"", event.instance->value());
  fmt::format_to(to, ",\"instance_seq\":{},\"kind\":\"{}\",\"spiffe_id\":\"{}\"", instance_seq,
                 RecordKindName(event.kind), event.spiffe_id.ToString());
  if (event.tenant) fmt::format_to(to, ",\"tenant\":\"{}\"", event.tenant->value());
  fmt::format_to(to, ",\"time\":\"{}\",\"v\":{},\"writer\":\"{}\"}}", FormatRfc3339(event.time, 6), Record::kVersion,
                 writer);
}

void AppendSequenced(std::string_view unsequenced, size_t seq_offset, uint64_t seq, std::string& out) {
  const fmt::format_int number(seq);
  out.append(unsequenced.substr(0, seq_offset)).append(",\"seq\":").append(number.data(), number.size());
  out.append(unsequenced.substr(seq_offset));
}

}  // namespace hexr::ledger
