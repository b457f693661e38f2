#include "gateway/recorder.h"

#include "base/log.h"

namespace hexr::gateway {
namespace {

using ledger::Body;
using ledger::Code;
using ledger::PublicName;

// Sets what is a public name by its own form: hosts, rules, methods. What is not stays out rather than in another form.
void SetName(Body& body, Code key, std::string_view value) {
  if (Result<PublicName> name = PublicName::Parse(value); name.ok()) body.Set(key, *name);
}

Code DoorCode(Door door) {
  switch (door) {
    case Door::kConnect: return "connect";
    case Door::kProxyHttp: return "proxy_http";
    case Door::kCapturedHttp: return "captured_http";
    case Door::kCapturedTls: return "captured_tls";
    case Door::kCapturedTcp: return "captured_tcp";
    case Door::kDns: return "dns";
  }
  return "unknown";
}

Code ServiceCode(const std::optional<Service>& service) {
  if (!service) return "unknown";
  switch (*service) {
    case Service::kEgress: return "egress";
    case Service::kDns: return "dns";
  }
  return "unknown";
}

Code DenialCode(DenialKind kind) {
  switch (kind) {
    case DenialKind::kDenied: return "denied";
    case DenialKind::kMalformed: return "malformed";
    case DenialKind::kLimit: return "limit";
    case DenialKind::kUnavailable: return "unavailable";
    case DenialKind::kUpstream: return "upstream";
    case DenialKind::kTimeout: return "timeout";
  }
  return "unknown";
}

void SetDestination(Body& body, const Call& call) {
  if (call.destination == Nowhere()) return;
  SetName(body, "host", call.destination.host.ToString());
  if (call.destination.port != 0) body.Set("port", call.destination.port);
}

void SetHello(Body& body, const Call& call) {
  if (call.sni) SetName(body, "sni", call.sni->value());
  if (call.ech) body.Set("ech", true);
}

// For whom the agent acts: as salted digests, which the instance's own record has the texts of as well.
void SetUser(Body& body, const InstanceFacts& who) {
  if (!who.on_behalf_of) return;
  Body user;
  user.Set("sub", who.on_behalf_of->subject).Set("issuer", who.on_behalf_of->issuer);
  body.Set("on_behalf_of", std::move(user));
}

// What is known now: a look-up that still runs is "unknown" in the decision, and found in the record that closes.
void SetProcess(Body& body, const Call& call) {
  const Process* p = call.process ? call.process->process() : nullptr;
  if (p == nullptr) {
    body.Set("process", Code("unknown"));
    return;
  }
  Body process;
  process.Set("pid", p->pid).Set("digest", p->digest).Set("registered", p->registered);
  SetName(process, "exe", p->exe);
  body.Set("process", std::move(process));
}

}  // namespace

void Recorder::Append(ledger::RecordKind kind, const Call& call, Body body, Done done) {
  const InstanceFacts& who = *call.instance;
  Result<PublicName> id = PublicName::Parse(call.id);
  if (!id.ok()) return done(id.error());
  sink_.Append(ledger::Event{.time = clock_.Wall(),
                             .kind = kind,
                             .spiffe_id = who.spiffe_id,
                             .instance = who.id,
                             .tenant = who.tenant,
                             .call_id = std::move(id).value(),
                             .body = std::move(body)},
               std::move(done));
}

void Recorder::WriteRepeats() {
  for (const ledger::Event& event : repeats_.Take(clock_.Wall())) {
    sink_.Append(event, [](const Status& s) {
      if (!s.ok()) Log(LogLevel::kError, "gateway.repeats_not_recorded", {{"error", s.error()}});
    });
  }
}

void Recorder::EndInstance(const InstanceId& instance) {
  if (repeats_.counted()) WriteRepeats();
  repeats_.Forget(instance);
}

void Recorder::Decided(const Call& call, Done done) {
  if (call.counts) {
    // What fails after it was allowed is one call with two decisions.
    const bool afterwards = call.denial && call.decision && call.decision->allowed();
    call.counts->calls += afterwards ? 0 : 1;
    call.counts->denials += call.denial ? 1 : 0;
  }
  if (call.denial) {
    // Alike are those with one reason: names and ports are the agent's to vary.
    ledger::Event refusal{.time = clock_.Wall(),
                          .kind = ledger::RecordKind::kDecision,
                          .spiffe_id = call.instance->spiffe_id,
                          .instance = call.instance->id,
                          .tenant = call.instance->tenant};
    refusal.body.Set("verdict", Code("deny"))
        .Set("service", ServiceCode(call.service))
        .Set("reason", DenialCode(call.denial->kind));
    const bool first = !repeats_.counted();
    if (!repeats_.Admit(refusal, clock_.Mono())) {
      if (first && on_counted_) on_counted_();
      return done(Ok());
    }
  }
  Body body;
  body.Set("verdict", call.denial ? Code("deny") : Code("allow"))
      .Set("service", ServiceCode(call.service))
      .Set("door", DoorCode(call.door));
  SetName(body, "action", call.action);
  SetDestination(body, call);
  if (call.denial) {
    body.Set("reason", DenialCode(call.denial->kind));
    SetName(body, "rule", call.denial->rule);
  } else if (call.decision) {
    SetName(body, "rule", call.decision->rule());
  }
  if (!call.target.empty()) body.Set("target", ledger::SaltedText(call.target, random_));
  SetHello(body, call);
  SetUser(body, *call.instance);
  SetProcess(body, call);
  Append(ledger::RecordKind::kDecision, call, std::move(body), std::move(done));
}

void Recorder::Opened(const Call& call, const Endpoint& endpoint, Done done) {
  Body body;
  body.Set("event", Code("open")).Set("door", DoorCode(call.door));
  SetDestination(body, call);
  SetName(body, "address", endpoint.ToString());
  Append(ledger::RecordKind::kEgress, call, std::move(body), std::move(done));
}

void Recorder::Closed(const Call& call, Code how, const Traffic& traffic, Done done) {
  Body body;
  body.Set("event", Code("close")).Set("how", how).Set("door", DoorCode(call.door));
  SetDestination(body, call);
  body.Set("bytes_out", traffic.to_upstream)
      .Set("bytes_in", traffic.from_upstream)
      .Set("duration_us", std::chrono::duration_cast<std::chrono::microseconds>(traffic.duration).count());
  if (call.denial) body.Set("reason", DenialCode(call.denial->kind));
  SetHello(body, call);
  SetProcess(body, call);
  Append(ledger::RecordKind::kEgress, call, std::move(body), std::move(done));
}

Step Recorder::AsStep() {
  return [this](const std::shared_ptr<Call>& call, StepDone done) {
    const bool allowed = !call->denial && call->decision && call->decision->allowed();
    if (call->recorded_as == allowed) return done(Ok());
    Decided(*call, std::move(done));
  };
}

}  // namespace hexr::gateway
