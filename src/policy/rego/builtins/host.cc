// What reaches outside the decision: refused unless the host lends it. Printing and tracing.
#include <algorithm>

#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

Value Outside(Call& c, std::string_view name) {
  if (c.services.host) return c.services.host(c, name);
  return c.Fail("not available in this decision path: no host is configured for it");
}
Value LookupIpAddr(Call& c) {
  std::string_view name;
  return TakeString(c, 0, name) ? Outside(c, "net.lookup_ip_addr") : Value();
}
Value Runtime(Call& c) {
  if (c.services.host) return c.services.host(c, "opa.runtime");
  return EmptyObject();
}

// http.send checks its request before anything leaves: the checks hold whether or not sending is allowed.
Value HttpSend(Call& c) {
  static constexpr std::string_view kKnown[] = {"method",
                                                "url",
                                                "body",
                                                "enable_redirect",
                                                "force_json_decode",
                                                "force_yaml_decode",
                                                "headers",
                                                "raw_body",
                                                "tls_use_system_certs",
                                                "tls_ca_cert",
                                                "tls_ca_cert_file",
                                                "tls_ca_cert_env_variable",
                                                "tls_client_cert",
                                                "tls_client_cert_file",
                                                "tls_client_cert_env_variable",
                                                "tls_client_key",
                                                "tls_client_key_file",
                                                "tls_client_key_env_variable",
                                                "tls_insecure_skip_verify",
                                                "tls_server_name",
                                                "timeout",
                                                "cache",
                                                "force_cache",
                                                "force_cache_duration_seconds",
                                                "raise_error",
                                                "caching_mode",
                                                "max_retry_attempts",
                                                "cache_ignored_headers"};
  const Obj* request;
  if (!TakeObject(c, 0, request)) return Value();
  SetBuilder unknown(c.arena);
  for (uint32_t i = 0; i < request->size; ++i) {
    const Value& key = request->keys[i];
    bool known = false;
    for (auto k : kKnown) known = known || (key.is_string() && key.text() == k);
    if (!known) unknown.Add(key);
  }
  Value bad = unknown.Finish();
  if (bad.set->size > 0) return c.TypeError("operand 1 invalid request parameters(s): " + ToRego(bad));
  SetBuilder missing(c.arena);
  for (std::string_view k : {std::string_view("method"), std::string_view("url")}) {
    if (FindText(*request, k) < 0) missing.Add(c.Text(k));
  }
  Value lacking = missing.Finish();
  if (lacking.set->size > 0) return c.TypeError("operand 1 missing required request parameters(s): " + ToRego(lacking));
  return Outside(c, "http.send");
}

Value Print(Call& c) {
  if (c.services.prints == nullptr) return Value::Bool(true);
  std::string line;
  for (const Value& v : c.args) {
    if (!line.empty()) line += ' ';
    if (v.is_string())
      line += v.text();
    else
      AppendRego(v, line);
  }
  c.services.prints->push_back(std::move(line));
  return Value::Bool(true);
}
Value InternalPrint(Call& c) {
  if (c.services.prints == nullptr) return Value::Bool(true);
  const Arr* parts;
  if (!TakeArray(c, 0, parts)) return Value();
  std::string line;
  for (const Value& p : parts->view()) {
    if (&p != parts->items) line += ' ';
    bool ok = false;
    auto values = Elements(p, ok);
    if (values.empty())
      line += "<undefined>";
    else if (values[0].is_string())
      line += values[0].text();
    else
      AppendRego(values[0], line);
  }
  c.services.prints->push_back(std::move(line));
  return Value::Bool(true);
}
Value TraceNote(Call& c) {
  std::string_view note;
  return TakeString(c, 0, note) ? Value::Bool(true) : Value();
}
Value Sleep(Call& c) {
  std::string_view text;
  return TakeString(c, 0, text) ? Outside(c, "test.sleep") : Value();
}
Value TestCase(Call& c) {
  if (c.services.test_cases == nullptr) return Value::Bool(true);
  const Arr* parts;
  if (!TakeArray(c, 0, parts)) return Value();
  std::string name;
  for (const Value& p : parts->view()) {
    if (!name.empty()) name += '/';
    name += p.is_string() ? std::string(p.text()) : ToRego(p);
  }
  auto& all = *c.services.test_cases;
  if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(std::move(name));
  return Value::Bool(true);
}

}  // namespace

std::span<const Builtin> HostBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "http.send", .arity = 1, .fn = HttpSend, .nondeterministic = true},
      {.name = "net.lookup_ip_addr", .arity = 1, .fn = LookupIpAddr, .nondeterministic = true},
      {.name = "opa.runtime", .arity = 0, .fn = Runtime, .nondeterministic = true},
      {.name = "print", .arity = 0, .fn = Print, .variadic = true, .no_result = true},
      {.name = "internal.print", .arity = 1, .fn = InternalPrint, .no_result = true},
      {.name = "internal.test_case", .arity = 1, .fn = TestCase, .no_result = true},
      {.name = "trace", .arity = 1, .fn = TraceNote},
      {.name = "test.sleep", .arity = 1, .fn = Sleep, .only_cases = true},
  };
  return kTable;
}

}  // namespace hexr::rego
