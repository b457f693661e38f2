#include "policy/rego/builtins/x509_json.h"

#include <array>

#include "base/bytes.h"
#include "policy/rego/builtins/civil.h"
#include "policy/rego/builtins/support.h"
#include "policy/rego/builtins/uri.h"

namespace hexr::rego {
namespace {

struct Tlv {
  uint8_t tag = 0;
  std::string_view content;
  std::string_view whole;
};

// Walks the values of one level.
class Der {
 public:
  explicit Der(std::string_view data) : data_(data) {}
  bool done() const { return data_.empty(); }
  bool Next(Tlv& out) {
    if (data_.size() < 2) return false;
    auto at = [&](size_t i) { return static_cast<uint8_t>(data_[i]); };
    size_t header = 2, size = at(1);
    if ((at(0) & 0x1F) == 0x1F) return false;
    if (size >= 0x80) {
      size_t n = size & 0x7F;
      if (n == 0 || n > 4 || data_.size() < 2 + n) return false;
      size = 0;
      for (size_t i = 0; i < n; ++i) size = size << 8 | at(2 + i);
      header += n;
    }
    if (data_.size() - header < size) return false;
    out = {at(0), data_.substr(header, size), data_.substr(0, header + size)};
    data_.remove_prefix(header + size);
    return true;
  }
  bool Next(uint8_t tag, Tlv& out) { return Next(out) && out.tag == tag; }
  bool Optional(uint8_t tag, Tlv& out) { return !data_.empty() && static_cast<uint8_t>(data_[0]) == tag && Next(out); }

 private:
  std::string_view data_;
};

std::vector<uint64_t> OidParts(std::string_view content) {
  std::vector<uint64_t> out;
  uint64_t n = 0;
  for (char c : content) {
    n = n << 7 | (static_cast<uint8_t>(c) & 0x7F);
    if (static_cast<uint8_t>(c) & 0x80) continue;
    if (out.empty()) {
      uint64_t first = n < 80 ? n / 40 : 2;
      out.push_back(first);
      out.push_back(n - first * 40);
    } else {
      out.push_back(n);
    }
    n = 0;
  }
  return out;
}
std::string OidText(std::string_view content) {
  std::string out;
  for (uint64_t p : OidParts(content)) out += (out.empty() ? "" : ".") + std::to_string(p);
  return out;
}

class JsonOf {
 public:
  explicit JsonOf(Arena& arena) : arena_(arena) {}

  Value Text(std::string_view s) { return Value::String(arena_, s); }
  Value Bytes(std::string_view s) { return Text(Base64Encode(AsBytes(s))); }
  Value Oid(std::string_view content) {
    ArrayBuilder b(arena_);
    for (uint64_t p : OidParts(content)) b.Add(Value::Int(static_cast<int64_t>(p)));
    return b.Finish();
  }
  // A Go slice: nil is null.
  Value List(const std::vector<Value>& v) { return v.empty() ? Value::Null() : MakeArray(arena_, v); }

  // A distinguished name; undefined when malformed.
  Value Name(std::string_view content) {
    static constexpr std::array<std::pair<int, std::string_view>, 9> kFields = {{{3, "CommonName"},
                                                                                 {5, "SerialNumber"},
                                                                                 {6, "Country"},
                                                                                 {7, "Locality"},
                                                                                 {8, "Province"},
                                                                                 {9, "StreetAddress"},
                                                                                 {10, "Organization"},
                                                                                 {11, "OrganizationalUnit"},
                                                                                 {17, "PostalCode"}}};
    std::vector<std::vector<Value>> found(kFields.size());
    std::vector<Value> names;
    Der sets(content);
    Tlv set, pair, type, text;
    while (!sets.done()) {
      if (!sets.Next(0x31, set)) return Value();
      Der pairs(set.content);
      while (!pairs.done()) {
        if (!pairs.Next(0x30, pair)) return Value();
        Der both(pair.content);
        if (!both.Next(0x06, type) || !both.Next(text)) return Value();
        Value v = Text(DecodeText(text));
        ObjectBuilder entry(arena_, 2);
        entry.Add("Type", Oid(type.content));
        entry.Add("Value", v);
        names.push_back(entry.Finish());
        for (size_t i = 0; i < kFields.size(); ++i) {
          if (type.content.size() == 3 && type.content.substr(0, 2) == "\x55\x04" &&
              type.content[2] == kFields[i].first)
            found[i].push_back(v);
        }
      }
    }
    ObjectBuilder out(arena_, 12);
    for (size_t i = 0; i < kFields.size(); ++i) {
      bool single = i < 2;  // the last one counts
      out.Add(kFields[i].second, single ? (found[i].empty() ? Text("") : found[i].back()) : List(found[i]));
    }
    out.Add("Names", List(names));
    out.Add("ExtraNames", Value::Null());
    return out.Finish();
  }

  static std::string DecodeText(const Tlv& t) {
    std::string out;
    if (t.tag == 0x1E) {  // BMPString
      for (size_t i = 0; i + 1 < t.content.size(); i += 2) {
        AppendRune(
            static_cast<char32_t>(static_cast<uint8_t>(t.content[i]) << 8 | static_cast<uint8_t>(t.content[i + 1])),
            out);
      }
      return out;
    }
    return std::string(t.content);
  }

  // UTCTime or GeneralizedTime as RFC 3339.
  Value Time(const Tlv& t) {
    ParsedTime parsed;
    std::string error;
    if (!GoParseTime(t.tag == 0x17 ? "060102150405Z0700" : "20060102150405Z0700", t.content, parsed, error))
      return Value();
    // Two digits: 50 to 99 are the last century (RFC 5280 4.1.2.5.1); Go's layout turns at 69.
    Civil c = CivilFromUnix(parsed.unix_seconds);
    if (t.tag == 0x17 && c.year >= 2050) {
      parsed.unix_seconds = UnixFromCivil(c.year - 100, c.month, c.day, c.hour, c.minute, c.second);
    }
    return Text(GoFormatTime("2006-01-02T15:04:05Z07:00", parsed.unix_seconds, 0, {}));
  }

  static std::string IpText(std::string_view bytes) {
    std::string out;
    if (bytes.size() == 4) {
      for (size_t i = 0; i < 4; ++i) out += (i > 0 ? "." : "") + std::to_string(static_cast<uint8_t>(bytes[i]));
      return out;
    }
    std::array<unsigned, 8> w{};
    for (size_t i = 0; i < 8; ++i)
      w[i] = static_cast<unsigned>(static_cast<uint8_t>(bytes[2 * i]) << 8 | static_cast<uint8_t>(bytes[2 * i + 1]));
    size_t best = 8, length = 1;
    for (size_t i = 0; i < 8; ++i) {
      size_t n = 0;
      while (i + n < 8 && w[i + n] == 0) ++n;
      if (n > length) {
        best = i;
        length = n;
      }
    }
    for (size_t i = 0; i < 8; ++i) {
      if (i == best) {
        out += "::";
        i += length - 1;
        continue;
      }
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "%x", w[i]);
      out += (out.empty() || out.back() == ':' ? "" : ":") + std::string(buffer);
    }
    return out;
  }

  Value Url(std::string_view text) {
    Uri u;
    std::string error;
    if (!ParseUri(text, u, error)) return Value();
    ObjectBuilder b(arena_, 12);
    b.Add("Scheme", Text(u.scheme));
    b.Add("Opaque", Text(u.opaque));
    b.Add("User", u.has_user ? EmptyObject() : Value::Null());
    b.Add("Host", Text(u.host));
    b.Add("Path", Text(u.path));
    b.Add("Fragment", Text(u.fragment));
    b.Add("RawQuery", Text(u.raw_query));
    b.Add("RawPath", Text(u.raw_path));
    b.Add("RawFragment", Text(""));
    b.Add("ForceQuery", Value::Bool(false));
    b.Add("OmitHost", Value::Bool(false));
    return b.Finish();
  }

  Arena& arena() { return arena_; }

 private:
  Arena& arena_;
};

// Subject alternative names, sorted by kind.
struct AltNames {
  std::vector<Value> dns, email, ip, uri, uri_text;
};
bool ReadAltNames(JsonOf& j, std::string_view value, AltNames& out) {
  Der outer(value);
  Tlv seq, name;
  if (!outer.Next(0x30, seq)) return false;
  Der names(seq.content);
  while (!names.done()) {
    if (!names.Next(name)) return false;
    if (name.tag == 0x81) out.email.push_back(j.Text(name.content));
    if (name.tag == 0x82) out.dns.push_back(j.Text(name.content));
    if (name.tag == 0x86) {
      Value u = j.Url(name.content);
      if (!u.defined()) return false;
      out.uri.push_back(u);
      out.uri_text.push_back(j.Text(name.content));
    }
    if (name.tag == 0x87) {
      if (name.content.size() != 4 && name.content.size() != 16) return false;
      out.ip.push_back(j.Text(JsonOf::IpText(name.content)));
    }
  }
  return true;
}

int SignatureAlgorithm(std::string_view oid, std::string_view params) {
  static constexpr std::pair<std::string_view, int> kKnown[] = {
      {"1.2.840.113549.1.1.2", 1},  {"1.2.840.113549.1.1.4", 2},   {"1.2.840.113549.1.1.5", 3},
      {"1.2.840.113549.1.1.11", 4}, {"1.2.840.113549.1.1.12", 5},  {"1.2.840.113549.1.1.13", 6},
      {"1.2.840.10040.4.3", 7},     {"2.16.840.1.101.3.4.3.2", 8}, {"1.2.840.10045.4.1", 9},
      {"1.2.840.10045.4.3.2", 10},  {"1.2.840.10045.4.3.3", 11},   {"1.2.840.10045.4.3.4", 12},
      {"1.3.101.112", 16}};
  if (oid == "1.2.840.113549.1.1.10") {
    // RSA-PSS: the hash is in the parameters (SHA-256, 384, 512 end in 1, 2, 3).
    size_t at = params.find("\x60\x86\x48\x01\x65\x03\x04\x02");
    int which = at == std::string_view::npos || at + 8 >= params.size() ? 0 : params[at + 8];
    return which >= 1 && which <= 3 ? 12 + which : 0;
  }
  for (const auto& [text, n] : kKnown) {
    if (text == oid) return n;
  }
  return 0;
}

int ExtKeyUsage(std::string_view oid) {
  static constexpr std::pair<std::string_view, int> kKnown[] = {{"2.5.29.37.0", 0},
                                                                {"1.3.6.1.5.5.7.3.1", 1},
                                                                {"1.3.6.1.5.5.7.3.2", 2},
                                                                {"1.3.6.1.5.5.7.3.3", 3},
                                                                {"1.3.6.1.5.5.7.3.4", 4},
                                                                {"1.3.6.1.5.5.7.3.5", 5},
                                                                {"1.3.6.1.5.5.7.3.6", 6},
                                                                {"1.3.6.1.5.5.7.3.7", 7},
                                                                {"1.3.6.1.5.5.7.3.8", 8},
                                                                {"1.3.6.1.5.5.7.3.9", 9},
                                                                {"1.3.6.1.4.1.311.10.3.3", 10},
                                                                {"2.16.840.1.113730.4.1", 11},
                                                                {"1.3.6.1.4.1.311.2.1.22", 12},
                                                                {"1.3.6.1.4.1.311.61.1.1", 13}};
  for (const auto& [text, n] : kKnown) {
    if (text == oid) return n;
  }
  return -1;
}

// What the extensions say, with Go's zero values to begin with.
struct Extensions {
  std::vector<Value> all, unhandled, ext_usage, unknown_usage, ocsp, issuing, crl, policies, policy_ids;
  std::vector<Value> permitted[4], excluded[4];  // DNS, IP, mail, URI
  AltNames names;
  int64_t usage = 0, max_path = 0;
  bool basic = false, ca = false, max_path_zero = false, permitted_critical = false;
  int64_t inhibit_any = 0, require_explicit = 0, inhibit_mapping = 0;
  bool inhibit_any_zero = false, require_explicit_zero = false, inhibit_mapping_zero = false;
  Value subject_key = Value::Null(), authority_key = Value::Null();
};

int64_t SmallInt(std::string_view bytes) {
  int64_t n = bytes.empty() || !(bytes[0] & 0x80) ? 0 : -1;
  for (char c : bytes.substr(0, 8)) n = static_cast<int64_t>(static_cast<uint64_t>(n) << 8 | static_cast<uint8_t>(c));
  return n;
}

bool ReadSubtrees(JsonOf& j, std::string_view list, std::vector<Value> (&out)[4]) {
  Der trees(list);
  Tlv tree, base;
  while (!trees.done()) {
    if (!trees.Next(0x30, tree)) return false;
    Der inner(tree.content);
    if (!inner.Next(base)) return false;
    if (base.tag == 0x82) out[0].push_back(j.Text(base.content));
    if (base.tag == 0x81) out[2].push_back(j.Text(base.content));
    if (base.tag == 0x86) out[3].push_back(j.Text(base.content));
    if (base.tag == 0x87) {
      size_t half = base.content.size() / 2;
      if (half != 4 && half != 16) return false;
      ObjectBuilder b(j.arena(), 2);
      b.Add("IP", j.Text(JsonOf::IpText(base.content.substr(0, half))));
      b.Add("Mask", j.Bytes(base.content.substr(half)));
      out[1].push_back(b.Finish());
    }
  }
  return true;
}

// One extension of the id-ce arc (2.5.29.n). False: malformed; `known` says whether it was understood.
bool ReadExtension(JsonOf& j, int n, bool critical, std::string_view value, Extensions& x, bool& known) {
  Der outer(value);
  Tlv v, item, part;
  known = true;
  switch (n) {
    case 15:  // key usage
      if (!outer.Next(0x03, v) || v.content.empty()) return false;
      for (int bit = 0; bit < 9; ++bit) {
        size_t byte = 1 + static_cast<size_t>(bit / 8);
        if (byte < v.content.size() && (static_cast<uint8_t>(v.content[byte]) >> (7 - bit % 8) & 1))
          x.usage |= int64_t{1} << bit;
      }
      return true;
    case 19: {  // basic constraints
      if (!outer.Next(0x30, v)) return false;
      Der inner(v.content);
      if (inner.Optional(0x01, item)) x.ca = !item.content.empty() && item.content[0] != 0;
      x.max_path = -1;
      if (inner.Optional(0x02, item)) x.max_path = SmallInt(item.content);
      x.max_path_zero = x.max_path == 0;
      x.basic = true;
      return true;
    }
    case 17: return ReadAltNames(j, value, x.names);
    case 30: {  // name constraints
      if (!outer.Next(0x30, v)) return false;
      Der inner(v.content);
      if (inner.Optional(0xA0, item) && !ReadSubtrees(j, item.content, x.permitted)) return false;
      if (inner.Optional(0xA1, item) && !ReadSubtrees(j, item.content, x.excluded)) return false;
      x.permitted_critical = critical;
      return true;
    }
    case 31: {  // CRL distribution points
      if (!outer.Next(0x30, v)) return false;
      Der points(v.content);
      while (points.Next(0x30, item)) {
        Der point(item.content);
        Tlv full;
        if (!point.Optional(0xA0, part)) continue;
        Der name(part.content);
        if (!name.Optional(0xA0, full)) continue;
        Der names(full.content);
        while (names.Next(part)) {
          if (part.tag == 0x86) x.crl.push_back(j.Text(part.content));
        }
      }
      return true;
    }
    case 35: {  // authority key id
      if (!outer.Next(0x30, v)) return false;
      Der inner(v.content);
      if (inner.Optional(0x80, item)) x.authority_key = j.Bytes(item.content);
      return true;
    }
    case 36: {  // policy constraints
      if (!outer.Next(0x30, v)) return false;
      Der inner(v.content);
      if (inner.Optional(0x80, item)) {
        x.require_explicit = SmallInt(item.content);
        x.require_explicit_zero = x.require_explicit == 0;
      }
      if (inner.Optional(0x81, item)) {
        x.inhibit_mapping = SmallInt(item.content);
        x.inhibit_mapping_zero = x.inhibit_mapping == 0;
      }
      return true;
    }
    case 37: {  // extended key usage
      if (!outer.Next(0x30, v)) return false;
      Der inner(v.content);
      while (inner.Next(0x06, item)) {
        int usage = ExtKeyUsage(OidText(item.content));
        if (usage >= 0)
          x.ext_usage.push_back(Value::Int(usage));
        else
          x.unknown_usage.push_back(j.Oid(item.content));
      }
      return true;
    }
    case 14:
      if (!outer.Next(0x04, v)) return false;
      x.subject_key = j.Bytes(v.content);
      return true;
    case 32: {  // certificate policies
      if (!outer.Next(0x30, v)) return false;
      Der inner(v.content);
      while (inner.Next(0x30, item)) {
        if (!Der(item.content).Next(0x06, part)) return false;
        x.policies.push_back(j.Text(OidText(part.content)));
        x.policy_ids.push_back(j.Oid(part.content));
      }
      return true;
    }
    case 54:
      if (!outer.Next(0x02, v)) return false;
      x.inhibit_any = SmallInt(v.content);
      x.inhibit_any_zero = x.inhibit_any == 0;
      return true;
    default: known = false; return true;
  }
}

bool ReadExtensions(JsonOf& j, std::string_view list, Extensions& x) {
  Der outer(list);
  Tlv seq, e, oid, critical, value;
  if (!outer.Next(0x30, seq)) return false;
  Der all(seq.content);
  while (!all.done()) {
    if (!all.Next(0x30, e)) return false;
    Der inner(e.content);
    if (!inner.Next(0x06, oid)) return false;
    bool is_critical = inner.Optional(0x01, critical) && !critical.content.empty() && critical.content[0] != 0;
    if (!inner.Next(0x04, value)) return false;
    ObjectBuilder b(j.arena(), 3);
    b.Add("Id", j.Oid(oid.content));
    b.Add("Critical", Value::Bool(is_critical));
    b.Add("Value", j.Bytes(value.content));
    x.all.push_back(b.Finish());
    bool known = false;
    if (oid.content.size() == 3 && oid.content.substr(0, 2) == "\x55\x1d") {
      if (!ReadExtension(j, oid.content[2], is_critical, value.content, x, known)) return false;
    } else if (OidText(oid.content) == "1.3.6.1.5.5.7.1.1") {  // authority information access
      known = true;
      Tlv access, method, place;
      Der list_of(value.content);
      if (!list_of.Next(0x30, access)) return false;
      Der each(access.content);
      while (each.Next(0x30, access)) {
        Der two(access.content);
        if (!two.Next(0x06, method) || !two.Next(place) || place.tag != 0x86) continue;
        std::string which = OidText(method.content);
        if (which == "1.3.6.1.5.5.7.48.1") x.ocsp.push_back(j.Text(place.content));
        if (which == "1.3.6.1.5.5.7.48.2") x.issuing.push_back(j.Text(place.content));
      }
    }
    if (!known && is_critical) x.unhandled.push_back(j.Oid(oid.content));
  }
  return true;
}

}  // namespace

bool SplitDer(std::string_view der, std::vector<std::string_view>& out) {
  Der all(der);
  Tlv t;
  while (!all.done()) {
    if (!all.Next(0x30, t)) return false;
    out.push_back(t.whole);
  }
  return true;
}

Value BigEndian(Arena& arena, std::string_view bytes) {
  std::string hex = HexEncode(AsBytes(bytes));
  auto n = ParseInteger(arena, hex.empty() ? "0" : hex, 16);
  return n ? *n : Value::Int(0);
}

Value PublicKeyJson(Arena& arena, std::string_view spki, int& algorithm) {
  algorithm = 0;
  Tlv outer, algo, oid, bits, seq, n, e;
  if (!Der(spki).Next(0x30, outer)) return Value();
  Der inner(outer.content);
  if (!inner.Next(0x30, algo) || !Der(algo.content).Next(0x06, oid) || !inner.Next(0x03, bits) || bits.content.empty())
    return Value();
  std::string_view key = bits.content.substr(1);
  std::string which = OidText(oid.content);
  ObjectBuilder b(arena, 3);
  if (which == "1.2.840.113549.1.1.1") {
    algorithm = 1;
    Der numbers(key);
    if (!numbers.Next(0x30, seq)) return Value();
    Der pair(seq.content);
    if (!pair.Next(0x02, n) || !pair.Next(0x02, e)) return Value();
    b.Add("N", BigEndian(arena, n.content));
    b.Add("E", BigEndian(arena, e.content));
    return b.Finish();
  }
  if (which == "1.2.840.10045.2.1") {
    algorithm = 3;
    if (key.size() < 3 || key[0] != 4) return Value();
    size_t half = (key.size() - 1) / 2;
    b.Add("Curve", EmptyObject());
    b.Add("X", BigEndian(arena, key.substr(1, half)));
    b.Add("Y", BigEndian(arena, key.substr(1 + half)));
    return b.Finish();
  }
  if (which == "1.3.101.112") {
    algorithm = 4;
    return Value::String(arena, Base64Encode(AsBytes(key)));
  }
  return Value::Null();
}

Value CertificateJson(Arena& arena, std::string_view der, bool with_uri_strings) {
  JsonOf j(arena);
  Tlv cert, tbs, algo, signature, t, serial, inner_algo, issuer, validity, subject, spki, oid;
  if (!Der(der).Next(0x30, cert)) return Value();
  Der parts(cert.content);
  if (!parts.Next(0x30, tbs) || !parts.Next(0x30, algo) || !parts.Next(0x03, signature) || signature.content.empty())
    return Value();
  Der body(tbs.content);
  int64_t version = 1;
  if (body.Optional(0xA0, t)) {
    Tlv v;
    if (!Der(t.content).Next(0x02, v)) return Value();
    version = SmallInt(v.content) + 1;
  }
  if (!body.Next(0x02, serial) || !body.Next(0x30, inner_algo) || !body.Next(0x30, issuer) ||
      !body.Next(0x30, validity) || !body.Next(0x30, subject) || !body.Next(0x30, spki)) {
    return Value();
  }
  Der times(validity.content);
  Tlv before, after;
  if (!times.Next(before) || !times.Next(after)) return Value();
  Extensions x;
  body.Optional(0x81, t);
  body.Optional(0x82, t);
  if (body.Optional(0xA3, t) && !ReadExtensions(j, t.content, x)) return Value();
  Der algorithm(algo.content);
  if (!algorithm.Next(0x06, oid)) return Value();
  int key_algorithm = 0;
  Value key = PublicKeyJson(arena, spki.whole, key_algorithm);
  Value issuer_json = j.Name(issuer.content), subject_json = j.Name(subject.content);
  Value not_before = j.Time(before), not_after = j.Time(after);
  if (!key.defined() || !issuer_json.defined() || !subject_json.defined() || !not_before.defined() ||
      !not_after.defined()) {
    return Value();
  }
  ObjectBuilder b(arena, 64);
  b.Add("Raw", j.Bytes(cert.whole));
  b.Add("RawTBSCertificate", j.Bytes(tbs.whole));
  b.Add("RawSubjectPublicKeyInfo", j.Bytes(spki.whole));
  b.Add("RawSubject", j.Bytes(subject.whole));
  b.Add("RawIssuer", j.Bytes(issuer.whole));
  b.Add("Signature", j.Bytes(signature.content.substr(1)));
  b.Add("SignatureAlgorithm", Value::Int(SignatureAlgorithm(OidText(oid.content), algo.content)));
  b.Add("PublicKeyAlgorithm", Value::Int(key_algorithm));
  b.Add("PublicKey", key);
  b.Add("Version", Value::Int(version));
  b.Add("SerialNumber", BigEndian(arena, serial.content));
  b.Add("Issuer", issuer_json);
  b.Add("Subject", subject_json);
  b.Add("NotBefore", not_before);
  b.Add("NotAfter", not_after);
  b.Add("KeyUsage", Value::Int(x.usage));
  b.Add("Extensions", j.List(x.all));
  b.Add("ExtraExtensions", Value::Null());
  b.Add("UnhandledCriticalExtensions", j.List(x.unhandled));
  b.Add("ExtKeyUsage", j.List(x.ext_usage));
  b.Add("UnknownExtKeyUsage", j.List(x.unknown_usage));
  b.Add("BasicConstraintsValid", Value::Bool(x.basic));
  b.Add("IsCA", Value::Bool(x.ca));
  b.Add("MaxPathLen", Value::Int(x.max_path));
  b.Add("MaxPathLenZero", Value::Bool(x.max_path_zero));
  b.Add("SubjectKeyId", x.subject_key);
  b.Add("AuthorityKeyId", x.authority_key);
  b.Add("OCSPServer", j.List(x.ocsp));
  b.Add("IssuingCertificateURL", j.List(x.issuing));
  b.Add("DNSNames", j.List(x.names.dns));
  b.Add("EmailAddresses", j.List(x.names.email));
  b.Add("IPAddresses", j.List(x.names.ip));
  b.Add("URIs", j.List(x.names.uri));
  static constexpr std::string_view kKinds[] = {"DNSDomains", "IPRanges", "EmailAddresses", "URIDomains"};
  b.Add("PermittedDNSDomainsCritical", Value::Bool(x.permitted_critical));
  for (size_t i = 0; i < 4; ++i) {
    b.Add("Permitted" + std::string(kKinds[i]), j.List(x.permitted[i]));
    b.Add("Excluded" + std::string(kKinds[i]), j.List(x.excluded[i]));
  }
  b.Add("CRLDistributionPoints", j.List(x.crl));
  b.Add("PolicyIdentifiers", j.List(x.policy_ids));
  b.Add("Policies", j.List(x.policies));
  b.Add("PolicyMappings", Value::Null());
  b.Add("InhibitAnyPolicy", Value::Int(x.inhibit_any));
  b.Add("InhibitAnyPolicyZero", Value::Bool(x.inhibit_any_zero));
  b.Add("InhibitPolicyMapping", Value::Int(x.inhibit_mapping));
  b.Add("InhibitPolicyMappingZero", Value::Bool(x.inhibit_mapping_zero));
  b.Add("RequireExplicitPolicy", Value::Int(x.require_explicit));
  b.Add("RequireExplicitPolicyZero", Value::Bool(x.require_explicit_zero));
  if (with_uri_strings) b.Add("URIStrings", j.List(x.names.uri_text));
  return b.Finish();
}

Value CertificateRequestJson(Arena& arena, std::string_view der) {
  JsonOf j(arena);
  Tlv request, tbs, algo, signature, version, subject, spki, attributes, oid;
  if (!Der(der).Next(0x30, request)) return Value();
  Der parts(request.content);
  if (!parts.Next(0x30, tbs) || !parts.Next(0x30, algo) || !parts.Next(0x03, signature) || signature.content.empty())
    return Value();
  Der body(tbs.content);
  if (!body.Next(0x02, version) || !body.Next(0x30, subject) || !body.Next(0x30, spki)) return Value();
  Extensions x;
  if (body.Optional(0xA0, attributes)) {
    Der each(attributes.content);
    Tlv a, type, set;
    while (each.Next(0x30, a)) {
      Der two(a.content);
      // The extension request (RFC 2985 5.4.2).
      if (two.Next(0x06, type) && two.Next(0x31, set) && OidText(type.content) == "1.2.840.113549.1.9.14" &&
          !ReadExtensions(j, set.content, x)) {
        return Value();
      }
    }
  }
  if (!Der(algo.content).Next(0x06, oid)) return Value();
  int key_algorithm = 0;
  Value key = PublicKeyJson(arena, spki.whole, key_algorithm);
  Value subject_json = j.Name(subject.content);
  if (!key.defined() || !subject_json.defined()) return Value();
  ObjectBuilder b(arena, 20);
  b.Add("Raw", j.Bytes(request.whole));
  b.Add("RawTBSCertificateRequest", j.Bytes(tbs.whole));
  b.Add("RawSubjectPublicKeyInfo", j.Bytes(spki.whole));
  b.Add("RawSubject", j.Bytes(subject.whole));
  b.Add("Version", Value::Int(SmallInt(version.content)));
  b.Add("Signature", j.Bytes(signature.content.substr(1)));
  b.Add("SignatureAlgorithm", Value::Int(SignatureAlgorithm(OidText(oid.content), algo.content)));
  b.Add("PublicKeyAlgorithm", Value::Int(key_algorithm));
  b.Add("PublicKey", key);
  b.Add("Subject", subject_json);
  b.Add("Attributes", Value::Null());
  b.Add("Extensions", j.List(x.all));
  b.Add("ExtraExtensions", Value::Null());
  b.Add("DNSNames", j.List(x.names.dns));
  b.Add("EmailAddresses", j.List(x.names.email));
  b.Add("IPAddresses", j.List(x.names.ip));
  b.Add("URIs", j.List(x.names.uri));
  return b.Finish();
}

}  // namespace hexr::rego
