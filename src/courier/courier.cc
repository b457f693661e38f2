#include "courier/courier.h"

#include <utility>

#include "base/limits/messages.h"
#include "base/log.h"
#include "crypto/pem.h"

namespace hexr::courier {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;

namespace {

Result<wire::TlsIdentity> WebIdentity(const ::hexr::node::v1::Published& published) {
  ASSIGN_OR_RETURN(std::vector<crypto::Certificate> chain,
                   crypto::Certificate::ParsePemChain(published.certificate_pem()));
  const auto der = crypto::PemDecodeSecret(published.key_pem(), "PRIVATE KEY");
  if (!der.ok()) return InvalidArgument("the key is not in PKCS#8; `openssl pkcs8 -topk8 -nodes` makes it so");
  ASSIGN_OR_RETURN(crypto::PrivateKey key, crypto::PrivateKey::FromPkcs8(*der));
  return wire::TlsIdentity{std::move(chain), std::move(key)};
}

}  // namespace

Courier::Courier(runtime::Loop& loop, const Clock& clock, std::vector<Listening> listeners, CheckAddress check_address,
                 UniqueFunction<void()> on_ready)
    : loop_(loop), clock_(clock), on_ready_(std::move(on_ready)), fetches_(loop, clock, std::move(check_address)) {
  for (Listening& l : listeners) {
    if (l.name == "metrics") {
      metrics_ = std::make_unique<MetricsDoor>(
          loop, clock, std::move(l.socket),
          [this](Envelope e, Channel::OnReply done) { AskKeeper(std::move(e), std::move(done)); });
    } else {
      endpoints_.try_emplace(l.name, loop, std::move(l.socket));
    }
  }
}

void Courier::OnPeer(const std::string& role, runtime::UniqueFd socket) {
  if (role != "keeper") return;
  keeper_ = std::make_unique<Channel>(
      loop_, std::move(socket), "keeper",
      [this](Message m, Channel::Reply reply) { FromKeeper(std::move(m), std::move(reply)); },
      [](const Error& why) {
        Log(LogLevel::kWarn, "courier.keeper_gone", {{"error", why}});
      });
}

void Courier::AskKeeper(Envelope ask, Channel::OnReply done) {
  if (keeper_ && keeper_->open()) return keeper_->Call(std::move(ask), {}, limits::kNodeCallDeadline, std::move(done));
  loop_.Post([done = std::move(done)]() mutable { done(Unavailable("there is no keeper")); });
}

void Courier::FromKeeper(Message message, Channel::Reply reply) {
  switch (message.body.body_case()) {
    case Envelope::kFetch: return fetches_.Serve(message.body.fetch(), std::move(reply));
    case Envelope::kPublish: {
      const Status s = Publish(message.body.publish());
      if (on_ready_) std::exchange(on_ready_, {})();
      return s.ok() ? reply.Ack() : reply.Fail(s.error());
    }
    default: return reply.Fail(Unimplemented("not a message for the courier"));
  }
}

Status Courier::Publish(const ::hexr::node::v1::Publish& publish) {
  Status first = Ok();
  const auto note = [&first](const std::string& listener, const Status& s) {
    if (!s.ok() && first.ok()) first = s.error().WithContext(listener);
  };
  for (const auto& published : publish.listeners()) {
    const auto it = endpoints_.find(published.listener());
    if (it == endpoints_.end()) {
      note(published.listener(), NotFound("there is no such listener"));
      continue;
    }
    Endpoint& endpoint = it->second;
    endpoint.Show(published);
    if (published.own_svid()) {
      if (!svid_) {
        svid_ = std::make_unique<OwnSvid>(
            loop_, clock_, [this](Envelope e, Channel::OnReply done) { AskKeeper(std::move(e), std::move(done)); },
            [&endpoint](wire::TlsIdentity identity) { return endpoint.UseCertificate(std::move(identity)); });
      }
      svid_->Renew();  // also what a withdrawn authority has signed goes at once
      continue;
    }
    auto identity = WebIdentity(published);
    note(published.listener(),
         identity.ok() ? endpoint.UseCertificate(std::move(*identity)) : Status(identity.error()));
  }
  return first;
}

void Courier::Drain(UniqueFunction<void()> done) { loop_.Post(std::move(done)); }

}  // namespace hexr::courier
