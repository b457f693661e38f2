#include "policy/decision.h"

#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/number.h"

namespace hexr::policy {
namespace {

using rego::ArrayBuilder;
using rego::ObjectBuilder;
using rego::Value;

// Adds members that apply; a text that is empty does not.
class Members {
 public:
  Members(rego::Arena& arena, size_t reserve) : arena_(arena), b_(arena, reserve) {}
  void Text(std::string_view key, std::string_view v) {
    if (!v.empty()) b_.Add(key, Value::String(arena_, v));
  }
  void Always(std::string_view key, std::string_view v) { b_.Add(key, Value::String(arena_, v)); }
  void Int(std::string_view key, int64_t v) { b_.Add(key, Value::Int(v)); }
  void List(std::string_view key, const std::vector<std::string_view>& v) {
    if (v.empty()) return;
    ArrayBuilder list(arena_, v.size());
    for (auto x : v) list.Add(Value::String(arena_, x));
    b_.Add(key, list.Finish());
  }
  // False when the text is no JSON.
  bool Json(std::string_view key, std::string_view text) {
    if (text.empty()) return true;
    auto v = rego::ParseJson(arena_, text);
    if (v.ok()) b_.Add(key, *v);
    return v.ok();
  }
  void Add(std::string_view key, const Value& v) { b_.Add(key, v); }
  Value Finish() { return b_.Finish(); }

 private:
  rego::Arena& arena_;
  ObjectBuilder b_;
};

}  // namespace

Authorizer::Authorizer(std::shared_ptr<const PolicySet> set, const Clock& clock, Random& random, rego::Budget budget)
    : services_(clock, random), budget_(budget) {
  Use(std::move(set));
}

Authorizer::Authorizer(const PolicyStore& store, const Clock& clock, Random& random, rego::Budget budget)
    : store_(&store), services_(clock, random), budget_(budget) {}

void Authorizer::Use(std::shared_ptr<const PolicySet> set) {
  const rego::Program& program = set->policy().program();
  if (machine_)
    machine_->Rebind(program);
  else
    machine_ = std::make_unique<rego::Machine>(program, services_, budget_);
  set_ = std::move(set);
  // An error of a built-in is an error of the decision, and an error is a deny.
  machine_->strict = true;
  allow_ = set_->policy().FindDocument("data.hexr.authz.allow");
  deny_ = set_->policy().FindDocument("data.hexr.authz.deny");
  obligations_ = set_->policy().FindDocument("data.hexr.authz.obligations");
}

Value Authorizer::BuildInput(rego::Arena& arena, const Call& call, bool& good) const {
  // In the order of their names, so that nothing is left to sort.
  Members in(arena, 24);
  good = true;
  in.Always("action", call.action);
  in.Always("agent", call.agent);
  in.Text("assurance", call.assurance);
  if (call.budget) {
    Members p(arena, 5);
    p.Int("calls", call.budget->calls);
    p.Add("cost_usd", rego::FromDouble(arena, call.budget->cost_usd));
    p.Int("tokens_in", call.budget->tokens_in);
    p.Int("tokens_out", call.budget->tokens_out);
    p.Int("window_s", call.budget->window_s);
    in.Add("budget", p.Finish());
  }
  if (call.destination) {
    Members p(arena, 6);
    p.Text("host", call.destination->host);
    p.Text("method", call.destination->method);
    p.Text("path", call.destination->path);
    p.Int("port", call.destination->port);
    p.Text("scheme", call.destination->scheme);
    p.Text("sni", call.destination->sni);
    in.Add("destination", p.Finish());
  }
  good = in.Json("findings", call.findings_json) && good;
  in.Text("instance", call.instance);
  in.List("labels", call.labels);
  in.List("lineage", call.lineage);
  in.Text("model", call.model);
  if (call.on_behalf_of) {
    Members p(arena, 3);
    good = p.Json("claims", call.on_behalf_of->claims_json) && good;
    p.Text("issuer", call.on_behalf_of->issuer);
    p.Text("sub", call.on_behalf_of->sub);
    in.Add("on_behalf_of", p.Finish());
  }
  in.Text("peer", call.peer);
  if (call.process && !call.process->known) in.Text("process", "unknown");
  if (call.process && call.process->known) {
    Members p(arena, 4);
    p.Text("digest", call.process->digest);
    p.Text("exe", call.process->exe);
    p.Int("pid", call.process->pid);
    p.Add("registered", Value::Bool(call.process->registered));
    in.Add("process", p.Finish());
  }
  in.Text("resource", call.resource);
  in.Always("role", call.role);
  in.Always("service", call.service);
  if (call.session) {
    Members p(arena, 2);
    p.Text("id", call.session->id);
    p.Int("turn", call.session->turn);
    in.Add("session", p.Finish());
  }
  in.List("shares", call.shares);
  in.Always("spiffe_id", call.spiffe_id);
  in.Always("tenant", call.tenant);
  in.Text("time", FormatRfc3339(WallTime(std::chrono::seconds(call.unix_seconds)), 0));
  in.Int("timestamp", call.unix_seconds);
  if (call.tool) {
    Members p(arena, 5);
    good = p.Json("annotations", call.tool->annotations_json) && good;
    good = p.Json("args", call.tool->args_json) && good;
    p.Text("name", call.tool->name);
    if (call.tool->pinned) p.Add("pinned", Value::Bool(*call.tool->pinned));
    p.Text("server", call.tool->server);
    in.Add("tool", p.Finish());
  }
  in.List("tools", call.tools);
  return in.Finish();
}

bool Authorizer::Evaluate(int place, Value& value, Decision& decision) {
  value = Value();
  if (place < 0) return true;
  if (machine_->RunDocument(place, value) != rego::Machine::Outcome::kError) return true;
  decision.failed = true;
  decision.deny.push_back({"policy_error", machine_->error().ToString()});
  return false;
}

void Authorizer::ReadDeny(const Value& deny, Decision& decision) {
  if (!deny.defined()) return;
  if (!deny.is_set() && !deny.is_array()) {
    decision.failed = true;
    decision.deny.push_back({"policy_error", "deny is a set of reasons, found " + std::string(rego::KindName(deny))});
    return;
  }
  for (const Value& v : deny.is_set() ? deny.set->view() : deny.arr->view()) {
    Reason r;
    if (v.is_string()) {
      r.message = v.text();
    } else if (v.is_object()) {
      Value code = rego::Lookup(v, Value::String(machine_->arena(), "code"));
      Value message = rego::Lookup(v, Value::String(machine_->arena(), "message"));
      if (code.is_string()) r.code = code.text();
      r.message = message.is_string() ? std::string(message.text()) : rego::ToRego(v);
    } else {
      r.message = rego::ToRego(v);
    }
    decision.deny.push_back(std::move(r));
  }
}

void Authorizer::NoteRule(const rego::Location* at, Decision& decision) const {
  const auto& files = set_->policy().program().files;
  if (at == nullptr || at->row == 0 || at->file >= files.size()) return;
  decision.rules.push_back(files[at->file] + ":" + std::to_string(at->row));
}

Decision Authorizer::Decide(const Call& call) {
  Decision decision;
  decision.obligations_json = "{}";
  if (store_ != nullptr) {
    if (const uint64_t epoch = store_->epoch(); epoch != epoch_) {
      if (auto set = store_->current(); set) Use(std::move(set));
      epoch_ = epoch;
    }
  }
  if (!set_) {
    decision.failed = true;
    decision.deny.push_back({"policy_error", "no policy is in force"});
    return decision;
  }
  decision.revision = set_->revision();
  decision.digest = set_->digest();
  bool good = false;
  Value input = BuildInput(machine_->Prepare(), call, good);
  machine_->Begin(input, set_->data());
  if (!good) {
    decision.failed = true;
    decision.deny.push_back({"policy_error", "a part of the input is not JSON"});
    return decision;
  }
  Value allow, deny, obligations;
  if (!Evaluate(allow_, allow, decision)) return decision;
  const rego::Location* granted = allow.is_true() ? machine_->returned_at() : nullptr;
  if (!Evaluate(deny_, deny, decision) || !Evaluate(obligations_, obligations, decision)) return decision;
  for (const rego::Location* at : machine_->decided()) NoteRule(at, decision);
  ReadDeny(deny, decision);
  if (obligations.defined() && !obligations.is_object()) {
    decision.failed = true;
    decision.deny.push_back({"policy_error", "obligations is an object"});
  }
  if (obligations.is_object()) decision.obligations_json = rego::ToJson(obligations);
  if (!decision.deny.empty()) return decision;
  if (allow.is_true()) {
    decision.allow = true;
    NoteRule(granted, decision);
  } else {
    decision.deny.push_back({"not_allowed", allow_ < 0 ? "no policy defines hexr.authz.allow"
                                                       : "no rule of hexr.authz.allow grants this call"});
  }
  return decision;
}

}  // namespace hexr::policy
