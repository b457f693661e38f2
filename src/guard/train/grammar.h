// A context-free grammar of sentences, expanded at random from a seed. Training only.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace hexr::guard::train {

class Grammar {
 public:
  // A name on a line of its own, then one alternative a line, then an empty line. '#' begins a comment.
  static Result<Grammar> Parse(std::string_view text);
  // One sentence of `rule`; {payload} stands for `payload`. CHECK-fails for a rule that Parse has not seen.
  std::string Expand(const std::string& rule, Random& random, std::string_view payload = {}) const;

 private:
  std::map<std::string, std::vector<std::string>> rules_;
};

}  // namespace hexr::guard::train
