// HTML tags as they stand between the words of a text. Stateless, thread-safe.
#pragma once

#include <cstddef>
#include <string_view>

namespace hexr::guard {

struct HtmlTag {
  size_t size = 0;     // bytes; 0: no tag here
  bool more = false;   // `text` ends within what may become one
  bool joins = false;  // what stands on both sides is read as one: <b>, <span …>
};

// The tag at the start of `text`, which begins with '<': a name that HTML knows, and nothing inside that a folder would
// change, so that whoever leaves it out loses nothing that is not read as it stands. `at_end`: no more text will come.
HtmlTag ReadHtmlTag(std::string_view text, bool at_end);

}  // namespace hexr::guard
