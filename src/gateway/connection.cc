#include "gateway/connection.h"

#include "base/log.h"

namespace hexr::gateway {
namespace {

// For records after the fact: nothing is left to refuse; the journal stays broken, which denies what comes next.
RecordSink::Done CountFailure(Shared& shared, const InstanceId& instance) {
  return [&metrics = shared.metrics, instance](const Status& s) {
    if (s.ok()) return;
    ++metrics.record_failures;
    Log(LogLevel::kError, "gateway.record_failed", {{"instance", instance}, {"error", s.error()}});
  };
}

}  // namespace

OpenCall::OpenCall(Shared& shared, std::shared_ptr<Call> call)
    : shared_(shared), call_(std::move(call)), started_(shared.clock.Mono()) {
  if (call_->denial)
    shared_.metrics.Denied(call_->denial->kind);
  else
    ++shared_.metrics.calls_allowed;
}

OpenCall::~OpenCall() { Close("aborted"); }

void OpenCall::Close(ledger::Code how, uint64_t to_upstream, uint64_t from_upstream) {
  if (closed_) return;
  closed_ = true;
  shared_.metrics.bytes_to_upstream += to_upstream;
  shared_.metrics.bytes_from_upstream += from_upstream;
  const Traffic traffic{to_upstream, from_upstream, shared_.clock.Mono() - started_};
  shared_.recorder.Closed(*call_, how, traffic, CountFailure(shared_, call_->instance->id));
}

void OpenCall::NoteHello(std::optional<HostName> sni, bool ech) {
  call_->sni = std::move(sni);
  call_->ech = ech;
}

void OpenCall::DenyAfterwards(Denial denial) {
  denial.decision_id = call_->id;
  shared_.metrics.Denied(denial.kind);
  call_->denial = std::move(denial);
  shared_.recorder.Decided(*call_, CountFailure(shared_, call_->instance->id));
}

void RecordRefusal(ConnectionHost& host, Call& call, Denial denial) {
  Shared& shared = host.shared();
  call.id = shared.pipeline.MakeCallId();
  denial.decision_id = call.id;
  call.denial = std::move(denial);
  shared.recorder.Decided(call, CountFailure(shared, call.instance->id));
}

std::shared_ptr<Call> MakeCall(ConnectionHost& host, Door door, HostPort destination, std::string action,
                               std::shared_ptr<ProcessLookup> process) {
  return std::make_shared<Call>(Call{.id = {},
                                     .instance = host.facts(),
                                     .counts = host.counts(),
                                     .process = std::move(process),
                                     .door = door,
                                     .destination = std::move(destination),
                                     .action = std::move(action)});
}

}  // namespace hexr::gateway
