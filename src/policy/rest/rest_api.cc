#include "policy/rest/rest_api.h"

#include <optional>

#include "base/bytes.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"

namespace hexr::policy {
namespace {

using rego::Value;

RestResponse Problem(int status, std::string_view code, std::string_view message) {
  RestResponse r{status, "{\"code\":"};
  rego::AppendJsonString(code, true, r.body);
  r.body += ",\"message\":";
  rego::AppendJsonString(message, true, r.body);
  r.body += "}\n";
  return r;
}

// Percent-encoding undone (RFC 3986 2.1), `+` is a space in queries; nothing when it is broken.
std::optional<std::string> Decode(std::string_view text, bool query) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const auto byte = HexDecode(text.substr(i + 1, 2));
      if (!byte.ok() || byte->size() != 1) return std::nullopt;
      out += static_cast<char>((*byte)[0]);
      i += 2;
    } else {
      out += query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::optional<std::vector<std::string>> Parts(std::string_view path) {
  std::vector<std::string> out;
  for (size_t start = 0; start < path.size();) {
    const size_t slash = std::min(path.find('/', start), path.size());
    if (slash > start) {
      auto part = Decode(path.substr(start, slash - start), false);
      if (!part) return std::nullopt;
      out.push_back(std::move(*part));
    }
    start = slash + 1;
  }
  return out;
}

std::string DecisionId(Random& random) {
  uint8_t b[16];
  random.Fill(b);
  b[6] = static_cast<uint8_t>((b[6] & 0x0F) | 0x40);  // RFC 9562, version 4
  b[8] = static_cast<uint8_t>((b[8] & 0x3F) | 0x80);
  const std::string hex = HexEncode(b);
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" + hex.substr(16, 4) + "-" +
         hex.substr(20);
}

}  // namespace

RestApi::RestApi(const PolicyStore& store, const Clock& clock, Random& random,
                 std::function<void(std::string entry)> log)
    : evaluator_(store, clock, random),
      decisions_(store, clock, random),
      clock_(clock),
      random_(random),
      log_(std::move(log)) {}

RestResponse RestApi::Handle(const RestRequest& request) {
  const size_t mark = request.target.find('?');
  const auto path = Parts(std::string_view(request.target).substr(0, mark));
  if (!path) return Problem(400, "invalid_parameter", "the path is not percent-encoded as it should be");
  Query query;
  std::string_view rest = mark == std::string::npos ? "" : std::string_view(request.target).substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    const auto value = Decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!value) return Problem(400, "invalid_parameter", "the query is not percent-encoded as it should be");
    if (pair.substr(0, equals) == "input") query.input_json = *value;
    if (pair.substr(0, equals) == "pretty") query.pretty = value->empty() || *value == "true";
  }
  const std::vector<std::string>& p = *path;
  auto is = [&](size_t n, std::string_view name) { return p.size() > n && p[n] == name; };
  if (is(0, "health") && p.size() == 1) {
    evaluator_.Refresh();
    return evaluator_.set() != nullptr ? RestResponse{200, "{}\n"} : RestResponse{500, "{}\n"};
  }
  if ((is(0, "v1") || is(0, "v0")) && is(1, "data")) {
    query.v0 = p[0] == "v0";
    query.path.assign(p.begin() + 2, p.end());
    return Data(request, std::move(query));
  }
  if (is(0, "v1") && is(1, "policies")) return Policies(request, {p.begin() + 2, p.end()});
  return Problem(404, "resource_not_found", "there is nothing at " + request.target.substr(0, mark));
}

RestResponse RestApi::Data(const RestRequest& request, Query query) {
  const bool post = request.method == "POST";
  if (!post && (request.method != "GET" || query.v0))
    return Problem(405, "method_not_allowed", "policies and data come from bundles: use GET or POST to ask");
  rego::Arena arena;
  if (post && query.v0) {
    query.input_json = request.body;
  } else if (post && request.body.find_first_not_of(" \t\r\n") != std::string::npos) {
    auto body = rego::ParseJson(arena, request.body);
    if (!body.ok() || !body->is_object())
      return Problem(400, "invalid_parameter",
                     "body is not a JSON object with an input: " + (body.ok() ? "" : body.error().message()));
    const Value input = rego::Lookup(*body, Value::String(arena, "input"));
    query.input_json = input.defined() ? rego::ToJson(input) : "";
  }
  const MonoTime start = clock_.Mono();
  auto answer = evaluator_.Ask(query.path, query.input_json);
  if (!answer.ok()) {
    if (answer.error().code() == ErrorCode::kFailedPrecondition)
      return Problem(500, "internal_error", answer.error().message());
    return Problem(400, "invalid_parameter", "input: " + answer.error().message());
  }
  LogEvent event;
  event.decision_id = DecisionId(random_);
  event.elapsed_ns = (clock_.Mono() - start).count();
  event.time = clock_.Wall();
  event.input_json = query.input_json;
  event.requested_by = request.requested_by;
  event.revision = answer->revision;
  event.error = answer->error;
  for (const std::string& step : query.path) event.path += (event.path.empty() ? "" : "/") + step;
  std::string result;
  if (answer->value.defined())
    rego::AppendJson(answer->value, {.prefix = query.pretty ? "  " : "", .indent = "  ", .pretty = query.pretty},
                     result);
  event.result_json = answer->value.defined() ? rego::ToJson(answer->value) : "";
  if (log_) {
    if (auto entry = decisions_.Entry(event)) log_(std::move(*entry));
  }
  if (!event.error.empty()) return Problem(500, "internal_error", event.error);
  if (query.v0) {
    if (result.empty()) return Problem(404, "undefined_document", "document missing or undefined: data." + event.path);
    return {200, result + "\n"};
  }
  const std::string_view gap = query.pretty ? "\n  " : "", colon = query.pretty ? ": " : ":";
  std::string body = "{" + std::string(gap) + "\"decision_id\"" + std::string(colon) + "\"" + event.decision_id + "\"";
  if (!result.empty()) body += "," + std::string(gap) + "\"result\"" + std::string(colon) + result;
  return {200, body + (query.pretty ? "\n}\n" : "}\n")};
}

RestResponse RestApi::Policies(const RestRequest& request, const std::vector<std::string>& path) {
  if (request.method != "GET")
    return Problem(405, "method_not_allowed", "policies come from bundles and are not changed here");
  evaluator_.Refresh();
  if (evaluator_.set() == nullptr) return Problem(500, "internal_error", "no policy is in force");
  std::string id;
  for (const std::string& step : path) id += (id.empty() ? "" : "/") + step;
  std::string list;
  for (const rego::Source& s : evaluator_.set()->documents().sources) {
    if (!id.empty() && s.file != id) continue;
    list += (list.empty() ? "" : ",") + std::string("{\"id\":");
    rego::AppendJsonString(s.file, true, list);
    list += ",\"raw\":";
    rego::AppendJsonString(s.text, true, list);
    list += "}";
  }
  if (id.empty()) return {200, "{\"result\":[" + list + "]}\n"};
  if (list.empty()) return Problem(404, "resource_not_found", "there is no policy " + id);
  return {200, "{\"result\":" + list + "}\n"};
}

}  // namespace hexr::policy
