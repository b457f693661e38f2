// Go's fmt.Sprintf over the argument types that OPA hands it: integers of any size, float64, strings. Stateless.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "policy/rego/value/value.h"

namespace hexr::rego {

// Widths and precisions are bounded by kMaxGoFormatWidth.
inline constexpr int kMaxGoFormatWidth = 4096;

// Stops behind the verb that makes it longer than `most`: whoever wants no more asks for the size.
std::string GoSprintf(std::string_view format, std::span<const Value> args, size_t most);
// strconv.FormatFloat(d, verb, precision, 64); precision -1: the shortest that reads back.
std::string GoFloat(double d, char verb, int precision);

}  // namespace hexr::rego
