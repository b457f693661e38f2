// Everything a scan reads and none changes: pattern database, personal-data tables, injection models. Built once at
// start, shared by every stream of the process. Immutable, thread-safe.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "guard/injection/model.h"
#include "guard/patterns/database.h"
#include "guard/patterns/names.h"
#include "guard/patterns/pii.h"
#include "guard/types.h"

namespace hexr::guard {

struct CustomRule {
  std::string name;
  std::string pattern;  // RE2 syntax; with `words`, plain words separated by '|'
  bool words = false;
  float score = 0.9F;
};

struct EngineOptions {
  std::string cache_dir;  // for the compiled patterns; empty: compile at every start
  std::vector<CustomRule> custom;
  bool models = true;  // false: signatures alone (the trainer builds its models so)
};

class Engine {
 public:
  static Result<std::shared_ptr<const Engine>> Create(EngineOptions options);

  const PatternDatabase& patterns() const { return *patterns_; }
  const PiiRecogniser& pii() const { return *pii_; }
  const NameRecogniser& names() const { return *names_; }
  // Null when the engine has none.
  const InjectionModel* model(Channel c) const;

 private:
  Engine() = default;
  std::unique_ptr<PatternDatabase> patterns_;
  std::unique_ptr<PiiRecogniser> pii_;
  std::unique_ptr<NameRecogniser> names_;
  std::vector<InjectionModel> models_;  // user, tool
};

// The weights that ship, as linked into the binary.
std::string_view ShippedModelBytes(bool tool);

}  // namespace hexr::guard
