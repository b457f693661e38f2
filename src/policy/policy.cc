#include "policy/policy.h"

#include "base/clock.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"

namespace hexr::policy {
namespace {

using rego::Value;

// Undefined when the two contradict each other.
Value Join(rego::Arena& arena, std::string_view key, const Value& a, const Value& b) {
  if (rego::Equal(a, b)) return a;
  if (a.is_array() && b.is_array()) {
    rego::ArrayBuilder out(arena, a.arr->size + b.arr->size);
    for (const Value& v : a.arr->view()) out.Add(v);
    for (const Value& v : b.arr->view()) out.Add(v);
    return out.Finish();
  }
  if (a.is_object() && b.is_object()) {
    rego::ObjectBuilder out(arena, a.obj->size + b.obj->size);
    for (uint32_t i = 0; i < a.obj->size; ++i) out.Add(a.obj->keys[i], a.obj->values[i]);
    for (uint32_t i = 0; i < b.obj->size; ++i) {
      const Value& name = b.obj->keys[i];
      const Value before = rego::Lookup(a, name);
      const Value joined = before.defined() ? Join(arena, name.text(), before, b.obj->values[i]) : b.obj->values[i];
      if (!joined.defined()) return Value();
      out.Add(name, joined);
    }
    return out.Finish();
  }
  if (key == "max_ttl" && a.is_string() && b.is_string()) {
    const auto x = ParseDuration(a.text()), y = ParseDuration(b.text());
    if (x.ok() && y.ok()) return *x < *y ? a : b;
  }
  return Value();
}

}  // namespace

Decision Apply(Mode mode, Decision decision) {
  if (mode == Mode::kEnforce || decision.allow) return decision;
  decision.allow = decision.would_deny = true;
  return decision;
}

Decision Both(const Decision& node, const Decision& narrow) {
  Decision out = node;
  out.allow = node.allow && narrow.allow;
  out.failed = node.failed || narrow.failed;
  out.deny.insert(out.deny.end(), narrow.deny.begin(), narrow.deny.end());
  out.rules.insert(out.rules.end(), narrow.rules.begin(), narrow.rules.end());
  rego::Arena arena;
  const auto a = rego::ParseJson(arena, node.obligations_json), b = rego::ParseJson(arena, narrow.obligations_json);
  const Value joined = a.ok() && b.ok() ? Join(arena, "", *a, *b) : Value();
  if (joined.is_object()) {
    out.obligations_json = rego::ToJson(joined);
  } else {
    out.allow = false;
    out.deny.push_back({"policy_error", "the obligations of two policies contradict each other"});
  }
  return out;
}

}  // namespace hexr::policy
