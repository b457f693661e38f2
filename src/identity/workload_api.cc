#include "identity/workload_api.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "identity/claims.h"
#include "identity/service_call.h"
#include "identity/token.h"
#include "spiffe/workload.pb.h"

namespace hexr::identity {
namespace {

using crypto::RevealToken;
using wire::GrpcCall;
using wire::GrpcRequest;
using wire::GrpcStream;

std::string Text(ByteView bytes) { return std::string(AsText(bytes)); }

// ---- X.509

// The part of an X509SVIDResponse that is the same for everybody, written once for each version of it: fields of a
// message may follow one another in any order, and in pieces.
class SharedX509 {
 public:
  explicit SharedX509(Core& core) : core_(core) {}
  const std::string& bundle() {
    BringUpToDate();
    return bundle_;
  }
  const std::string& fields() {
    BringUpToDate();
    return fields_;
  }

 private:
  void BringUpToDate() {
    const std::pair now(core_.bundles().version(), core_.crl_version());
    if (now == made_for_) return;
    made_for_ = now;
    bundle_ = Text(core_.bundles().own().X509Der());
    X509SVIDResponse shared;
    for (const Bytes& crl : core_.crls()) shared.add_crl(Text(crl));
    for (const auto& [td, federated] : core_.bundles().federated())
      (*shared.mutable_federated_bundles())[td.Uri()] = Text(federated.X509Der());
    fields_ = shared.SerializeAsString();
  }

  Core& core_;
  std::optional<std::pair<uint64_t, uint64_t>> made_for_;
  std::string bundle_, fields_;
};

std::string EncodeX509(SharedX509& shared, const std::vector<std::pair<const Grant*, const HeldX509*>>& svids) {
  X509SVIDResponse response;
  const std::string& bundle = shared.bundle();
  for (const auto& [grant, held] : svids) {
    X509SVID& svid = *response.add_svids();
    svid.set_spiffe_id(grant->identity.id.ToString());
    svid.set_x509_svid(Text(held->chain_der));
    svid.set_x509_svid_key(Text(held->key.Reveal(RevealToken::For("X509-SVID key to its own process"))));
    svid.set_bundle(bundle);
    svid.set_hint(grant->identity.hint);
  }
  std::string out;
  out.reserve(response.ByteSizeLong() + shared.fields().size());  // keys are not left behind by growing
  response.AppendToString(&out);
  out += shared.fields();
  for (X509SVID& svid : *response.mutable_svids()) WipeText(*svid.mutable_x509_svid_key());
  return out;
}

Result<StateStream::State> RenderX509(Core& core, SharedX509& shared, const Caller& caller) {
  std::string version = std::to_string(core.bundles().version()) + "," + std::to_string(core.crl_version());
  std::vector<std::pair<const Grant*, const HeldX509*>> svids;
  for (const Grant& grant : caller.grants) {
    ASSIGN_OR_RETURN(const HeldX509* held, core.svids().X509(caller.process, grant.identity, grant.x509_ttl));
    version += "," + grant.identity.hint + HexEncode(held->serial);
    svids.emplace_back(&grant, held);
  }
  return StateStream::State{std::move(version),
                            [&shared, svids = std::move(svids)] { return EncodeX509(shared, svids); }};
}

Result<StateStream::State> RenderX509Bundles(Core& core, const Caller&) {
  return StateStream::State{std::to_string(core.bundles().version()) + "," + std::to_string(core.crl_version()),
                            [&core] {
                              X509BundlesResponse response;
                              for (const auto& [td, bundle] : core.bundles().All()) {
                                (*response.mutable_bundles())[td.Uri()] = Text(bundle.X509Der());
                              }
                              for (const Bytes& crl : core.crls()) response.add_crl(Text(crl));
                              return response.SerializeAsString();
                            }};
}

// ---- JWT

Result<StateStream::State> RenderJwtBundles(Core& core, const Caller&) {
  return StateStream::State{std::to_string(core.bundles().version()), [&core] {
                              JWTBundlesResponse response;
                              for (const auto& [td, bundle] : core.bundles().All()) {
                                (*response.mutable_bundles())[td.Uri()] = bundle.JwtJwks();
                              }
                              return response.SerializeAsString();
                            }};
}

// The ID that a request is restricted to; nothing: all of the caller's.
Result<std::optional<SpiffeId>> RequestedId(const std::string& text) {
  if (text.empty()) return std::optional<SpiffeId>();
  auto id = SpiffeId::Parse(text);
  if (!id.ok()) return InvalidArgument("spiffe_id is no SPIFFE ID");
  return std::optional<SpiffeId>(std::move(*id));
}

Result<std::string> FetchJwt(Core& core, const Caller& caller, ByteView message) {
  JWTSVIDRequest request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return InvalidArgument("the request cannot be read");
  if (request.audience().empty()) return InvalidArgument("audience must be specified");
  ASSIGN_OR_RETURN(const auto wanted, RequestedId(request.spiffe_id()));
  const std::vector<std::string> audience(request.audience().begin(), request.audience().end());
  JWTSVIDResponse response;
  for (const Grant& grant : caller.grants) {
    if (wanted.has_value() && grant.identity.id != *wanted) continue;
    ASSIGN_OR_RETURN(std::string token, core.svids().Jwt(caller.process, grant.identity, audience, grant.jwt_ttl));
    JWTSVID& svid = *response.add_svids();
    svid.set_spiffe_id(grant.identity.id.ToString());
    svid.set_svid(std::move(token));
    svid.set_hint(grant.identity.hint);
  }
  if (response.svids().empty()) return PermissionDenied("this process has not the requested identity");
  return response.SerializeAsString();
}

void ToProto(const wire::Json& in, google::protobuf::Value& out) {
  if (const auto* b = in.as_bool())
    out.set_bool_value(*b);
  else if (const auto number = in.ToDouble())
    out.set_number_value(*number);
  else if (const auto* s = in.as_string())
    out.set_string_value(*s);
  else if (const auto* a = in.as_array()) {
    out.mutable_list_value();
    for (const wire::Json& v : *a) ToProto(v, *out.mutable_list_value()->add_values());
  } else if (const auto* o = in.as_object()) {
    auto& fields = *out.mutable_struct_value()->mutable_fields();
    for (const wire::JsonMember& m : *o) ToProto(m.value, fields[m.key]);
  } else {
    out.set_null_value(google::protobuf::NULL_VALUE);
  }
}

Result<std::string> ValidateJwt(Core& core, const Caller&, ByteView message) {
  ValidateJWTSVIDRequest request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return InvalidArgument("the request cannot be read");
  if (request.audience().empty()) return InvalidArgument("audience must be specified");
  if (request.svid().empty()) return InvalidArgument("svid must be specified");
  const auto verified = VerifyJwtSvid(
      request.svid(), request.audience(), [&core](const TrustDomain& td) { return core.bundles().Find(td); },
      core.clock().Wall());
  if (!verified.ok()) return InvalidArgument(verified.error().message());
  ValidateJWTSVIDResponse response;
  response.set_spiffe_id(verified->id().ToString());
  auto& fields = *response.mutable_claims()->mutable_fields();
  const bool ours = verified->id().trust_domain() == core.bundles().own().trust_domain;
  for (const wire::JsonMember& claim : *verified->claims().as_object()) {
    // A claim of another trust domain means what they say it means: only those of the standard pass (as in SPIRE).
    const auto standard = {"sub", "aud", "exp", "iat", "nbf", "iss", "jti"};
    if (!ours && std::find(standard.begin(), standard.end(), claim.key) == standard.end()) continue;
    if (claim.key == "aud" && claim.value.is_string()) {
      fields["aud"].mutable_list_value()->add_values()->set_string_value(*claim.value.as_string());
    } else {
      ToProto(claim.value, fields[claim.key]);
    }
  }
  return response.SerializeAsString();
}

// ---- WIT

Result<StateStream::State> RenderWit(Core& core, const std::optional<SpiffeId>& wanted, const Caller& caller) {
  std::string version;
  std::vector<std::pair<const Grant*, const HeldWit*>> svids;
  for (const Grant& grant : caller.grants) {
    if (wanted.has_value() && grant.identity.id != *wanted) continue;
    ASSIGN_OR_RETURN(const HeldWit* held, core.svids().Wit(caller.process, grant.identity, grant.x509_ttl));
    version += "," + grant.identity.hint + held->token;
    svids.emplace_back(&grant, held);
  }
  if (svids.empty()) return PermissionDenied("this process has not the requested identity");
  return StateStream::State{
      HexEncode(crypto::Sha256(version)), [svids = std::move(svids)] {
        WITSVIDResponse response;
        for (const auto& [grant, held] : svids) {
          WITSVID& svid = *response.add_svids();
          svid.set_spiffe_id(grant->identity.id.ToString());
          svid.set_wit_svid(held->token);
          svid.set_wit_svid_key(Text(held->key.Reveal(RevealToken::For("WIT-SVID key to its own process"))));
          svid.set_hint(grant->identity.hint);
        }
        std::string out = response.SerializeAsString();
        for (WITSVID& svid : *response.mutable_svids()) WipeText(*svid.mutable_wit_svid_key());
        return out;
      }};
}

Result<StateStream::State> RenderWitBundles(Core& core, const Caller&) {
  return StateStream::State{std::to_string(core.bundles().version()), [&core] {
                              WITBundlesResponse response;
                              for (const auto& [td, bundle] : core.bundles().All()) {
                                (*response.mutable_bundles())[td.Uri()] = bundle.WitJwks();
                              }
                              return response.SerializeAsString();
                            }};
}

}  // namespace

void AddWorkloadApi(wire::GrpcRouter& router, Core& core, const EvidenceSource& evidence) {
  using Stream = std::shared_ptr<GrpcStream>;
  using Call = std::unique_ptr<GrpcCall>;
  using Render = std::function<Result<StateStream::State>(Core&, const Caller&)>;
  const auto add_stream = [&](const char* name, const Render& render) {
    router.AddOneMessage(name, [&core, &evidence, render](Stream stream, const GrpcRequest& request, ByteView) -> Call {
      return StateStream::Open(core, std::move(stream), request.writer, WriterOf(request, evidence),
                               [&core, render](const Caller& caller) { return render(core, caller); });
    });
  };
  const auto add_unary = [&](const char* name, Result<std::string> (*answer)(Core&, const Caller&, ByteView)) {
    router.AddOneMessage(
        name, [&core, &evidence, answer](Stream stream, const GrpcRequest& request, ByteView message) -> Call {
          return ServeUnary(core, std::move(stream), request.writer, WriterOf(request, evidence),
                            [&core, answer, text = ToBytes(AsText(message))](const Caller& caller) {
                              return answer(core, caller, text);
                            });
        });
  };

  add_stream("/SpiffeWorkloadAPI/FetchX509SVID",
             [shared = std::make_shared<SharedX509>(core)](Core& c, const Caller& caller) {
               return RenderX509(c, *shared, caller);
             });
  add_stream("/SpiffeWorkloadAPI/FetchX509Bundles", RenderX509Bundles);
  add_stream("/SpiffeWorkloadAPI/FetchJWTBundles", RenderJwtBundles);
  add_stream("/SpiffeWorkloadAPI/FetchWITBundles", RenderWitBundles);
  add_unary("/SpiffeWorkloadAPI/FetchJWTSVID", FetchJwt);
  add_unary("/SpiffeWorkloadAPI/ValidateJWTSVID", ValidateJwt);

  // The one stream with a parameter.
  const char* fetch_wit = "/SpiffeWorkloadAPI/FetchWITSVID";
  router.AddOneMessage(
      fetch_wit, [&core, &evidence](Stream stream, const GrpcRequest& request, ByteView message) -> Call {
        WITSVIDRequest body;
        const bool readable = body.ParseFromArray(message.data(), static_cast<int>(message.size()));
        auto wanted = readable ? RequestedId(body.spiffe_id()) : InvalidArgument("the request cannot be read");
        return StateStream::Open(
            core, std::move(stream), request.writer, WriterOf(request, evidence),
            [&core, wanted = std::move(wanted)](const Caller& caller) -> Result<StateStream::State> {
              if (!wanted.ok()) return wanted.error();
              return RenderWit(core, *wanted, caller);
            });
      });
}

}  // namespace hexr::identity
