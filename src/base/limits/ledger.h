// The ledger: records, journals, logs, witnesses.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hexr::limits {

inline constexpr size_t kMaxPublicNameBytes = 256;
inline constexpr size_t kMaxRecordBytes = 32 * 1024;  // an entry of tlog-tiles has at most 65,535
inline constexpr size_t kMaxRecordDepth = 4;          // objects and lists inside a record's body
inline constexpr size_t kMaxNoteBytes = 64 * 1024;
inline constexpr size_t kMaxNoteSignatures = 64;  // signed-note asks for 16 or more
inline constexpr size_t kMaxNoteKeyNameBytes = 255;
inline constexpr size_t kMaxCheckpointLines = 64;
inline constexpr size_t kMaxAddCheckpointBytes = kMaxNoteBytes + 64 * 48;
inline constexpr size_t kMaxStoredTextBytes = 1024 * 1024;     // longer texts leave their digest alone
inline constexpr size_t kMaxFrameTextBytes = 4 * 1024 * 1024;  // texts beside one record
inline constexpr size_t kMaxJournalFrameBytes = 5 * 1024 * 1024;
inline constexpr size_t kMaxJournalInstances = 65536;  // live at a time in one journal
inline constexpr size_t kMaxJournalsPerLabel = 8;      // of one process in one log, until they are read and committed
inline constexpr size_t kMaxJournalsAside = 64;        // damaged, kept for people; then their log opens no other
inline constexpr uint64_t kRotateJournalBytes = 64 * 1024 * 1024;
inline constexpr uint64_t kMaxPendingRecords = 65536;  // read from journals and not in a checkpoint yet

}  // namespace hexr::limits
