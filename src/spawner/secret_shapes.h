// Values that are secrets whatever their variable is called: by the shapes that issuers give them. A small table; the
// content guard has its own, larger one, for text. Pure functions.
#pragma once

#include <string_view>

namespace hexr::spawner {

// What the value holds, in words ("a GitHub token"); empty when no part of it has the shape of a secret.
std::string_view SecretIn(std::string_view value);

}  // namespace hexr::spawner
