#include "policy/rest/decision_log.h"

#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"

namespace hexr::policy {
namespace {

using rego::Value;

Value Text(rego::Arena& arena, std::string_view s) { return Value::String(arena, s); }

// The parts of a JSON pointer (RFC 6901); empty when it is none.
std::vector<std::string> Pointer(std::string_view text) {
  std::vector<std::string> out;
  if (!text.starts_with('/')) return out;
  std::string part;
  for (size_t i = 1; i <= text.size(); ++i) {
    if (i == text.size() || text[i] == '/') {
      out.push_back(std::exchange(part, ""));
    } else if (text[i] == '~' && i + 1 < text.size() && (text[i + 1] == '0' || text[i + 1] == '1')) {
      part += text[++i] == '0' ? '~' : '/';
    } else {
      part += text[i];
    }
  }
  return out;
}

// `v` without what is at `path`, or with `replacement` there. `done` when there was something to change.
Value Changed(rego::Arena& arena, const Value& v, const std::vector<std::string>& path, size_t depth,
              const Value& replacement, bool& done) {
  if (depth == path.size()) {
    done = true;
    return replacement;
  }
  if (v.is_array()) {
    rego::ArrayBuilder out(arena, v.arr->size);
    for (size_t i = 0; i < v.arr->size; ++i) {
      if (std::to_string(i) != path[depth]) {
        out.Add(v.arr->items[i]);
        continue;
      }
      const Value inner = Changed(arena, v.arr->items[i], path, depth + 1, replacement, done);
      out.Add(inner.defined() ? inner : Value::Null());
    }
    return out.Finish();
  }
  if (!v.is_object()) return v;
  rego::ObjectBuilder out(arena, v.obj->size + 1);
  bool found = false;
  for (uint32_t i = 0; i < v.obj->size; ++i) {
    if (v.obj->keys[i].text() != path[depth]) {
      out.Add(v.obj->keys[i], v.obj->values[i]);
      continue;
    }
    found = true;
    const Value inner = Changed(arena, v.obj->values[i], path, depth + 1, replacement, done);
    if (inner.defined()) out.Add(v.obj->keys[i], inner);
  }
  if (!found && replacement.defined() && depth + 1 == path.size()) {
    out.Add(path[depth], replacement);
    done = true;
  }
  return out.Finish();
}

bool Maskable(const std::vector<std::string>& path) {
  return !path.empty() && (path[0] == "input" || path[0] == "result" || path[0] == "nd_builtin_cache");
}

// One rule of the mask: a pointer to erase, or {op, path, value}.
void ApplyMask(rego::Arena& arena, const Value& rule, Value& event, rego::ArrayBuilder& erased,
               rego::ArrayBuilder& masked) {
  Value path = rule, value;
  bool upsert = false;
  if (rule.is_object()) {
    path = rego::Lookup(rule, Text(arena, "path"));
    const Value op = rego::Lookup(rule, Text(arena, "op"));
    upsert = op.is_string() && op.text() == "upsert";
    if (upsert) value = rego::Lookup(rule, Text(arena, "value"));
    if (upsert && !value.defined()) value = Value::Null();
  }
  if (!path.is_string()) return;
  const std::vector<std::string> steps = Pointer(path.text());
  if (!Maskable(steps)) return;
  bool done = false;
  event = Changed(arena, event, steps, 0, value, done);
  if (done) (upsert ? masked : erased).Add(Text(arena, path.text()));
}

}  // namespace

DecisionLog::DecisionLog(const PolicyStore& store, const Clock& clock, Random& random,
                         std::map<std::string, std::string> labels)
    : evaluator_(store, clock, random), labels_(std::move(labels)) {}

std::optional<std::string> DecisionLog::Entry(const LogEvent& event) {
  rego::Arena arena;
  rego::ObjectBuilder b(arena, 16);
  rego::ObjectBuilder labels(arena);
  for (const auto& [key, value] : labels_) labels.Add(key, Text(arena, value));
  b.Add("labels", labels.Finish());
  b.Add("decision_id", Text(arena, event.decision_id));
  b.Add("path", Text(arena, event.path));
  if (!event.requested_by.empty()) b.Add("requested_by", Text(arena, event.requested_by));
  b.Add("timestamp", Text(arena, FormatRfc3339(event.time, 9)));
  rego::ObjectBuilder metrics(arena);
  metrics.Add("timer_rego_query_eval_ns", Value::Int(event.elapsed_ns));
  b.Add("metrics", metrics.Finish());
  if (!event.revision.empty()) {
    rego::ObjectBuilder bundle(arena), bundles(arena);
    bundle.Add("revision", Text(arena, event.revision));
    bundles.Add("policy", bundle.Finish());
    b.Add("bundles", bundles.Finish());
  }
  if (!event.error.empty()) {
    rego::ObjectBuilder error(arena);
    error.Add("message", Text(arena, event.error));
    b.Add("error", error.Finish());
  }
  for (const auto& [name, json] : {std::pair{"input", &event.input_json}, std::pair{"result", &event.result_json}}) {
    if (json->empty()) continue;
    if (auto v = rego::ParseJson(arena, *json); v.ok()) b.Add(name, *v);
  }
  Value entry = b.Finish();
  const std::string asked = rego::ToJson(entry);
  const auto drop = evaluator_.Ask({"system", "log", "drop"}, asked);
  if (drop.ok() && drop->value.is_true()) return std::nullopt;
  rego::ArrayBuilder erased(arena), masked(arena);
  const auto mask = evaluator_.Ask({"system", "log", "mask"}, asked);
  if (!mask.ok() || !mask->error.empty()) {
    for (const char* all : {"/input", "/result"}) ApplyMask(arena, Text(arena, all), entry, erased, masked);
  } else if (mask->value.is_set() || mask->value.is_array()) {
    const auto rules = mask->value.is_set() ? mask->value.set->view() : mask->value.arr->view();
    for (const Value& rule : rules) ApplyMask(arena, rule, entry, erased, masked);
  }
  rego::ObjectBuilder out(arena, entry.obj->size + 2);
  for (uint32_t i = 0; i < entry.obj->size; ++i) out.Add(entry.obj->keys[i], entry.obj->values[i]);
  if (erased.size() > 0) out.Add("erased", erased.Finish());
  if (masked.size() > 0) out.Add("masked", masked.Finish());
  return rego::ToJson(out.Finish());
}

}  // namespace hexr::policy
