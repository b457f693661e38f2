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
inline constexpr size_t kMaxWaitingRecords = 4096;     // of the keeper's in one log, while it has no journal
inline constexpr uint64_t kRotateJournalBytes = 64 * 1024 * 1024;
inline constexpr uint64_t kMaxPendingRecords = 65536;  // read from journals and not in a checkpoint yet

// Of a disk with journals: what processes other than the keeper leave free, so that a kill, the end of an identity and
// the log itself can still be written. At most this much, and a twentieth of the disk.
inline constexpr uint64_t kDiskKeptBack = 64 * 1024 * 1024;
inline constexpr uint64_t kDiskKeptBackPart = 20;
// Records about one instance that it can cause without end; what goes beyond is counted.
inline constexpr uint32_t kDenialsPerSecond = 16;
inline constexpr uint32_t kNotesPerSecond = 4;  // of the keeper: execs, and what they do to an identity
inline constexpr uint32_t kRepeatBurstSeconds = 16;
inline constexpr size_t kMaxRepeatSorts = 16;  // that are remembered, per instance

}  // namespace hexr::limits
