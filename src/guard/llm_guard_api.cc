#include "guard/llm_guard_api.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace hexr::guard {
namespace {

using wire::Json;
using wire::JsonObject;

struct ScannerNames {
  Scanner scanner;
  const char* prompt;  // LLM Guard's class name on that side; null: it has none
  const char* output;
};
constexpr std::array<ScannerNames, 7> kNames = {{{Scanner::kUnicode, "InvisibleText", "InvisibleText"},
                                                 {Scanner::kInjection, "PromptInjection", nullptr},
                                                 {Scanner::kSecrets, "Secrets", "Secrets"},
                                                 {Scanner::kPii, "Anonymize", "Sensitive"},
                                                 {Scanner::kUrls, nullptr, "MaliciousURLs"},
                                                 {Scanner::kCustom, "Regex", "Regex"},
                                                 {Scanner::kLeak, nullptr, "SystemPromptLeak"}}};

ApiReply Problem(int status, std::string_view message, std::string_view detail) {
  JsonObject o;
  o.Set("message", message);
  o.Set("details", wire::JsonArray{Json(detail)});
  return {status, "application/json", wire::ToJson(o)};
}

ApiReply Plain(JsonObject o) { return {200, "application/json", wire::ToJson(std::move(o))}; }

}  // namespace

double LlmGuardRisk(double score, double threshold) {
  const double risk = score > threshold ? (score - threshold) / (1 - threshold) : (score - threshold) / threshold;
  return std::round(std::clamp(risk, -1.0, 1.0) * 10) / 10;
}

ApiReply ServeLlmGuard(Worker& worker, const Clock& clock, Session* session, std::string_view method,
                       std::string_view path, std::string_view body) {
  const bool analyze = path == "/analyze/prompt" || path == "/analyze/output";
  const bool scan = path == "/scan/prompt" || path == "/scan/output";
  if (!analyze && !scan) {
    if (path != "/" && path != "/healthz" && path != "/readyz") return Problem(404, "Not Found", "no such route");
    if (method != "GET") return Problem(405, "Method Not Allowed", "this route takes GET");
    JsonObject o;
    if (path == "/")
      o.Set("name", "hexr guard");
    else
      o.Set("status", path == "/healthz" ? "alive" : "ready");
    return Plain(std::move(o));
  }
  if (method != "POST") return Problem(405, "Method Not Allowed", "this route takes POST");
  const auto request = wire::ParseJson(body);
  if (!request.ok()) return Problem(422, "Request validation failed", request.error().message());
  const bool prompt = path.ends_with("prompt");
  const auto text = request->FindString(prompt ? "prompt" : "output");
  if (!request->FindString("prompt") || !text) {
    return Problem(422, "Request validation failed",
                   prompt ? "prompt: a string is required" : "prompt and output: strings are required");
  }
  std::vector<std::string> suppressed;
  if (const Json* list = request->Find("scanners_suppress")) {
    if (list->as_array() == nullptr)
      return Problem(422, "Request validation failed", "scanners_suppress: a list of names is required");
    for (const Json& name : *list->as_array()) {
      if (name.as_string() == nullptr)
        return Problem(422, "Request validation failed", "scanners_suppress: a list of names is required");
      suppressed.push_back(*name.as_string());
    }
  }
  JsonObject scanners;
  std::string sanitized(*text);
  bool valid = true;
  if (text->find_first_not_of(" \t\r\n") != std::string_view::npos) {
    StreamOptions o;
    o.channel = prompt ? Channel::kUser : Channel::kOutput;
    o.session = session;
    o.policy.actions.fill(Action::kFlag);
    o.policy[Scanner::kUnicode] = Action::kRedact;  // invisible text is taken out
    o.policy[Scanner::kSecrets] = Action::kRedact;
    o.policy[Scanner::kPii] = Action::kRedact;
    for (const ScannerNames& n : kNames) {
      const char* name = prompt ? n.prompt : n.output;
      if (name == nullptr || std::find(suppressed.begin(), suppressed.end(), name) != suppressed.end())
        o.policy[n.scanner] = Action::kAllow;
    }
    const ChannelPolicy policy = o.policy;
    auto verdict = Scan(worker, clock, *text, o);
    if (!verdict.ok() || verdict->over_budget) return Problem(503, "Scan failed", "the text could not be scanned");
    sanitized = std::move(verdict->text);
    const bool ascii = std::all_of(text->begin(), text->end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
    for (const ScannerNames& n : kNames) {
      const char* name = prompt ? n.prompt : n.output;
      if (name == nullptr || policy[n.scanner] == Action::kAllow) continue;
      const auto score = static_cast<double>(verdict->scanners[static_cast<size_t>(n.scanner)]);
      const bool found = score >= static_cast<double>(kSureScore);
      valid &= !found;
      double risk = LlmGuardRisk(score, static_cast<double>(kSureScore));
      if (n.scanner == Scanner::kUnicode) risk = found ? 1.0 : ascii ? -1.0 : 0.0;
      scanners.Set(name, risk);
    }
  }
  JsonObject out;
  if (analyze) out.Set(prompt ? "sanitized_prompt" : "sanitized_output", std::move(sanitized));
  out.Set("is_valid", valid);
  out.Set("scanners", std::move(scanners));
  return Plain(std::move(out));
}

}  // namespace hexr::guard
