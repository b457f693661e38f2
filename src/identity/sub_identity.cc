#include "identity/sub_identity.h"

#include <algorithm>

#include "base/limits/identity.h"
#include "hexr/identity/v1/sub_identity.pb.h"
#include "identity/claims.h"
#include "identity/service_call.h"

namespace hexr::identity {
namespace {

using std::chrono::seconds;
namespace pb = ::hexr::identity::v1;

}  // namespace

void SubIdentities::Expire(const InstanceId& instance) {
  const auto it = subs_.find(instance);
  if (it == subs_.end()) return;
  const WallTime now = core_.clock().Wall();
  for (auto sub = it->second.begin(); sub != it->second.end();) {
    if (sub->second.expires_at > now) {
      ++sub;
      continue;
    }
    core_.svids().Drop(instance.value(), sub->second.id);
    sub = it->second.erase(sub);
  }
}

Result<SubIdentities::Minted> SubIdentities::Mint(const Caller& caller, std::string_view name, seconds ttl,
                                                  const std::vector<std::string>& audience) {
  const Instance* instance =
      caller.own_process && caller.instance.has_value() ? core_.registry().Find(*caller.instance) : nullptr;
  if (instance == nullptr || !instance->facts.sub_identities) {
    return PermissionDenied("this process may not name parts of itself: its role needs \"sub_identities: allow\"");
  }
  const auto segment = IdSegment::Parse(name);
  if (!segment.ok()) return InvalidArgument("name: one segment of a SPIFFE ID, [a-zA-Z0-9._-]{1,128}");
  Expire(instance->id());
  auto& mine = subs_[instance->id()];
  if (!mine.contains(name) && mine.size() >= limits::kMaxSubIdentities)
    return ResourceExhausted("too many sub-identities are alive");

  Minted minted{instance->identity, nullptr, {}, {}};
  ASSIGN_OR_RETURN(minted.identity.id, instance->identity.id.Child("sub/" + segment->value()));
  minted.identity.assurance = Assurance::kAsserted;
  minted.identity.lineage.push_back(instance->identity.id);
  const seconds longest = caller.grants.front().x509_ttl;
  const seconds life = ttl <= seconds(0) ? longest : std::min(ttl, longest);
  const std::string process = instance->id().value();
  // A shorter life than what is out for this name takes a new certificate: the old one would outlive what was asked
  // for.
  const WallTime end = core_.clock().Wall() + life;
  const auto old = mine.find(name);
  if (old != mine.end() && old->second.expires_at > end + seconds(1)) {
    core_.svids().Drop(process, minted.identity.id);
    mine.erase(old);
  }
  ASSIGN_OR_RETURN(minted.x509, core_.svids().X509(process, minted.identity, life));
  for (const std::string& a : audience) {
    ASSIGN_OR_RETURN(std::string token,
                     core_.svids().Jwt(process, minted.identity, {a}, std::min(life, caller.grants.front().jwt_ttl)));
    minted.jwts.push_back(std::move(token));
  }
  minted.expires_at = minted.x509->renewal.not_after;
  mine.insert_or_assign(std::string(name), SubIdentity{std::string(name), minted.identity.id, minted.expires_at});
  return minted;
}

Status SubIdentities::Revoke(const Caller& caller, std::string_view name) {
  const auto it = caller.own_process && caller.instance.has_value() ? subs_.find(*caller.instance) : subs_.end();
  if (it == subs_.end()) return NotFound("no such sub-identity");
  const auto sub = it->second.find(name);
  if (sub == it->second.end()) return NotFound("no such sub-identity");
  core_.svids().Drop(caller.process, sub->second.id);
  it->second.erase(sub);
  return Ok();
}

std::vector<SubIdentity> SubIdentities::Of(const InstanceId& instance) const {
  std::vector<SubIdentity> out;
  const auto it = subs_.find(instance);
  if (it == subs_.end()) return out;
  for (const auto& [name, sub] : it->second) {
    if (sub.expires_at > core_.clock().Wall()) out.push_back(sub);
  }
  return out;
}

void AddSubIdentityService(wire::GrpcRouter& router, Core& core, SubIdentities& subs, const EvidenceSource& evidence) {
  using Stream = std::shared_ptr<wire::GrpcStream>;
  using Call = std::unique_ptr<wire::GrpcCall>;
  router.AddOneMessage(
      "/hexr.identity.v1.SubIdentity/Mint",
      [&core, &subs, &evidence](Stream stream, const wire::GrpcRequest& request, ByteView message) -> Call {
        pb::MintRequest body;
        const bool readable = body.ParseFromArray(message.data(), static_cast<int>(message.size()));
        return ServeUnary(core, std::move(stream), request.writer, WriterOf(request, evidence),
                          [=, &core, &subs](const Caller& caller) -> Result<std::string> {
                            if (!readable) return InvalidArgument("the request cannot be read");
                            const std::vector<std::string> audience(body.audience().begin(), body.audience().end());
                            if (audience.size() > limits::kMaxAudiences) return InvalidArgument("too many audiences");
                            RETURN_IF_ERROR(core.Charge(caller, audience.size()));  // each is a signature
                            ASSIGN_OR_RETURN(const auto minted,
                                             subs.Mint(caller, body.name(), seconds(body.ttl_seconds()), audience));
                            pb::MintResponse response;
                            response.set_spiffe_id(minted.identity.id.ToString());
                            response.set_assurance(std::string(AssuranceName(minted.identity.assurance)));
                            for (const SpiffeId& id : minted.identity.lineage) response.add_lineage(id.ToString());
                            response.set_x509_svid(std::string(AsText(minted.x509->chain_der)));
                            response.set_x509_svid_key(std::string(minted.x509->key.RevealText(
                                crypto::RevealToken::For("key of a sub-identity to its own process"))));
                            const Bytes bundle = core.bundles().own().X509Der();
                            response.set_bundle(std::string(AsText(bundle)));
                            for (const std::string& jwt : minted.jwts) response.add_jwt_svid(jwt);
                            response.set_expires_at_unix(ToUnixSeconds(minted.expires_at));
                            std::string out = response.SerializeAsString();
                            WipeText(*response.mutable_x509_svid_key());
                            return out;
                          });
      });
  router.AddOneMessage(
      "/hexr.identity.v1.SubIdentity/Revoke",
      [&core, &subs, &evidence](Stream stream, const wire::GrpcRequest& request, ByteView message) -> Call {
        pb::RevokeRequest body;
        const bool readable = body.ParseFromArray(message.data(), static_cast<int>(message.size()));
        return ServeUnary(core, std::move(stream), request.writer, WriterOf(request, evidence),
                          [=, &subs](const Caller& caller) -> Result<std::string> {
                            if (!readable) return InvalidArgument("the request cannot be read");
                            RETURN_IF_ERROR(subs.Revoke(caller, body.name()));
                            return pb::RevokeResponse().SerializeAsString();
                          });
      });
}

}  // namespace hexr::identity
