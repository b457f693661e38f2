// One thing to look for: a trigger for the multi-pattern engine, and what must hold around a hit. Values; immutable
// once built.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "guard/types.h"

namespace hexr::guard {

enum class RuleKind : uint8_t {
  kMatch,      // the confirming expression decides
  kPemRegion,  // opens a region that ends at its footer
  kTransform,  // a word in disguise: the text around it is read again in another view
  kFeature,    // evidence for the injection model only
};

struct Rule {
  Scanner scanner{};
  RuleKind kind = RuleKind::kMatch;
  View view = View::kRaw;  // kTransform: the view to read the surroundings in
  std::string type;
  std::string trigger;  // Vectorscan syntax; must match inside every confirmed match
  std::string confirm;  // RE2 syntax; group 1, when there is one, is what is reported. Empty: the trigger is the match
  uint32_t look_back = 128;  // bytes before the hit that the confirming expression sees
  float score = 0.9F;
  float min_entropy = 0;  // bits a character of the reported value
  bool quoted = false;    // the value may hold spaces and commas: wait for the closing quote
  bool (*validate)(std::string_view value, std::string_view match) = nullptr;
};

std::vector<Rule> SecretRules();
std::vector<Rule> SignatureRules();
std::vector<Rule> UrlRules();

}  // namespace hexr::guard
