#include "wire/http_fields.h"

#include <algorithm>

#include "base/decimal.h"

namespace hexr::wire {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return Lower(c) >= 'a' && Lower(c) <= 'z'; }

// Calls `f` with each element of a comma-separated list.
template <class F>
void ForEachElement(std::string_view list, F f) {
  while (true) {
    const size_t comma = list.find(',');
    const std::string_view element = TrimBlanks(list.substr(0, comma));
    if (!element.empty()) f(element);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string_view TrimBlanks(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return Lower(x) == Lower(y); });
}

bool IsHttpToken(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [=](char c) {
    return IsAlpha(c) || IsDigit(c) || kMarks.find(c) != std::string_view::npos;
  });
}

bool IsHttpFieldValue(std::string_view text) {
  if (TrimBlanks(text).size() != text.size()) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<uint8_t>(c);
    return (u >= 0x20 && u != 0x7F) || c == '\t';
  });
}

std::optional<std::string_view> OnlyField(const std::vector<HttpField>& fields, std::string_view name) {
  std::optional<std::string_view> found;
  for (const HttpField& f : fields) {
    if (!EqualsIgnoreCase(f.name, name)) continue;
    if (found) return std::nullopt;
    found = f.value;
  }
  return found;
}

size_t CountFields(const std::vector<HttpField>& fields, std::string_view name) {
  return static_cast<size_t>(
      std::count_if(fields.begin(), fields.end(), [=](const HttpField& f) { return EqualsIgnoreCase(f.name, name); }));
}

void SetField(std::vector<HttpField>& fields, std::string_view name, std::string_view value) {
  const auto is_it = [=](const HttpField& f) { return EqualsIgnoreCase(f.name, name); };
  const auto first = std::find_if(fields.begin(), fields.end(), is_it);
  if (first == fields.end()) {
    fields.push_back({std::string(name), std::string(value)});
    return;
  }
  first->value = value;
  fields.erase(std::remove_if(first + 1, fields.end(), is_it), fields.end());
}

void RemoveField(std::vector<HttpField>& fields, std::string_view name) {
  std::erase_if(fields, [=](const HttpField& f) { return EqualsIgnoreCase(f.name, name); });
}

bool ListHolds(const std::vector<HttpField>& fields, std::string_view name, std::string_view token) {
  bool found = false;
  for (const HttpField& f : fields) {
    if (!EqualsIgnoreCase(f.name, name)) continue;
    ForEachElement(f.value, [&](std::string_view element) { found |= EqualsIgnoreCase(element, token); });
  }
  return found;
}

void RemoveHopByHop(std::vector<HttpField>& fields) {
  std::vector<std::string> gone{"connection",        "proxy-connection",  "keep-alive", "te",
                                "trailer",           "transfer-encoding", "upgrade",    "proxy-authorization",
                                "proxy-authenticate"};
  for (const HttpField& f : fields) {
    if (!EqualsIgnoreCase(f.name, "connection")) continue;
    ForEachElement(f.value, [&gone](std::string_view element) {
      if (!EqualsIgnoreCase(element, "host")) gone.emplace_back(element);
    });
  }
  for (const std::string& name : gone) RemoveField(fields, name);
}

std::string HttpAuthority::ToString() const {
  std::string out = ipv6 ? "[" + host + "]" : host;
  if (port != 0) out += ":" + std::to_string(port);
  return out;
}

Result<HttpAuthority> HttpAuthority::Parse(std::string_view text) {
  HttpAuthority out;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return InvalidArgument("http: unclosed IPv6 address");
    out.ipv6 = true;
    out.host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    const auto ok = [](char c) { return IsDigit(c) || (Lower(c) >= 'a' && Lower(c) <= 'f') || c == ':' || c == '.'; };
    if (out.host.empty() || !std::all_of(out.host.begin(), out.host.end(), ok))
      return InvalidArgument("http: bad IPv6 address");
  } else {
    const size_t colon = text.find(':');
    out.host = text.substr(0, colon);
    rest = colon == std::string_view::npos ? "" : text.substr(colon);
    const auto ok = [](char c) { return IsDigit(c) || IsAlpha(c) || c == '-' || c == '.' || c == '_'; };
    if (out.host.empty() || !std::all_of(out.host.begin(), out.host.end(), ok))
      return InvalidArgument("http: bad host");
  }
  std::transform(out.host.begin(), out.host.end(), out.host.begin(), Lower);
  if (out.host.size() > 255) return InvalidArgument("http: host is too long");
  if (rest.empty()) return out;
  if (rest[0] != ':' || rest.size() < 2 || rest.size() > 6) return InvalidArgument("http: bad port");
  const auto port = ParseDecimal<uint16_t>(rest.substr(1));
  if (port.value_or(0) == 0) return InvalidArgument("http: bad port");
  out.port = *port;
  return out;
}

Result<HttpTarget> HttpTarget::Parse(std::string_view method, std::string_view target) {
  HttpTarget out;
  const auto visible = [](char c) { return c > 0x20 && c < 0x7F && c != '#'; };
  if (target.empty() || !std::all_of(target.begin(), target.end(), visible)) return InvalidArgument("http: bad target");
  if (method == "CONNECT") {
    out.form = Form::kAuthority;
    ASSIGN_OR_RETURN(out.authority, HttpAuthority::Parse(target));
    if (out.authority.port == 0) return InvalidArgument("http: CONNECT needs a port");
    return out;
  }
  if (target == "*") {
    if (method != "OPTIONS") return InvalidArgument("http: bad target");
    out.form = Form::kAsterisk;
    return out;
  }
  if (target[0] == '/') {
    out.path = target;
    return out;
  }
  const size_t colon = target.find("://");
  if (colon == std::string_view::npos) return InvalidArgument("http: bad target");
  out.form = Form::kAbsolute;
  out.scheme = target.substr(0, colon);
  std::transform(out.scheme.begin(), out.scheme.end(), out.scheme.begin(), Lower);
  if (out.scheme != "http" && out.scheme != "https") return InvalidArgument("http: unknown scheme");
  const std::string_view rest = target.substr(colon + 3);
  const size_t end = rest.find_first_of("/?");
  ASSIGN_OR_RETURN(out.authority, HttpAuthority::Parse(rest.substr(0, end)));
  if (end != std::string_view::npos) out.path = rest.substr(end);
  if (!out.path.starts_with('/')) out.path.insert(0, 1, '/');
  return out;
}

}  // namespace hexr::wire
