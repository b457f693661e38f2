// JSON Web Tokens: decoding, verifying, signing (RFC 7515, 7517, 7519), with the checks and messages of OPA.
#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "policy/rego/builtins/gofmt.h"
#include "policy/rego/builtins/keys.h"
#include "policy/rego/builtins/support.h"
#include "policy/rego/builtins/text_codecs.h"

namespace hexr::rego {
namespace {

constexpr std::string_view kAlgorithms[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
                                            "ES384", "ES512", "HS256", "HS384", "HS512", "EdDSA"};
bool KnownAlgorithm(std::string_view alg) {
  return std::find(std::begin(kAlgorithms), std::end(kAlgorithms), alg) != std::end(kAlgorithms);
}

struct JwtText {
  std::string_view header, payload, signature;
  std::string signed_part() const { return std::string(header) + "." + std::string(payload); }
};

bool SplitToken(Call& c, std::string_view text, JwtText& t) {
  auto dots = std::count(text.begin(), text.end(), '.');
  if (dots == 0) {
    c.Fail("encoded JWT had no period separators");
    return false;
  }
  if (dots != 2) {
    c.Fail("encoded JWT must have 3 sections, found " + std::to_string(dots + 1));
    return false;
  }
  size_t a = text.find('.'), b = text.find('.', a + 1);
  t = {text.substr(0, a), text.substr(a + 1, b - a - 1), text.substr(b + 1)};
  return true;
}

bool Decode(Call& c, std::string_view part, std::string_view what, std::string& out) {
  std::string error;
  if (GoBase64UrlDecodeLax(part, out, error)) return true;
  c.Fail((what.empty() ? "" : "JWT " + std::string(what) + " had invalid encoding: ") + error);
  return false;
}

bool JsonObject(Call& c, const std::string& text, std::string_view prefix, Value& out) {
  auto v = ParseJson(c.arena, text);
  if (!v.ok()) {
    c.Fail(std::string(prefix) + "invalid JSON: " + v.error().message());
    return false;
  }
  if (!v->is_object()) {
    c.Fail(std::string(prefix) + "decoded JSON type was not an Object");
    return false;
  }
  out = *v;
  return true;
}

bool DecodeHeader(Call& c, const JwtText& t, Value& header) {
  std::string text;
  if (!Decode(c, t.header, "header", text) || !JsonObject(c, text, "bad JWT header: ", header)) return false;
  if (Get(*header.obj, "enc").defined()) {
    c.Fail("JWT is a JWE object, which is not supported");
    return false;
  }
  return true;
}

Value DecodeText(Call& c, std::string_view text, int depth) {
  constexpr int kMaxNesting = 32;
  JwtText t;
  Value header, payload;
  std::string body, signature;
  if (depth > kMaxNesting) return c.Fail("JWT is nested too deeply");
  if (!SplitToken(c, text, t) || !DecodeHeader(c, t, header) || !Decode(c, t.payload, "payload", body)) return Value();
  if (Value cty = Get(*header.obj, "cty"); cty.is_string() && cty.text() == "JWT") {
    std::string_view inner = body;
    while (!inner.empty() && (inner.front() == '"' || inner.front() == '\'')) inner.remove_prefix(1);
    while (!inner.empty() && (inner.back() == '"' || inner.back() == '\'')) inner.remove_suffix(1);
    return DecodeText(c, c.arena.Copy(inner), depth + 1);
  }
  if (!JsonObject(c, body, "", payload) || !Decode(c, t.signature, "signature", signature)) return Value();
  Value out[] = {header, payload, c.Text(HexEncode(AsBytes(signature)))};
  return MakeArray(c.arena, out);
}
Value JwtDecode(Call& c) {
  std::string_view text;
  return TakeString(c, 0, text) ? DecodeText(c, text, 0) : Value();
}

// The keys of a PEM certificate, a PEM public key, a JWK or a set of them.
bool KeysFrom(Call& c, std::string_view text, std::vector<Jwk>& out) {
  std::string_view rest;
  if (auto block = NextPem(text, rest)) {
    Jwk one;
    if (!rest.empty()) {
      c.Fail("extra data after a PEM certificate block");
      return false;
    }
    if (block->type == "CERTIFICATE") {
      one.key = PublicKeyOfCertificate(block->bytes);
      if (!one.key) c.Fail("failed to parse a PEM certificate: x509: malformed certificate");
    } else if (block->type == "PUBLIC KEY") {
      one.key = PublicKeyFromSpki(block->bytes);
      if (!one.key) c.Fail("failed to parse a PEM public key: asn1: structure error");
    } else {
      c.Fail("failed to extract a Key from the PEM certificate");
    }
    if (c.failed()) return false;
    out.push_back(std::move(one));
    return true;
  }
  auto json = ParseJson(c.arena, text);
  std::string error = json.ok() ? "" : "failed to parse a JWK key (set): " + json.error().message();
  std::vector<Jwk> all;
  if (!json.ok() || !ParseJwks(c.arena, *json, all, error)) {
    c.Fail(error);
    return false;
  }
  for (Jwk& k : all) {
    if (k.alg.empty() || KnownAlgorithm(k.alg)) out.push_back(std::move(k));
  }
  return true;
}

struct Header {
  std::string alg, kid, cty;
  bool valid = true;
};
bool ReadHeader(Call& c, const Value& json, Header& h) {
  std::vector<std::string_view> critical, unknown;
  for (uint32_t i = 0; i < json.obj->size; ++i) {
    std::string_view key = json.obj->keys[i].text();
    const Value& v = json.obj->values[i];
    bool text = key == "alg" || key == "kid" || key == "typ" || key == "cty";
    if (text && !v.is_string()) {
      c.Fail(std::string(key) + ": must be a string");
      return false;
    }
    if (key == "alg")
      h.alg = v.text();
    else if (key == "kid")
      h.kid = v.text();
    else if (key == "cty")
      h.cty = v.text();
    else if (key == "crit") {
      if (!v.is_array()) {
        c.Fail("crit: must be a list");
        return false;
      }
      for (const Value& x : v.arr->view()) {
        if (!x.is_string()) break;
        critical.push_back(x.text());
      }
      if (critical.empty()) {
        c.Fail("crit: must be a nonempty list");
        return false;
      }
    } else if (!text) {
      unknown.push_back(key);
    }
  }
  h.valid = !h.alg.empty();
  for (auto u : unknown) h.valid = h.valid && std::find(critical.begin(), critical.end(), u) == critical.end();
  return true;
}

// With the key that the token names, else with any that fits.
template <class Check>
bool AnyKey(const std::vector<Jwk>& keys, const Header& h, const Check& check) {
  if (!h.kid.empty()) {
    for (const Jwk& k : keys) {
      if (k.kid == h.kid) return check(k);
    }
  }
  for (const Jwk& k : keys) {
    if (!k.alg.empty() && k.alg != h.alg) continue;
    if (check(k)) return true;
  }
  return false;
}

Value VerifyWith(Call& c, std::string_view alg) {
  std::string_view text, key;
  JwtText t;
  if (!TakeString(c, 0, text) || !SplitToken(c, text, t) || !TakeString(c, 1, key)) return Value();
  std::vector<Jwk> keys;
  std::string signature;
  Value header;
  Header h;
  if (!KeysFrom(c, key, keys) || !Decode(c, t.signature, "", signature) || !DecodeHeader(c, t, header) ||
      !ReadHeader(c, header, h))
    return Value();
  std::string data = t.signed_part();
  return Value::Bool(AnyKey(keys, h, [&](const Jwk& k) { return VerifyJws(k.key.get(), alg, data, signature); }));
}
Value VerifyHs(Call& c, std::string_view hash) {
  std::string_view text, secret;
  JwtText t;
  std::string signature;
  if (!TakeString(c, 0, text) || !TakeString(c, 1, secret) || !SplitToken(c, text, t) ||
      !Decode(c, t.signature, "", signature))
    return Value();
  return Value::Bool(SameBytes(Hmac(hash, secret, t.signed_part()), signature));
}
Value VerifyRs256(Call& c) { return VerifyWith(c, "RS256"); }
Value VerifyRs384(Call& c) { return VerifyWith(c, "RS384"); }
Value VerifyRs512(Call& c) { return VerifyWith(c, "RS512"); }
Value VerifyPs256(Call& c) { return VerifyWith(c, "PS256"); }
Value VerifyPs384(Call& c) { return VerifyWith(c, "PS384"); }
Value VerifyPs512(Call& c) { return VerifyWith(c, "PS512"); }
Value VerifyEs256(Call& c) { return VerifyWith(c, "ES256"); }
Value VerifyEs384(Call& c) { return VerifyWith(c, "ES384"); }
Value VerifyEs512(Call& c) { return VerifyWith(c, "ES512"); }
Value VerifyEdDsa(Call& c) { return VerifyWith(c, "EdDSA"); }
Value VerifyHs256(Call& c) { return VerifyHs(c, "sha256"); }
Value VerifyHs384(Call& c) { return VerifyHs(c, "sha384"); }
Value VerifyHs512(Call& c) { return VerifyHs(c, "sha512"); }

struct Constraints {
  std::vector<Jwk> keys;
  bool has_keys = false;
  std::string secret, alg, iss, aud;
  double time = -1;
};
bool ReadConstraints(Call& c, const Obj& o, Constraints& out) {
  for (uint32_t i = 0; i < o.size; ++i) {
    std::string name = o.keys[i].is_string() ? std::string(o.keys[i].text()) : ToRego(o.keys[i]);
    const Value& v = o.values[i];
    auto text = [&](std::string& where) {
      if (!v.is_string()) {
        c.Fail(name + " constraint: must be a string");
        return false;
      }
      where = v.text();
      return true;
    };
    if (name == "cert") {
      std::string pem;
      if (!text(pem) || !KeysFrom(c, pem, out.keys)) return false;
      out.has_keys = true;
    } else if (name == "secret" || name == "alg" || name == "iss" || name == "aud") {
      if (!text(name == "secret" ? out.secret : name == "alg" ? out.alg : name == "iss" ? out.iss : out.aud))
        return false;
    } else if (name == "time") {
      if (!v.is_number()) {
        c.Fail("token time constraint: must be a number");
        return false;
      }
      out.time = ToDouble(v);
      if (out.time < 0) {
        c.Fail("token time constraint: must not be negative");
        return false;
      }
    } else {
      c.Fail("unknown token validation constraint: " + name);
      return false;
    }
  }
  if (out.has_keys && !out.secret.empty()) c.Fail("duplicate key constraints");
  if (!out.has_keys && out.secret.empty()) c.Fail("no key constraint");
  if (out.time < 0) {
    if (c.services.now_ns == 0) c.services.now_ns = c.services.clock.Wall().time_since_epoch().count();
    out.time = static_cast<double>(c.services.now_ns);
  }
  return !c.failed();
}

bool Signed(const Constraints& k, const Header& h, const JwtText& t, std::string_view signature) {
  std::string data = t.signed_part();
  if (k.has_keys)
    return AnyKey(k.keys, h, [&](const Jwk& key) { return VerifyJws(key.key.get(), h.alg, data, signature); });
  return h.alg.starts_with("HS") && KnownAlgorithm(h.alg) && SameBytes(Hmac(HashOf(h.alg), k.secret, data), signature);
}

// Empty: as it should be. Otherwise the call failed or the answer is "not verified".
bool ClaimsHold(Call& c, const Constraints& k, const Obj& payload) {
  Value iss = Get(payload, "iss"), aud = Get(payload, "aud");
  if (!k.iss.empty() && !(iss.is_string() && iss.text() == k.iss)) return false;
  if (aud.defined()) {
    bool ok = aud.is_string() && aud.text() == k.aud;
    if (aud.is_array()) {
      for (const Value& v : aud.arr->view()) ok = ok || (v.is_string() && v.text() == k.aud);
    }
    if (!ok) return false;
  } else if (!k.aud.empty()) {
    return false;
  }
  Value now = FromDouble(c.arena, k.time / 1e9);
  for (std::string_view name : {std::string_view("exp"), std::string_view("nbf")}) {
    Value v = Get(payload, name);
    if (!v.defined()) continue;
    if (!v.is_number()) {
      c.Fail(std::string(name) + " value must be a number");
      return false;
    }
    if (name == "exp" ? CompareNumbers(now, v) >= 0 : CompareNumbers(now, v) < 0) return false;
  }
  return true;
}

Value DecodeVerify(Call& c) {
  constexpr int kMaxNesting = 32;
  std::string_view text;
  const Obj* options;
  Constraints k;
  if (!TakeObject(c, 1, options) || !ReadConstraints(c, *options, k) || !TakeString(c, 0, text)) return Value();
  Value refused[] = {Value::Bool(false), EmptyObject(), EmptyObject()};
  Value header, payload;
  std::string body;
  std::string current(text);
  for (int depth = 0;; ++depth) {
    JwtText t;
    Header h;
    std::string signature;
    if (depth > kMaxNesting) return c.Fail("JWT is nested too deeply");
    if (!SplitToken(c, current, t) || !DecodeHeader(c, t, header) || !ReadHeader(c, header, h)) return Value();
    if (!h.valid || (!k.alg.empty() && k.alg != h.alg)) return MakeArray(c.arena, refused);
    if (!Decode(c, t.signature, "", signature)) return Value();
    if (!Signed(k, h, t, signature)) return MakeArray(c.arena, refused);
    if (!Decode(c, t.payload, "payload", body)) return Value();
    std::string cty = h.cty;
    std::transform(cty.begin(), cty.end(), cty.begin(),
                   [](char ch) { return static_cast<char>(ch >= 'a' && ch <= 'z' ? ch - 32 : ch); });
    if (cty != "JWT") break;
    current = body;
  }
  if (!JsonObject(c, body, "", payload)) return Value();
  bool hold = ClaimsHold(c, k, *payload.obj);
  if (c.failed()) return Value();
  if (!hold) return MakeArray(c.arena, refused);
  Value out[] = {Value::Bool(true), header, payload};
  return MakeArray(c.arena, out);
}

Value Sign(Call& c, std::string_view header_text, std::string_view payload, std::string_view key_text) {
  auto key_json = ParseJson(c.arena, key_text);
  if (!key_json.ok()) return c.Fail("failed to parse JWK: " + key_json.error().message());
  std::vector<Jwk> keys;
  std::string error;
  if (!ParseJwks(c.arena, *key_json, keys, error)) return c.Fail(error);
  if (keys.empty()) return c.Fail("no keys found in JWK set");
  if (header_text.empty())
    return c.Fail("missing or invalid 'alg' header: cannot parse JSON: cannot parse empty string");
  auto header = ParseJson(c.arena, header_text);
  if (!header.ok()) return c.Fail("missing or invalid 'alg' header: cannot parse JSON: " + header.error().message());
  Value alg = header->is_object() ? Get(*header->obj, "alg") : Value();
  if (!alg.is_string()) return c.Fail("missing or invalid 'alg' header: field not found");
  if (!KnownAlgorithm(alg.text())) return c.Fail("unknown JWS algorithm: " + std::string(alg.text()));
  Value typ = Get(*header->obj, "typ");
  if ((!typ.is_string() || typ.text() == "JWT") && !ParseJson(c.arena, payload).ok())
    return c.Fail("type is JWT but payload is not JSON");
  std::string data = Base64UrlEncode(AsBytes(header_text)) + "." + Base64UrlEncode(AsBytes(payload));
  std::string signature;
  if (alg.text().starts_with("HS")) {
    if (keys[0].kty != "oct")
      return c.Fail("failed to sign with algorithm " + std::string(alg.text()) + ": the key does not fit");
    signature = Hmac(HashOf(alg.text()), keys[0].secret, data);
  } else {
    signature = SignJws(keys[0].key.get(), alg.text(), data, error);
    if (signature.empty()) return c.Fail(error);
  }
  return c.Text(data + "." + Base64UrlEncode(AsBytes(signature)));
}
Value EncodeSign(Call& c) {
  const Obj* o;
  for (size_t i = 0; i < 3; ++i) {
    if (!TakeObject(c, i, o)) return Value();
  }
  return Sign(c, ToJson(c[0]), ToJson(c[1]), ToJson(c[2]));
}
Value EncodeSignRaw(Call& c) {
  std::string_view header, payload, key;
  return TakeString(c, 2, key) && TakeString(c, 0, header) && TakeString(c, 1, payload) ? Sign(c, header, payload, key)
                                                                                        : Value();
}

}  // namespace

std::span<const Builtin> JwtBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "io.jwt.decode", .arity = 1, .fn = JwtDecode},
      {.name = "io.jwt.verify_rs256", .arity = 2, .fn = VerifyRs256},
      {.name = "io.jwt.verify_rs384", .arity = 2, .fn = VerifyRs384},
      {.name = "io.jwt.verify_rs512", .arity = 2, .fn = VerifyRs512},
      {.name = "io.jwt.verify_ps256", .arity = 2, .fn = VerifyPs256},
      {.name = "io.jwt.verify_ps384", .arity = 2, .fn = VerifyPs384},
      {.name = "io.jwt.verify_ps512", .arity = 2, .fn = VerifyPs512},
      {.name = "io.jwt.verify_es256", .arity = 2, .fn = VerifyEs256},
      {.name = "io.jwt.verify_es384", .arity = 2, .fn = VerifyEs384},
      {.name = "io.jwt.verify_es512", .arity = 2, .fn = VerifyEs512},
      {.name = "io.jwt.verify_eddsa", .arity = 2, .fn = VerifyEdDsa},
      {.name = "io.jwt.verify_hs256", .arity = 2, .fn = VerifyHs256},
      {.name = "io.jwt.verify_hs384", .arity = 2, .fn = VerifyHs384},
      {.name = "io.jwt.verify_hs512", .arity = 2, .fn = VerifyHs512},
      {.name = "io.jwt.decode_verify", .arity = 2, .fn = DecodeVerify, .nondeterministic = true},
      {.name = "io.jwt.encode_sign", .arity = 3, .fn = EncodeSign, .nondeterministic = true},
      {.name = "io.jwt.encode_sign_raw", .arity = 3, .fn = EncodeSignRaw, .nondeterministic = true},
  };
  return kTable;
}

}  // namespace hexr::rego
