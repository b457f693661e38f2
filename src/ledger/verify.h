// Checks a whole log from its files alone: no node, no network, no trust in who hands the files over.
//
// What a log that passes is worth: with the log's key, that these are the entries the key signed, complete and in
// order, up to the checkpoint. With a witness's key, that nobody, the holder of the log's key included, has changed or
// dropped anything the witness had seen. The latest records, which no witness has seen yet, rest on the log's key
// alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ledger/checkpoint.h"
#include "ledger/note.h"
#include "ledger/storage.h"

namespace hexr::ledger {

struct Problem {
  std::string code;                // a word for programs: "tile", "root", "signature", "counter"…
  std::string message;             // a sentence for people, with the file or the record
  std::optional<uint64_t> record;  // where one record is at fault
};

struct VerifyOptions {
  VerifierKey log_key;
  // Each of them must have cosigned a checkpoint of this log.
  std::vector<VerifierKey> witnesses = {};
  // Checkpoints (signed notes) that came from elsewhere, such as the witness itself: the log must agree with them.
  std::vector<std::string> seen = {};
  // Problems beyond it are counted, not described.
  size_t max_problems = 1000;
};

struct VerifyReport {
  std::string origin;
  uint64_t records = 0;      // that were read and led to the root
  uint64_t checkpoints = 0;  // whose signature and root are right, the published one included
  uint64_t witnessed = 0;    // the size that every witness has cosigned; 0 without witnesses
  std::vector<Problem> problems;
  uint64_t problems_total = 0;
};

// An error only when nothing could be looked at (NOT_FOUND: no log here); everything else is a problem of the report.
Result<VerifyReport> VerifyLog(const Storage& storage, const VerifyOptions& options);

// {"origin", "records", "checkpoints", "witnessed", "problems": [{"code", "message", "record"}]}
std::string ToJson(const VerifyReport& report);

// A file of keys and, after them, of checkpoints: what --key and --witness take. Lines of verifier keys come first;
// empty lines and lines with '#' before them are skipped. INVALID_ARGUMENT names the line.
struct KeyFile {
  std::vector<VerifierKey> keys;
  std::vector<std::string> checkpoints;
};
Result<KeyFile> ParseKeyFile(std::string_view text);

}  // namespace hexr::ledger
