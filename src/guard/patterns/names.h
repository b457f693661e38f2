// Names of people and street addresses, by form, by the words around them and by lists of frequent names. What rests on
// a list alone is a guess and scores as one. Immutable, thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace hexr::guard {

// What a token is to a phrase that may be a name or an address: "Clara", "12b", "de".
enum class PhraseWord : uint8_t { kNone, kCapital, kNumber, kLink };
PhraseWord PhraseWordOf(std::string_view token);

class NameRecogniser {
 public:
  static Result<std::unique_ptr<NameRecogniser>> Create();
  ~NameRecogniser();

  struct Hit {
    const char* type;  // PERSON or STREET_ADDRESS
    size_t start;      // in `phrase`
    size_t end;
    float score;
  };
  // Of a phrase: capitalised words, small numbers and the words that link them, as they follow each other. `before` is
  // what stands left of it. Hits in order, none overlapping. Returns the bytes handed to expressions.
  uint64_t Scan(std::string_view phrase, std::string_view before, const std::function<void(const Hit&)>& emit) const;

 private:
  struct Tables;
  explicit NameRecogniser(std::unique_ptr<Tables> tables);
  std::unique_ptr<Tables> tables_;
};

}  // namespace hexr::guard
