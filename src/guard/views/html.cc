#include "guard/views/html.h"

#include <algorithm>
#include <array>

#include "base/limits/guard.h"
#include "guard/ascii.h"

namespace hexr::guard {
namespace {

constexpr size_t kLongestName = 10;

constexpr std::array<std::string_view, 36> kInline = {
    "a",    "abbr",  "acronym", "b",      "bdi",    "bdo", "big",   "cite", "code", "data", "del", "dfn",
    "em",   "font",  "i",       "img",    "ins",    "kbd", "label", "mark", "q",    "ruby", "s",   "samp",
    "slot", "small", "span",    "strike", "strong", "sub", "sup",   "time", "tt",   "u",    "var", "wbr"};
constexpr std::array<std::string_view, 61> kBlocks = {
    "address",  "article", "aside",   "blockquote", "body",    "br",     "button", "caption",  "center",
    "col",      "dd",      "details", "dialog",     "div",     "dl",     "dt",     "fieldset", "figcaption",
    "figure",   "footer",  "form",    "h1",         "h2",      "h3",     "h4",     "h5",       "h6",
    "head",     "header",  "hr",      "html",       "iframe",  "input",  "legend", "li",       "link",
    "main",     "meta",    "nav",     "noscript",   "ol",      "option", "p",      "pre",      "script",
    "section",  "select",  "source",  "style",      "summary", "table",  "tbody",  "td",       "template",
    "textarea", "tfoot",   "th",      "thead",      "title",   "tr",     "ul"};
static_assert(std::is_sorted(kInline.begin(), kInline.end()) && std::is_sorted(kBlocks.begin(), kBlocks.end()));

}  // namespace

HtmlTag ReadHtmlTag(std::string_view text, bool at_end) {
  const HtmlTag none;
  const HtmlTag unknown{0, !at_end, false};
  std::array<char, kLongestName> letters{};
  size_t n = 0;
  size_t i = 1;
  if (i < text.size() && text[i] == '/') ++i;
  for (; i < text.size() && IsAlnum(text[i]); ++i) {
    if (n == kLongestName) return none;
    letters[n++] = Lower(text[i]);
  }
  if (i == text.size()) return unknown;
  const std::string_view name(letters.data(), n);
  const bool joins = std::binary_search(kInline.begin(), kInline.end(), name);
  if (!joins && !std::binary_search(kBlocks.begin(), kBlocks.end(), name)) return none;
  for (; i < text.size() && i < limits::kMaxGuardTagBytes; ++i) {
    const char c = text[i];
    if (c == '>') return {i + 1, false, joins};
    if (c == '<' || c == '%' || c == '&' || c == '\\' || static_cast<uint8_t>(c) >= 0x7F) return none;
    if (static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') return none;
  }
  return i < limits::kMaxGuardTagBytes ? unknown : none;
}

}  // namespace hexr::guard
