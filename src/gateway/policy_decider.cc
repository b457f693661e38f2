#include "gateway/policy_decider.h"

#include <algorithm>

#include "base/bytes.h"
#include "gateway/call.h"
#include "wire/json.h"

namespace hexr::gateway {
namespace {

std::string_view SchemeOf(Door door) {
  if (door == Door::kProxyHttp || door == Door::kCapturedHttp) return "http";
  return door == Door::kCapturedTls ? "https" : "";
}

bool ReadsProcess(const std::string& path) {
  return path == "input" || path == "input.process" || path.starts_with("input.process.");
}

// What the policy asks for beyond the answer. Nothing of it can be done to bytes that are passed on unread, and what
// cannot be met is a deny.
Result<std::string> FirstObligation(const policy::Decision& decision) {
  ASSIGN_OR_RETURN(const wire::Json all, wire::ParseJson(decision.obligations_json));
  if (!all.is_object()) return Internal("obligations are no object");
  return all.as_object()->empty() ? std::string() : all.as_object()->begin()->key;
}

}  // namespace

PolicyInput::PolicyInput(const Call& call, WallTime now)
    : spiffe_id_(call.instance->spiffe_id.ToString()),
      host_(call.destination.host.ToString()),
      resource_(call.destination.port == 0 ? host_ : call.destination.ToString()),
      path_(call.target.substr(0, call.target.find('?'))) {
  const InstanceFacts& who = *call.instance;
  call_.spiffe_id = spiffe_id_;
  call_.tenant = who.tenant.value();
  call_.agent = who.agent.value();
  call_.role = who.role.value();
  call_.instance = who.id.value();
  call_.assurance = AssuranceName(Assurance::kAttested);  // launched by hexr
  call_.service = call.service ? ServiceName(*call.service) : "unknown";
  call_.action = call.action;
  call_.resource = resource_;
  call_.unix_seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  for (const SpiffeId& id : who.lineage) lineage_.push_back(id.ToString());
  call_.lineage.assign(lineage_.begin(), lineage_.end());
  for (const InstanceId& id : who.shares) call_.shares.push_back(id.value());
  if (who.on_behalf_of) {
    const identity::OnBehalfOf& user = who.on_behalf_of->user;
    call_.on_behalf_of = {user.subject, user.issuer, user.claims_json};
  }
  call_.process.emplace();
  if (const Process* p = call.process ? call.process->process() : nullptr) {
    digest_ = "sha256:" + HexEncode(p->digest);
    call_.process = {true, p->pid, p->exe, digest_, p->registered};
  }
  const std::string_view scheme = SchemeOf(call.door);
  call_.destination = {.host = host_,
                       .port = call.destination.port,
                       .scheme = scheme,
                       .sni = call.sni ? std::string_view(call.sni->value()) : std::string_view(),
                       .method = scheme == "http" ? std::string_view(call.action) : std::string_view(),
                       .path = path_};
}

PolicyDecider::PolicyDecider(Decider& allow_list, std::shared_ptr<const policy::PolicySet> set, policy::Mode mode,
                             const Clock& clock, Random& random)
    : allow_list_(allow_list),
      authorizer_(std::move(set), clock, random),
      mode_(mode),
      wants_process_(std::ranges::any_of(authorizer_.set().read_set(), ReadsProcess)),
      clock_(clock) {}

void PolicyDecider::Decide(std::shared_ptr<const Call> call, Done done) {
  allow_list_.Decide(call, [this, call, done = std::move(done)](Result<Decision> first) mutable {
    if (!first.ok() || !first->allowed()) return done(std::move(first));
    done(ByPolicy(*call));
  });
}

Result<Decision> PolicyDecider::ByPolicy(const Call& call) {
  const PolicyInput input(call, clock_.Wall());
  const MonoTime begin = clock_.Mono();
  policy::Decision answer = authorizer_.Decide(input.call());
  if (answer.allow) {
    const Result<std::string> obligation = FirstObligation(answer);
    if (!obligation.ok()) return obligation.error();
    if (!obligation->empty()) {
      answer.allow = false;
      answer.deny.push_back({"obligation", "'" + *obligation + "' is asked for, which cannot be done to this traffic"});
    }
  }
  answer = policy::Apply(mode_, std::move(answer));
  auto by = std::make_shared<ByRego>();
  by->elapsed = clock_.Mono() - begin;
  by->bundle = answer.digest;
  by->revision = answer.revision;
  by->rules = std::move(answer.rules);
  by->would_deny = answer.would_deny;
  for (const policy::Reason& r : answer.deny) {
    if (!by->reasons.empty()) by->reasons += "; ";
    by->reasons += r.code.empty() ? r.message : r.code + ": " + r.message;
  }
  if (answer.allow) return Allow(by->rules.empty() ? "policy" : by->rules.back(), std::move(by));
  if (answer.failed) return Unavailable("the policy failed: " + by->reasons);
  return Deny("policy", "the policy says no: " + by->reasons, std::move(by));
}

}  // namespace hexr::gateway
