#include "courier/metrics_text.h"

#include <fmt/format.h>

#include <iterator>
#include <string_view>

namespace hexr::courier {
namespace {

// Backslash and newline always; quotes in label values.
std::string Escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quotes)
      out += "\\\"";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string ToPrometheusText(const ::hexr::node::v1::Metrics& metrics) {
  std::string out;
  const auto add = std::back_inserter(out);
  for (const auto& family : metrics.families()) {
    fmt::format_to(add, "# HELP {} {}\n# TYPE {} {}\n", family.name(), Escaped(family.help(), false), family.name(),
                   family.counter() ? "counter" : "gauge");
    for (const auto& sample : family.samples()) {
      out += family.name();
      std::string_view before = "{";
      for (const auto& label : sample.labels()) {
        fmt::format_to(add, "{}{}=\"{}\"", before, label.name(), Escaped(label.value(), true));
        before = ",";
      }
      fmt::format_to(add, "{} {}\n", sample.labels().empty() ? "" : "}", sample.value());
    }
  }
  return out;
}

}  // namespace hexr::courier
