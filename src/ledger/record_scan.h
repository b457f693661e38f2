// The grammar of records, checked in one pass without allocation: a narrow part of canonical JSON (RFC 8785), so that
// one record has one text. Strings are visible ASCII without quote and backslash, numbers are integers up to 2^53-1,
// keys are sorted and lower case, depth is bounded. Stateless; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "ledger/types.h"

namespace hexr::ledger {

// Pieces of a record's text. Optional ones are empty when absent. Valid while the text is.
struct RecordView {
  std::string_view body;
  std::string_view call_id;
  std::string_view instance;
  uint64_t instance_seq = 0;
  RecordKind kind = RecordKind::kLog;
  uint64_t seq = 0;
  std::string_view spiffe_id;
  std::string_view tenant;
  WallTime time{};
  std::string_view writer;
  size_t seq_offset = 0;  // where "seq" stands, or would
};

// 2^53-1: what every reader of JSON takes for the same number.
inline constexpr uint64_t kMaxExactInteger = (uint64_t{1} << 53) - 1;

// `,"seq":` and the largest number: what AppendSequenced may add.
inline constexpr size_t kSeqFieldBytes = 7 + 16;

enum class SeqField : uint8_t { kPresent, kAbsent };

// INVALID_ARGUMENT with the byte where the text leaves the grammar. RESOURCE_EXHAUSTED: over limits::kMaxRecordBytes,
// with its number in place.
Result<RecordView> ScanRecord(std::string_view json, SeqField seq);

// An event as a record without `seq`, appended to `out`: what a journal carries. `time` is cut to microseconds.
void AppendUnsequenced(const Event& event, std::string_view writer, uint64_t instance_seq, std::string& out);

// The text of the record: `unsequenced` with its number in place, appended to `out`.
void AppendSequenced(std::string_view unsequenced, size_t seq_offset, uint64_t seq, std::string& out);

// One canonical object of the same grammar, alone.
Status ScanBody(std::string_view json);

}  // namespace hexr::ledger
