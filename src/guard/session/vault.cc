#include "guard/session/vault.h"

#include <cstdio>

#include "base/limits/guard.h"
#include "crypto/digest.h"

namespace hexr::guard {
namespace {

constexpr std::string_view kPrefix = "[REDACTED_";

std::string Placed(std::string_view type, uint32_t n) {
  return std::string(kPrefix) + std::string(type) + "_" + std::to_string(n) + "]";
}

void AppendJsonEscaped(std::string_view value, std::string& out) {
  for (const char c : value) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<uint8_t>(c) < 0x20) {
          char escape[8];
          std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
          out += escape;
        } else {
          out.push_back(c);
        }
    }
  }
}

bool IsPlaceholderByte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

}  // namespace

Result<std::string> Vault::Placeholder(std::string_view type, std::string_view value) {
  const std::string message = std::string(type) + '\0' + std::string(value);
  const auto digest = crypto::HmacSha256(key_.Reveal(crypto::RevealToken::For("placeholder digest")), AsBytes(message));
  const std::string id(AsText(digest));
  if (const auto it = by_digest_.find(id); it != by_digest_.end()) return it->second;
  if (values_.size() >= limits::kMaxGuardPlaceholders)
    return ResourceExhausted("this session has no room for another placeholder");
  auto count = counts_.find(type);
  if (count == counts_.end()) count = counts_.emplace(std::string(type), 0).first;
  std::string placeholder = Placed(type, ++count->second);
  by_digest_.emplace(id, placeholder);
  values_.emplace(placeholder, value);
  return placeholder;
}

const std::string* Vault::Find(std::string_view placeholder) const {
  const auto it = values_.find(std::string(placeholder));
  return it == values_.end() ? nullptr : &it->second;
}

std::string Restorer::Feed(std::string_view bytes) {
  std::string out;
  held_.append(bytes);
  size_t i = 0;
  while (i < held_.size()) {
    const size_t open = held_.find('[', i);
    if (open == std::string::npos) {
      out.append(held_, i);
      i = held_.size();
      break;
    }
    out.append(held_, i, open - i);
    i = open;
    // Does the text here still agree with a placeholder?
    size_t end = open;
    while (end < held_.size() && end - open < limits::kMaxGuardPlaceholderBytes &&
           (end - open < kPrefix.size() ? held_[end] == kPrefix[end - open] : IsPlaceholderByte(held_[end]))) {
      ++end;
    }
    if (end == held_.size() && end - open < limits::kMaxGuardPlaceholderBytes) break;  // wait for more
    const std::string* value =
        held_[end] == ']' ? vault_.Find(std::string_view(held_).substr(open, end + 1 - open)) : nullptr;
    if (value == nullptr) {
      out.push_back('[');
      i = open + 1;
    } else {
      if (json_)
        AppendJsonEscaped(*value, out);
      else
        out.append(*value);
      i = end + 1;
    }
  }
  held_.erase(0, i);
  return out;
}

std::string Restorer::Finish() {
  std::string out;
  out.swap(held_);
  return out;
}

}  // namespace hexr::guard
