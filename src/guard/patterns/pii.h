// Personal data in short stretches of text that hold digits or an address: cards, accounts, phones, identifiers of some
// forty countries, mail addresses, domains, IP and MAC addresses, crypto addresses, dates. Immutable, thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace hexr::guard {

// Below this a candidate is not reported: nine digits are a passport number only beside the word.
inline constexpr float kPiiReported = 0.3F;

class PiiRecogniser {
 public:
  static Result<std::unique_ptr<PiiRecogniser>> Create();
  ~PiiRecogniser();

  struct Hit {
    const char* type;
    size_t start;  // in `text`
    size_t end;
    float score;
  };
  // Candidates of `text`, a stretch without line ends; `before` is what stands left of it, `after` right
  // of it: words that say what a number is.
  // Hits of at least `least` score, in order of position; where two of any type overlap the better one stays,
  // unless `all` asks for every reading. Returns what it cost: the bytes handed to expressions.
  uint64_t Scan(std::string_view text, std::string_view before, std::string_view after, float least, bool all,
                const std::function<void(const Hit&)>& emit) const;

 private:
  struct Tables;
  explicit PiiRecogniser(std::unique_ptr<Tables> tables);
  std::unique_ptr<Tables> tables_;
};

}  // namespace hexr::guard
