// The triggers of all rules in one Vectorscan stream database, and each rule's confirming expression. Immutable,
// thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "guard/patterns/rule.h"

struct hs_database;
struct hs_scratch;
struct hs_stream;
namespace re2 {
class RE2;
}

namespace hexr::guard {

class PatternDatabase {
 public:
  ~PatternDatabase();

  // Compiles the triggers, or loads them from `cache_dir` when that holds a database of these very rules for this
  // processor and library. INVALID_ARGUMENT names the rule that does not compile; DATA_LOSS when a cached file is not
  // what was written: it is never used, and never quietly replaced. An empty `cache_dir` compiles.
  static Result<std::unique_ptr<PatternDatabase>> Create(std::vector<Rule> rules, const std::string& cache_dir);

  const std::vector<Rule>& rules() const { return rules_; }
  const hs_database* database() const { return db_; }
  // Compiled at first use: most rules never hit. Null when the rule has none.
  const re2::RE2* Confirm(size_t rule) const;
  // Bytes of Vectorscan's state a stream.
  size_t stream_bytes() const { return stream_bytes_; }
  bool loaded_from_cache() const { return from_cache_; }

 private:
  struct Lazy {
    std::once_flag once;
    std::unique_ptr<re2::RE2> re;
  };
  PatternDatabase() = default;

  std::vector<Rule> rules_;
  hs_database* db_ = nullptr;
  size_t stream_bytes_ = 0;
  bool from_cache_ = false;
  std::unique_ptr<Lazy[]> confirm_;
};

// Every rule that ships.
std::vector<Rule> ShippedRules();

}  // namespace hexr::guard
