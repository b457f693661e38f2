// Whole numbers as people and protocols write them: digits alone. Stateless; thread-safe.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>

namespace hexr {

// The number that all of `text` is: digits in base ten, leading zeros too; nothing for a sign, a blank, an empty text,
// or one that T does not hold.
template <std::unsigned_integral T>
std::optional<T> ParseDecimal(std::string_view text) {
  T n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

}  // namespace hexr
