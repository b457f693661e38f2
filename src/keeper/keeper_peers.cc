// What gateways and the courier ask of the keeper.
#include "crypto/secret_arena.h"
#include "keeper/keeper.h"
#include "keeper/metrics.h"

namespace hexr::keeper {

using identity::Instance;
using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;

namespace {

constexpr std::chrono::seconds kMetricsDeadline{2};

UniqueFunction<void(Result<identity::GatewaySvid>)> SendsSvid(Channel::Reply reply) {
  return [reply = std::move(reply)](Result<identity::GatewaySvid> svid) mutable {
    if (!svid.ok()) return reply.Fail(svid.error());
    Envelope e;
    for (const Bytes& c : svid->chain_der) e.mutable_svid()->add_chain_der(c.data(), c.size());
    e.mutable_svid()->set_not_after_unix(
        std::chrono::floor<std::chrono::seconds>(svid->not_after).time_since_epoch().count());
    reply.Send(std::move(e));
  };
}

}  // namespace

// ---- gateways

void Keeper::OnGateway(const IdSegment& tenant, Message m, Channel::Reply reply) {
  switch (m.body.body_case()) {
    case Envelope::kIssueSvid: {
      const auto id = InstanceId::Parse(m.body.issue_svid().instance());
      if (!id.ok()) return reply.Fail(id.error());
      const Instance* i = core_->registry().Find(*id);
      // Another tenant's instance is, for this gateway, none at all.
      if (i == nullptr || i->facts.tenant != tenant) return reply.Fail(NotFound("no such instance"));
      return core_->IssueForGateway(*id, AsBytes(m.body.issue_svid().spki_der()), SendsSvid(std::move(reply)));
    }
    case Envelope::kOpenJournal: {
      // The label and the log are ours to name: a gateway writes to its own tenant's log and no other.
      auto shared = std::make_shared<Channel::Reply>(std::move(reply));
      return evidence_->OpenJournal(tenant, "gateway/" + tenant.value(), [shared](Result<ledger::NewJournal> journal) {
        if (!journal.ok()) return shared->Fail(journal.error());
        Envelope e;
        e.mutable_journal()->set_writer(journal->ticket.writer);
        const ByteView key =
            journal->ticket.key.Reveal(crypto::RevealToken::For("journal key, to the process that writes it"));
        e.mutable_journal()->set_key(key.data(), key.size());
        e.mutable_journal()->set_chain(journal->ticket.chain.data(), journal->ticket.chain.size());
        std::vector<UniqueFd> fds;
        fds.push_back(std::move(journal->fd));
        shared->Send(std::move(e), std::move(fds));
      });
    }
    default: return reply.Fail(Unimplemented("the keeper does not serve this to a gateway"));
  }
}

// ---- the courier

void Keeper::OnCourier(Message m, Channel::Reply reply) {
  switch (m.body.body_case()) {
    case Envelope::kIssueEndpointSvid: {
      return outside_->IssueEndpointSvid(AsBytes(m.body.issue_endpoint_svid().spki_der()), SendsSvid(std::move(reply)));
    }
    case Envelope::kCollectMetrics: return CollectMetrics(std::move(reply));
    default: return reply.Fail(Unimplemented("the keeper does not serve this to the courier"));
  }
}

void Keeper::CollectMetrics(Channel::Reply reply) {
  const auto g = std::make_shared<MetricsGathering>(std::move(reply));
  const auto number = [](auto n) { return static_cast<double>(n); };
  for (const auto& [name, t] : tenants_->all()) {
    g->Add("hexr_instances", "Instances that live.", false, number(core_->registry().CountOf(name)),
           {{"tenant", name.value()}});
  }
  const auto unix_time = [](WallTime t) {
    return std::chrono::duration<double>(std::chrono::floor<std::chrono::milliseconds>(t.time_since_epoch())).count();
  };
  g->Add("hexr_secret_memory_unlocked_bytes", "Memory of secrets that may reach swap: 0 where all is well.", false,
         number(crypto::SecretArena::Process().status().unlocked_bytes));
  g->Add("hexr_svids_issued_total", "SVIDs of all kinds issued.", true, number(core_->svids().issued()));
  g->Add("hexr_workload_streams", "Open streams of the Workload API and SDS.", false, number(core_->subscribers()));
  for (const Evidence::LogInfo& log : evidence_->logs()) {
    const std::string name = log.tenant.empty() ? "node" : "tenant/" + log.tenant;
    g->Add("hexr_ledger_records", "Records under the last checkpoint.", false, number(log.size), {{"log", name}});
    g->Add("hexr_ledger_checkpoint_timestamp_seconds", "When the last checkpoint was made.", false,
           unix_time(log.checkpoint_at), {{"log", name}});
    for (const WitnessState& w : log.witnesses) {
      g->Add("hexr_ledger_witnessed_records", "Records under the last cosigned checkpoint.", false, number(w.size),
             {{"log", name}, {"witness", w.name}});
    }
  }
  for (const identity::FederationState& f : outside_->FederationStates()) {
    g->Add("hexr_federation_last_success_timestamp_seconds",
           "When the bundle of a trust domain was last fetched; 0: never.", false,
           f.last_success ? unix_time(*f.last_success) : 0, {{"trust_domain", f.trust_domain.name()}});
  }
  Envelope ask;
  ask.mutable_collect_metrics();
  supervisor_.Call(ask, {}, kMetricsDeadline, [g](const Result<Message>& r) { g->AddFromSupervisor(r); });
  for (const auto& [name, t] : tenants_->all()) {
    if (Channel* gateway = GatewayOf(name)) {
      gateway->Call(ask, {}, kMetricsDeadline,
                    [g, tenant = name](const Result<Message>& r) { g->AddFromGateway(tenant, r); });
    }
  }
}

}  // namespace hexr::keeper
