// CIDR blocks.
#include <algorithm>
#include <array>
#include <optional>

#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

// An address of 4 or 16 bytes; an IPv4-mapped one counts as IPv4, as in Go.
struct Ip {
  std::array<uint8_t, 16> bytes{};
  size_t size = 0;
  auto operator<=>(const Ip&) const = default;
};
struct Net {
  Ip ip;
  int prefix = 0;
  Ip first, last;
};

std::optional<Ip> ParseV4(std::string_view s) {
  Ip ip;
  ip.size = 4;
  for (size_t i = 0; i < 4; ++i) {
    size_t n = 0;
    int v = 0;
    while (n < s.size() && n < 4 && s[n] >= '0' && s[n] <= '9') v = v * 10 + (s[n++] - '0');
    if (n == 0 || n > 3 || v > 255 || (n > 1 && s[0] == '0')) return std::nullopt;
    ip.bytes[i] = static_cast<uint8_t>(v);
    s.remove_prefix(n);
    if (i < 3) {
      if (s.empty() || s[0] != '.') return std::nullopt;
      s.remove_prefix(1);
    }
  }
  return s.empty() ? std::optional(ip) : std::nullopt;
}

std::optional<Ip> ParseV6(std::string_view s) {
  std::vector<uint16_t> head, tail;
  bool gap = false;
  std::vector<uint16_t>* to = &head;
  if (s.starts_with("::")) {
    gap = true;
    to = &tail;
    s.remove_prefix(2);
  }
  while (!s.empty()) {
    size_t n = 0;
    uint32_t v = 0;
    while (n < s.size() && n < 5 && std::isxdigit(static_cast<unsigned char>(s[n]))) {
      char ch = s[n++];
      v = v * 16 + static_cast<uint32_t>(ch <= '9' ? ch - '0' : (ch | 32) - 'a' + 10);
    }
    if (n == 0 || n > 4) return std::nullopt;
    if (n < s.size() && s[n] == '.') {
      auto v4 = ParseV4(s);
      if (!v4) return std::nullopt;
      to->push_back(static_cast<uint16_t>(v4->bytes[0] << 8 | v4->bytes[1]));
      to->push_back(static_cast<uint16_t>(v4->bytes[2] << 8 | v4->bytes[3]));
      s = {};
      break;
    }
    to->push_back(static_cast<uint16_t>(v));
    s.remove_prefix(n);
    if (s.empty()) break;
    if (s[0] != ':') return std::nullopt;
    s.remove_prefix(1);
    if (s.empty()) return std::nullopt;
    if (s[0] == ':') {
      if (gap) return std::nullopt;
      gap = true;
      to = &tail;
      s.remove_prefix(1);
    }
  }
  size_t count = head.size() + tail.size();
  if (count > 8 || (gap ? count > 7 : count != 8)) return std::nullopt;
  Ip ip;
  ip.size = 16;
  for (size_t i = 0; i < head.size(); ++i) {
    ip.bytes[2 * i] = static_cast<uint8_t>(head[i] >> 8);
    ip.bytes[2 * i + 1] = static_cast<uint8_t>(head[i]);
  }
  for (size_t i = 0; i < tail.size(); ++i) {
    size_t at = 8 - tail.size() + i;
    ip.bytes[2 * at] = static_cast<uint8_t>(tail[i] >> 8);
    ip.bytes[2 * at + 1] = static_cast<uint8_t>(tail[i]);
  }
  return ip;
}

bool Mapped(const Ip& ip) {
  return ip.size == 16 && std::all_of(ip.bytes.begin(), ip.bytes.begin() + 10, [](uint8_t b) { return b == 0; }) &&
         ip.bytes[10] == 0xFF && ip.bytes[11] == 0xFF;
}
Ip Unmapped(const Ip& ip) {
  if (!Mapped(ip)) return ip;
  Ip v4;
  v4.size = 4;
  std::copy(ip.bytes.begin() + 12, ip.bytes.end(), v4.bytes.begin());
  return v4;
}

std::optional<Ip> ParseIp(std::string_view s) {
  auto ip = s.find(':') == std::string_view::npos ? ParseV4(s) : ParseV6(s);
  if (ip) return Unmapped(*ip);
  return std::nullopt;
}

Ip Mask(const Ip& ip, int prefix, bool ones) {
  Ip out = ip;
  for (size_t i = 0; i < ip.size; ++i) {
    int keep = std::clamp(prefix - static_cast<int>(i) * 8, 0, 8);
    auto host = static_cast<uint8_t>(0xFF >> keep);
    out.bytes[i] = static_cast<uint8_t>(ones ? ip.bytes[i] | host : ip.bytes[i] & ~host);
  }
  return out;
}

std::optional<Net> MakeNet(const Ip& ip, int prefix) {
  Net n;
  n.ip = ip;
  n.prefix = prefix;
  n.first = Mask(ip, prefix, false);
  n.last = Mask(ip, prefix, true);
  // A block of IPv4-mapped addresses holds IPv4 addresses.
  constexpr int kMappedBits = 96;
  if (Mapped(ip) && prefix >= kMappedBits) {
    n.first = Unmapped(n.first);
    n.last = Unmapped(n.last);
  }
  return n;
}

std::optional<Net> ParseCidr(std::string_view s) {
  size_t slash = s.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  std::string_view host = s.substr(0, slash), bits = s.substr(slash + 1);
  auto ip = host.find(':') == std::string_view::npos ? ParseV4(host) : ParseV6(host);
  if (!ip || bits.empty() || bits.size() > 3) return std::nullopt;
  int prefix = 0;
  for (char c : bits) {
    if (c < '0' || c > '9') return std::nullopt;
    prefix = prefix * 10 + (c - '0');
  }
  if (prefix > static_cast<int>(ip->size) * 8) return std::nullopt;
  return MakeNet(*ip, prefix);
}

bool ContainsIp(const Net& n, const Ip& ip) {
  Ip x = Unmapped(ip);
  return x.size == n.first.size && n.first <= x && x <= n.last;
}

std::string IpText(const Ip& ip) {
  if (ip.size == 4) {
    std::string out;
    for (size_t i = 0; i < 4; ++i) out += (i > 0 ? "." : "") + std::to_string(ip.bytes[i]);
    return out;
  }
  uint16_t words[8];
  for (size_t i = 0; i < 8; ++i) words[i] = static_cast<uint16_t>(ip.bytes[2 * i] << 8 | ip.bytes[2 * i + 1]);
  size_t best = 8, best_length = 1;
  for (size_t i = 0; i < 8; ++i) {
    size_t n = 0;
    while (i + n < 8 && words[i + n] == 0) ++n;
    if (n > best_length) {
      best = i;
      best_length = n;
    }
  }
  std::string out;
  for (size_t i = 0; i < 8; ++i) {
    if (i == best) {
      out += "::";
      i += best_length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    char buffer[8];
    std::snprintf(buffer, sizeof buffer, "%x", words[i]);
    out += buffer;
  }
  return out;
}

bool StepBy(Ip& ip, int by) {
  for (size_t i = ip.size; i > 0; --i) {
    ip.bytes[i - 1] = static_cast<uint8_t>(ip.bytes[i - 1] + by);
    if (ip.bytes[i - 1] != (by > 0 ? 0 : 0xFF)) return true;
  }
  return false;  // wrapped around
}

std::optional<Net> NetOf(Call& c, const Value& v, size_t operand) {
  if (!v.is_string()) {
    c.TypeError("operand " + std::to_string(operand + 1) + " must be string but got " + std::string(KindName(v)));
    return std::nullopt;
  }
  auto n = ParseCidr(v.text());
  if (!n) c.Fail("invalid CIDR address: " + std::string(v.text()));
  return n;
}

bool ContainsText(Call& c, const Value& a, const Value& b, bool& out) {
  auto net = NetOf(c, a, 0);
  if (!net) return false;
  if (!b.is_string()) {
    c.TypeError("operand 1 must be string but got " + std::string(KindName(b)));
    return false;
  }
  if (auto ip = ParseIp(b.text())) {
    out = ContainsIp(*net, *ip);
    return true;
  }
  auto inner = ParseCidr(b.text());
  if (!inner) {
    c.Fail("not a valid textual representation of an IP address or CIDR: " + std::string(b.text()));
    return false;
  }
  out = ContainsIp(*net, inner->first) && ContainsIp(*net, inner->last);
  return true;
}

Value CidrContains(Call& c) {
  bool out = false;
  return ContainsText(c, c[0], c[1], out) ? Value::Bool(out) : Value();
}
Value CidrIntersects(Call& c) {
  auto a = NetOf(c, c[0], 0);
  if (!a) return Value();
  auto b = NetOf(c, c[1], 1);
  if (!b) return Value();
  return Value::Bool(ContainsIp(*a, b->first) || ContainsIp(*b, a->first));
}
Value CidrIsValid(Call& c) { return Value::Bool(c[0].is_string() && ParseCidr(c[0].text()).has_value()); }

// (address or block, its index) pairs of an operand.
bool Candidates(Call& c, size_t i, std::vector<std::pair<Value, Value>>& out) {
  const Value& v = c[i];
  auto add = [&](const Value& item, const Value& index) {
    if (item.is_string()) {
      out.emplace_back(item, index);
      return true;
    }
    if (item.is_array() && item.arr->size > 0) {
      out.emplace_back(item.arr->items[0], index);
      return true;
    }
    c.Fail("operand " + std::to_string(i + 1) + ": element must be string or non-empty array");
    return false;
  };
  if (v.is_string()) out.emplace_back(v, v);
  if (v.is_array()) {
    for (uint32_t k = 0; k < v.arr->size; ++k) {
      if (!add(v.arr->items[k], Value::Int(k))) return false;
    }
  } else if (v.is_set()) {
    for (const Value& x : v.set->view()) {
      if (!add(x, x)) return false;
    }
  } else if (v.is_object()) {
    for (uint32_t k = 0; k < v.obj->size; ++k) {
      if (!add(v.obj->values[k], v.obj->keys[k])) return false;
    }
  }
  return true;
}
Value CidrContainsMatches(Call& c) {
  std::vector<std::pair<Value, Value>> a, b;
  if (!Candidates(c, 0, a)) return Value();
  if (a.empty()) return EmptySet();
  if (!Candidates(c, 1, b)) return Value();
  SetBuilder out(c.arena);
  for (const auto& [x, xi] : a) {
    if (!c.Spend(4 * b.size())) return Value();
    for (const auto& [y, yi] : b) {
      bool in = false;
      if (!c.Reserve(64) || !ContainsText(c, x, y, in)) return Value();
      Value pair[] = {xi, yi};
      if (in) out.Add(MakeArray(c.arena, pair));
    }
  }
  return out.Finish();
}

Value CidrExpand(Call& c) {
  auto n = NetOf(c, c[0], 0);
  if (!n) return Value();
  SetBuilder out(c.arena);
  Ip ip = n->first;
  while (true) {
    if (!c.Reserve(96)) return Value();
    out.Add(c.Text(IpText(ip)));
    if (ip == n->last || !StepBy(ip, 1)) return out.Finish();
  }
}

// The fewest blocks that cover first..last.
void Cover(Ip first, const Ip& last, std::vector<std::string>& out) {
  while (true) {
    int bits = static_cast<int>(first.size) * 8;
    int prefix = bits;
    while (prefix > 0) {
      Ip low = Mask(first, prefix - 1, false), high = Mask(first, prefix - 1, true);
      if (low != first || high > last) break;
      --prefix;
    }
    out.push_back(IpText(first) + "/" + std::to_string(prefix));
    first = Mask(first, prefix, true);
    if (first >= last || !StepBy(first, 1)) return;
  }
}

Value CidrMerge(Call& c) {
  bool ok = false;
  std::vector<Net> nets;
  for (const Value& v : Elements(c[0], ok)) {
    if (!v.is_string()) return c.Fail("element must be string");
    if (auto ip = ParseIp(v.text())) {
      if (ip->size == 16) return c.Fail("IPv6 invalid: needs prefix length");
      // The class of the address says its prefix (Go's DefaultMask).
      int prefix = ip->bytes[0] < 0x80 ? 8 : ip->bytes[0] < 0xC0 ? 16 : 24;
      Net n = *MakeNet(*ip, prefix);
      nets.push_back(n);
      continue;
    }
    auto n = ParseCidr(v.text());
    if (!n) return c.Fail("invalid CIDR address: " + std::string(v.text()));
    n->ip = Mask(n->ip, n->prefix, false);
    nets.push_back(*n);
  }
  if (!ok) return c.Fail("operand must be an array");
  struct Range {
    Ip first, last;
    const Net* net;
  };
  std::vector<Range> ranges;
  ranges.reserve(nets.size());
  for (const Net& n : nets) ranges.push_back({n.first, n.last, &n});
  auto order = [](const Range& a, const Range& b) {
    if (a.last.size != b.last.size) return a.last.size < b.last.size;
    return a.last != b.last ? a.last < b.last : a.first < b.first;
  };
  std::sort(ranges.begin(), ranges.end(), order);
  for (size_t i = ranges.size(); i-- > 1;) {
    if (ranges[i].first.size != ranges[i - 1].first.size) continue;
    Ip previous = ranges[i].first;
    bool wrapped = !StepBy(previous, -1);
    if (wrapped || previous <= ranges[i - 1].last) {
      ranges[i - 1] = {std::min(ranges[i - 1].first, ranges[i].first), ranges[i].last, nullptr};
      ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  std::vector<std::string> texts;
  for (const Range& r : ranges) {
    if (r.net != nullptr)
      texts.push_back(IpText(r.net->ip) + "/" + std::to_string(r.net->prefix));
    else
      Cover(r.first, r.last, texts);
  }
  SetBuilder out(c.arena, texts.size());
  for (const auto& t : texts) out.Add(c.Text(t));
  return out.Finish();
}

}  // namespace

std::span<const Builtin> NetBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "net.cidr_contains", .arity = 2, .fn = CidrContains},
      {.name = "net.cidr_overlap", .arity = 2, .fn = CidrContains, .deprecated = true},
      {.name = "net.cidr_intersects", .arity = 2, .fn = CidrIntersects},
      {.name = "net.cidr_is_valid", .arity = 1, .fn = CidrIsValid},
      {.name = "net.cidr_contains_matches", .arity = 2, .fn = CidrContainsMatches},
      {.name = "net.cidr_expand", .arity = 1, .fn = CidrExpand},
      {.name = "net.cidr_merge", .arity = 1, .fn = CidrMerge},
  };
  return kTable;
}

}  // namespace hexr::rego
