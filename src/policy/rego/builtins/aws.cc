// AWS Signature Version 4 over a request object.
#include <algorithm>
#include <array>
#include <map>

#include "base/bytes.h"
#include "policy/rego/builtins/civil.h"
#include "policy/rego/builtins/keys.h"
#include "policy/rego/builtins/support.h"
#include "policy/rego/builtins/uri.h"

namespace hexr::rego {
namespace {

constexpr std::string_view kRequired[] = {"aws_access_key", "aws_region", "aws_secret_access_key", "aws_service"};

constexpr std::array<std::string_view, 2> kRequestKeys = {"method", "url"};

// Every key has to be there and a string; `operand` and `what` are for the message.
template <class Keys>
bool CheckStrings(Call& c, const Obj& object, const Keys& keys, std::string_view operand, std::string_view what) {
  SetBuilder missing(c.arena), invalid(c.arena);
  for (std::string_view key : keys) {
    Value v = Get(object, key);
    if (!v.defined())
      missing.Add(c.Text(key));
    else if (!v.is_string())
      invalid.Add(c.Text(key));
  }
  Value m = missing.Finish(), i = invalid.Finish();
  const std::string prefix = "operand " + std::string(operand);
  if (m.set->size > 0)
    c.TypeError(prefix + " missing required " + std::string(what) + " parameters(s): " + ToRego(m));
  else if (i.set->size > 0)
    c.TypeError(prefix + " invalid values for required " + std::string(what) + " parameters(s): " + ToRego(i));
  return !c.failed();
}

std::string LowerAscii(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return out;
}

Value SignReq(Call& c) {
  const Obj *request, *config;
  Value time;
  if (!TakeObject(c, 0, request) || !TakeObject(c, 1, config) ||
      !CheckStrings(c, *config, kRequired, "2", "AWS config") || !TakeNumber(c, 2, time)) {
    return Value();
  }
  auto ns = ToInt64(time);
  if (!ns) return c.TypeError("operand 3 could not convert time_ns value into a unix timestamp");
  if (!CheckStrings(c, *request, kRequestKeys, "1", "request")) return Value();
  Value headers = Get(*request, "headers");
  if (headers.defined() && !headers.is_object()) {
    return c.TypeError("operand 0 must be object but got " + std::string(KindName(headers)));
  }
  Uri url;
  std::string error;
  if (!ParseUri(TextOf(*request, "url"), url, error)) return c.Fail(error);
  Value raw = Get(*request, "raw_body"), body = Get(*request, "body");
  std::string payload = raw.defined()    ? std::string(raw.is_string() ? raw.text() : "")
                        : body.defined() ? ToJson(body)
                                         : "";
  Value unsigned_payload = Get(*config, "disable_payload_signing");
  if (unsigned_payload.defined() && unsigned_payload.kind != Kind::kBool) {
    return c.TypeError("operand 2 invalid value for 'disable_payload_signing' in AWS config");
  }
  std::string hash = unsigned_payload.is_true() ? "UNSIGNED-PAYLOAD" : HexEncode(AsBytes(Digest("sha256", payload)));
  int64_t seconds = *ns / 1000000000 - (*ns % 1000000000 < 0);
  std::string day = GoFormatTime("20060102", seconds, 0, {}), stamp = GoFormatTime("20060102T150405Z", seconds, 0, {});
  std::string service(TextOf(*config, "aws_service")), region(TextOf(*config, "aws_region"));

  std::map<std::string, std::string> amz{{"host", url.host}, {"x-amz-date", stamp}};
  if (service == "s3" || service == "glacier") amz["x-amz-content-sha256"] = hash;
  if (auto token = TextOf(*config, "aws_session_token"); !token.empty()) amz["x-amz-security-token"] = token;
  std::map<std::string, std::string> to_sign = amz;
  for (uint32_t i = 0; headers.is_object() && i < headers.obj->size; ++i) {
    const Value& v = headers.obj->values[i];
    std::string key = LowerAscii(headers.obj->keys[i].is_string() ? headers.obj->keys[i].text() : "");
    if (key == "authorization" || key == "user-agent" || key == "x-amzn-trace-id") continue;
    to_sign[key] = v.is_string() ? std::string(v.text()) : "";
  }
  std::string names,
      canonical = std::string(TextOf(*request, "method")) + "\n" + url.escaped_path + "\n" + url.raw_query + "\n";
  for (const auto& [key, value] : to_sign) {
    canonical += key + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + key;
  }
  canonical += "\n" + names + "\n" + hash;
  std::string scope = day + "/" + region + "/" + service + "/aws4_request";
  std::string text =
      "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + HexEncode(AsBytes(Digest("sha256", canonical)));
  std::string key = Hmac("sha256", "AWS4" + std::string(TextOf(*config, "aws_secret_access_key")), day);
  for (std::string_view part :
       {std::string_view(region), std::string_view(service), std::string_view("aws4_request")}) {
    key = Hmac("sha256", key, part);
  }
  std::string authorization = "AWS4-HMAC-SHA256 Credential=" + std::string(TextOf(*config, "aws_access_key")) + "/" +
                              scope + ",SignedHeaders=" + names +
                              ",Signature=" + HexEncode(AsBytes(Hmac("sha256", key, text)));
  ObjectBuilder signed_headers(c.arena);
  for (uint32_t i = 0; headers.is_object() && i < headers.obj->size; ++i) {
    const Value& v = headers.obj->values[i];
    signed_headers.Add(headers.obj->keys[i], v.is_string() ? v : c.Text(""));
  }
  signed_headers.Add("Authorization", c.Text(authorization));
  for (const auto& [name, value] : amz) signed_headers.Add(name, c.Text(value));
  ObjectBuilder out(c.arena, request->size + 1);
  for (uint32_t i = 0; i < request->size; ++i) out.Add(request->keys[i], request->values[i]);
  out.Add("headers", signed_headers.Finish());
  return out.Finish();
}

}  // namespace

std::span<const Builtin> AwsBuiltins() {
  static constexpr Builtin kTable[] = {{.name = "providers.aws.sign_req", .arity = 3, .fn = SignReq}};
  return kTable;
}

}  // namespace hexr::rego
