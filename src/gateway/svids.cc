#include "gateway/svids.h"

#include <algorithm>

#include "base/limits/gateway.h"
#include "base/log.h"

namespace hexr::gateway {

using runtime::Envelope;
using runtime::Message;

namespace {

constexpr std::chrono::milliseconds kFirstBackoff{500};
constexpr std::chrono::milliseconds kLongestBackoff{30'000};

}  // namespace

std::shared_ptr<const wire::TlsIdentity> Svids::Find(const InstanceId& instance, const SpiffeId& id) {
  const auto [it, first] = held_.try_emplace(instance, Held{.id = id});
  if (first) Renew(instance);
  if (!it->second.identity || it->second.not_after <= clock_.Wall()) return nullptr;
  return it->second.identity;
}

void Svids::Retry() {
  std::vector<InstanceId> missing;
  for (const auto& [instance, held] : held_) {
    if (!held.identity) missing.push_back(instance);
  }
  for (const InstanceId& instance : missing) Renew(instance);
}

void Svids::Renew(const InstanceId& instance) {
  const auto it = held_.find(instance);
  if (it == held_.end() || it->second.asking) return;
  it->second.asking = true;
  it->second.life = next_life_++;
  it->second.timer.Cancel();
  waiting_.emplace_back(instance, it->second.life);
  AskNext();
}

void Svids::AskNext() {
  while (!waiting_.empty() && asked_ < limits::kMaxSvidAsks) {
    const auto [instance, life] = std::move(waiting_.front());
    waiting_.pop_front();
    const auto it = held_.find(instance);
    if (it == held_.end() || it->second.life != life) continue;
    ++asked_;
    // A new key for each SVID: what leaks with one does not outlive it.
    auto key = std::make_shared<crypto::PrivateKey>(crypto::PrivateKey::Generate(crypto::KeyType::kP256));
    Envelope ask;
    ask.mutable_issue_svid()->set_instance(instance.value());
    ask.mutable_issue_svid()->set_spki_der(std::string(AsText(key->public_key().spki())));
    ask_(std::move(ask), [this, instance = instance, life = life, key](Result<Message> reply) {
      --asked_;
      Answered(instance, life, *key, std::move(reply));
      AskNext();
    });
  }
}

void Svids::Answered(const InstanceId& instance, uint64_t life, crypto::PrivateKey key, Result<Message> reply) {
  const auto it = held_.find(instance);
  if (it == held_.end() || it->second.life != life) return;  // the instance has ended meanwhile
  Held& held = it->second;
  held.asking = false;
  const Status taken = reply.ok() ? Take(held, std::move(key), *reply) : Status(reply.error());
  if (taken.ok()) {
    held.backoff = std::chrono::milliseconds(0);
    // A tenth earlier or later, so that what came up together does not renew together for ever.
    const std::chrono::nanoseconds half = (held.not_after - clock_.Wall()) / 2;
    const std::chrono::nanoseconds about = half / 1000 * static_cast<int64_t>(900 + random_.Below(201));
    held.timer = loop_.After(std::max<std::chrono::nanoseconds>(about, std::chrono::seconds(1)),
                             [this, instance] { Renew(instance); });
    return;
  }
  Log(LogLevel::kWarn, "gateway.no_svid", {{"instance", instance}, {"error", taken.error()}});
  held.backoff = std::clamp(2 * held.backoff, kFirstBackoff, kLongestBackoff);
  held.timer = loop_.After(held.backoff, [this, instance] { Renew(instance); });
}

// What the keeper sends is looked at all the same: a chain for another key or name would speak for somebody else.
Status Svids::Take(Held& held, crypto::PrivateKey key, const Message& reply) {
  if (!reply.body.has_svid()) return InvalidArgument("not an answer to IssueSvid");
  std::vector<crypto::Certificate> chain;
  for (const std::string& der : reply.body.svid().chain_der()) {
    ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::Parse(AsBytes(der)));
    chain.push_back(std::move(certificate));
  }
  if (chain.empty()) return InvalidArgument("an SVID without certificate");
  const crypto::Certificate& leaf = chain.front();
  if (!std::ranges::equal(leaf.spki(), key.public_key().spki())) return InvalidArgument("an SVID for another key");
  if (leaf.uris().size() != 1 || leaf.uris()[0] != held.id.ToString())
    return InvalidArgument("an SVID of another SPIFFE ID");
  if (leaf.not_after() <= clock_.Wall()) return InvalidArgument("an SVID that has run out");
  held.not_after = leaf.not_after();
  held.identity = std::make_shared<const wire::TlsIdentity>(wire::TlsIdentity{std::move(chain), std::move(key)});
  return Ok();
}

}  // namespace hexr::gateway
