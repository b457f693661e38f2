// What records must be to each other: numbers without holes, writers that were opened, losses that are admitted.
// Belongs to one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ledger/record_scan.h"

namespace hexr::ledger {

// Whether a journal of this label may carry records of this kind: "keeper" those that the keeper alone has authority
// for, "gateway/TENANT" what a gateway does and decides. Records about the log are the sequencer's own, which has no
// journal. Other labels: none.
bool MayRecord(std::string_view label, RecordKind kind);

class RecordRules {
 public:
  using Report = std::function<void(std::string_view code, std::string message)>;

  // The next record of the log, which stands at `index`.
  void Check(const RecordView& record, uint64_t index, const Report& report);

 private:
  struct StringHash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>()(s); }
  };
  struct Writer {
    std::unordered_map<std::string, uint64_t, StringHash, std::equal_to<>> counts;  // by instance
    std::string label;
    bool closed = false;
  };

  void CheckAboutLog(const RecordView& record, const Report& report);

  std::unordered_map<std::string, Writer, StringHash, std::equal_to<>> writers_;
  std::string tenant_;
  // The gap that the record before this one admitted, and whose.
  struct Gap {
    std::string writer;
    std::string instance;
    uint64_t next = 0;
  };
  Gap gap_;
};

}  // namespace hexr::ledger
