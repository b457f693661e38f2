// URIs as Go's net/url takes them apart.
#include "policy/rego/builtins/uri.h"

#include <algorithm>

#include "policy/rego/builtins/support.h"
#include "policy/rego/builtins/text_codecs.h"

namespace hexr::rego {
namespace {

bool Alpha(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

}  // namespace

bool ParseUri(std::string_view raw, Uri& out, std::string& error) {
  auto bad = [&](const std::string& why) {
    std::string quoted;
    AppendGoQuoted(raw, quoted);
    error = "parse " + quoted + ": " + why;
    return false;
  };
  for (char c : raw) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) return bad("net/url: invalid control character in URL");
  }
  std::string_view s = raw;
  std::string why;
  if (size_t hash = s.find('#'); hash != std::string_view::npos) {
    if (!PercentDecode(s.substr(hash + 1), false, out.fragment, why)) return bad(why);
    s = s.substr(0, hash);
  }
  if (s.starts_with(':')) return bad("missing protocol scheme");
  for (size_t i = 0; i < s.size(); ++i) {
    if (Alpha(s[i])) continue;
    if (i > 0 && ((s[i] >= '0' && s[i] <= '9') || s[i] == '+' || s[i] == '-' || s[i] == '.')) continue;
    if (s[i] == ':') {
      out.scheme = s.substr(0, i);
      std::transform(out.scheme.begin(), out.scheme.end(), out.scheme.begin(),
                     [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
      s.remove_prefix(i + 1);
    }
    break;
  }
  if (size_t q = s.find('?'); q != std::string_view::npos) {
    out.raw_query = s.substr(q + 1);
    s = s.substr(0, q);
  }
  if (!s.starts_with('/')) {
    if (!out.scheme.empty()) {  // mailto:x
      out.opaque = s;
      return true;
    }
    size_t colon = s.find(':');
    if (colon != std::string_view::npos && s.substr(0, colon).find('/') == std::string_view::npos)
      return bad("first path segment in URL cannot contain colon");
  }
  if (s.starts_with("//") && !(out.scheme.empty() && s.starts_with("///"))) {
    s.remove_prefix(2);
    size_t slash = s.find('/');
    std::string_view authority = s.substr(0, slash);
    s = slash == std::string_view::npos ? std::string_view() : s.substr(slash);
    if (size_t at = authority.rfind('@'); at != std::string_view::npos) {
      out.has_user = true;
      authority = authority.substr(at + 1);
    }
    out.host = authority;
    std::string_view host = authority, port;
    if (authority.starts_with('[')) {
      size_t close = authority.rfind(']');
      if (close == std::string_view::npos) return bad("missing ']' in host");
      host = authority.substr(1, close - 1);
      std::string_view rest = authority.substr(close + 1);
      if (!rest.empty() && rest[0] != ':') return bad("invalid port \"" + std::string(rest) + "\" after host");
      if (!rest.empty()) port = rest.substr(1);
    } else if (size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
      host = authority.substr(0, colon);
      port = authority.substr(colon + 1);
      if (host.find(':') != std::string_view::npos) return bad("invalid host");
    }
    if (!std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      return bad("invalid port \":" + std::string(port) + "\" after host");
    }
    if (!PercentDecode(host, false, out.hostname, why)) return bad(why);
    if (out.hostname.find_first_of(" <>\"") != std::string::npos) return bad("invalid character \" \" in host name");
    out.port = port;
  }
  out.escaped_path = s;
  if (!PercentDecode(s, false, out.path, why)) return bad(why);
  // Kept only when the decoded path would not be written like this.
  std::string plain;
  for (char c : out.path) {
    bool ok = Alpha(c) || (c >= '0' && c <= '9') || std::string_view("-_.~$&+,/:;=@").find(c) != std::string_view::npos;
    if (ok) {
      plain += c;
    } else {
      static constexpr char kHex[] = "0123456789ABCDEF";
      plain += '%';
      plain += kHex[(c >> 4) & 15];
      plain += kHex[c & 15];
    }
  }
  if (plain != s) out.raw_path = s;
  return true;
}

namespace {

Value UriParse(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  Uri u;
  std::string error;
  if (!ParseUri(s, u, error)) return c.Fail(error);
  ObjectBuilder out(c.arena, 8);
  auto add = [&](std::string_view key, const std::string& v) {
    if (!v.empty()) out.Add(key, c.Text(v));
  };
  add("scheme", u.scheme);
  add("hostname", u.hostname);
  add("port", u.port);
  add("path", u.path);
  if (!u.path.empty()) add("raw_path", u.raw_path.empty() ? u.path : u.raw_path);
  add("raw_query", u.raw_query);
  add("fragment", u.fragment);
  return out.Finish();
}
Value UriIsValid(Call& c) {
  Uri u;
  std::string error;
  return Value::Bool(c[0].is_string() && !c[0].text().empty() && ParseUri(c[0].text(), u, error));
}

}  // namespace

std::span<const Builtin> UriBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "uri.parse", .arity = 1, .fn = UriParse},
      {.name = "uri.is_valid", .arity = 1, .fn = UriIsValid},
  };
  return kTable;
}

}  // namespace hexr::rego
