#include "guard/train/grammar.h"

#include "base/check.h"

namespace hexr::guard::train {
namespace {

bool IsName(std::string_view s) {
  if (s.empty() || s[0] < 'a' || s[0] > 'z') return false;
  for (const char c : s) {
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') return false;
  }
  return true;
}

}  // namespace

Result<Grammar> Grammar::Parse(std::string_view text) {
  Grammar g;
  std::string name;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    if (line.empty()) {
      name.clear();
    } else if (line[0] == '#' && name.empty()) {
      continue;
    } else if (name.empty()) {
      if (!IsName(line) || g.rules_.contains(std::string(line)))
        return InvalidArgument("grammar:" + std::to_string(number) + ": a new name is expected");
      name = line;
    } else {
      std::string alternative;
      for (size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == 'n') {
          alternative.push_back('\n');
          ++i;
        } else {
          alternative.push_back(line[i]);
        }
      }
      g.rules_[name].push_back(std::move(alternative));
    }
  }
  for (const auto& [rule, alternatives] : g.rules_) {
    if (alternatives.empty()) return InvalidArgument("grammar: rule " + rule + " has no alternative");
  }
  return g;
}

std::string Grammar::Expand(const std::string& rule, Random& random, std::string_view payload) const {
  const auto it = rules_.find(rule);
  HEXR_CHECK(it != rules_.end());
  const std::string& text = it->second[random.Below(it->second.size())];
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t close = text[i] == '{' ? text.find('}', i) : std::string::npos;
    const std::string_view name =
        close == std::string::npos ? std::string_view() : std::string_view(text).substr(i + 1, close - i - 1);
    if (name == "payload") {
      out += payload;
      i = close;
    } else if (IsName(name) && rules_.contains(std::string(name))) {
      out += Expand(std::string(name), random, payload);
      i = close;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace hexr::guard::train
