#include "identity/sds.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/limits/identity.h"
#include "base/limits/names.h"
#include "base/log.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "identity/service_call.h"

namespace hexr::identity {
namespace {

namespace discovery = ::envoy::service::discovery::v3;
constexpr std::string_view kSecretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

// An empty type is implied by the service.
Status CheckType(const std::string& type_url) {
  if (type_url.empty() || type_url == kSecretType) return Ok();
  return InvalidArgument("this service has secrets alone, not what type_url asks for");
}

Status CheckName(const std::string& name) {
  if (name.size() > limits::kMaxSpiffeIdBytes) return InvalidArgument("a resource name is too long");
  return Ok();
}

void AddError(discovery::ResourceError& out, const std::string& name, const Error& why) {
  out.mutable_resource_name()->set_name(name);
  out.mutable_error_detail()->set_code(static_cast<int>(why.code()));
  out.mutable_error_detail()->set_message(why.message());
}

google::protobuf::Any& PackedIn(google::protobuf::Any& resource) { return resource; }
google::protobuf::Any& PackedIn(discovery::Resource& resource) { return *resource.mutable_resource(); }

// A response with private keys in it is overwritten whichever way it goes.
template <class Response>
struct WipedAtEnd {
  Response& response;
  ~WipedAtEnd() {
    for (auto& resource : *response.mutable_resources()) WipeText(*PackedIn(resource).mutable_value());
  }
};

void PackSecret(const SdsResource& resource, google::protobuf::Any& out) {
  out.set_type_url(std::string(kSecretType));
  resource.secret.SerializeToString(out.mutable_value());
}

// What both kinds of stream share: whose it is, and when to look again.
class SdsStream : public wire::GrpcCall, private Subscriber {
 public:
  SdsStream(Core& core, SdsResources& resources, std::shared_ptr<wire::GrpcStream> stream, ProcessEvidence evidence,
            const Caller& caller)
      : core_(core),
        resources_(resources),
        stream_(std::move(stream)),
        evidence_(std::move(evidence)),
        process_(caller.process),
        instance_(caller.instance),
        images_(caller.images),
        opened_by_(caller) {}
  ~SdsStream() override { core_.Unsubscribe(*this); }
  Status Subscribe() { return core_.Subscribe(*this, process_, instance_); }
  void OnHalfClose() override {
    if (asked_) LookAgain();
    stream_->Finish(Ok());
  }

 protected:
  // Sends what the client should hear now.
  virtual Status Update(const Caller& caller) = 0;

  void LookAgain() {
    asked_ = false;
    if (!stream_->open()) return;
    const auto caller = core_.Recheck(evidence_, instance_);
    if (!caller.ok() && caller.error().code() == ErrorCode::kUnavailable) return core_.RefreshSoon(*this);
    if (!caller.ok() || caller->images != images_) {
      stream_->Finish(
          PermissionDenied(caller.ok() ? "the process has replaced its image: ask again" : caller.error().message()));
      return;
    }
    const Status updated = Update(*caller);
    if (updated.ok()) return;
    if (updated.error().code() != ErrorCode::kUnavailable) return stream_->Finish(updated);
    core_.RefreshSoon(*this);
  }
  // The rules of nonces are the same: a message that answers an earlier response than the last says nothing any more.
  bool IsStale(const std::string& nonce) const { return !nonce.empty() && nonce != std::to_string(nonce_); }
  std::string NextNonce() {
    ++free_;
    return std::to_string(++nonce_);
  }
  // The first message came with the request, and one comes back for each that we send; others count as requests do.
  bool Admitted() {
    if (free_ > 0) {
      --free_;
      return true;
    }
    const Status s = core_.Charge(opened_by_, 1);
    if (!s.ok()) stream_->Finish(s);
    return s.ok();
  }
  // However many messages ask for it in this turn of the loop.
  void LookSoon() {
    asked_ = true;
    core_.RefreshNext(*this);
  }
  void NoteRefusal(bool refused, const std::string& message) const {
    if (refused)
      Log(LogLevel::kWarn, "sds.refused_by_client", {{"process", process_}, {"error", message.substr(0, 256)}});
  }

  Core& core_;
  SdsResources& resources_;
  std::shared_ptr<wire::GrpcStream> stream_;
  SdsResources::Validation validation_ = SdsResources::Validation::kSpiffe;
  bool begun_ = false;

 private:
  void Refresh() override {
    if (begun_) LookAgain();
  }

  ProcessEvidence evidence_;
  std::string process_;
  std::optional<InstanceId> instance_;
  uint64_t images_;
  const Caller opened_by_;
  uint64_t nonce_ = 0;
  uint64_t free_ = 1;
  bool asked_ = false;  // and not looked at yet
};

// ---- State of the world

class WorldStream final : public SdsStream {
 public:
  using SdsStream::SdsStream;

  void OnMessage(ByteView message) override {
    if (!Admitted()) return;
    discovery::DiscoveryRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return stream_->Finish(InvalidArgument("the request cannot be read"));
    }
    const Status type = CheckType(request.type_url());
    if (!type.ok()) return stream_->Finish(type);
    if (static_cast<size_t>(request.resource_names_size()) > limits::kMaxSdsNames) {
      return stream_->Finish(ResourceExhausted("too many resource names"));
    }
    if (request.has_node()) validation_ = SdsResources::ValidationOf(request.node());
    if (IsStale(request.response_nonce())) return;
    NoteRefusal(request.has_error_detail(), request.error_detail().message());
    std::set<std::string> wanted;
    for (const std::string& name : request.resource_names()) {
      const Status checked = CheckName(name);
      if (!checked.ok()) return stream_->Finish(checked);
      wanted.insert(name);
    }
    // Names that are new to the stream are answered whether or not anything has changed.
    for (const std::string& name : wanted) {
      if (!wanted_.contains(name)) sent_version_.clear();
    }
    std::erase_if(sent_bundles_, [&wanted](const std::string& name) { return !wanted.contains(name); });
    wanted_ = std::move(wanted);
    begun_ = true;
    LookSoon();
  }

 private:
  Status Update(const Caller& caller) override {
    std::vector<std::pair<std::string, Error>> errors;
    std::set<std::string> gone;  // bundles that were sent
    std::string version;
    for (const std::string& name : wanted_) {
      auto one = resources_.Version(caller, name, validation_);
      if (!one.ok() && one.error().code() == ErrorCode::kUnavailable) return one.error();
      if (!one.ok()) errors.emplace_back(name, one.error());
      if (!one.ok() && sent_bundles_.contains(name)) gone.insert(name);
      version += "," + (one.ok() ? *one : gone.contains(name) ? "gone" : "-");
    }
    version = HexEncode(crypto::Sha256(version)).substr(0, 16);
    // With nothing to show there is nothing to say: clients take a response without resources for a fault.
    if (version == sent_version_ || (errors.size() == wanted_.size() && gone.empty())) return Ok();

    discovery::DiscoveryResponse response;
    const WipedAtEnd<discovery::DiscoveryResponse> wiped{response};
    response.set_version_info(version);
    response.set_type_url(std::string(kSecretType));
    for (const std::string& name : wanted_) {
      if (std::ranges::any_of(errors, [&](const auto& e) { return e.first == name; }) && !gone.contains(name)) continue;
      ASSIGN_OR_RETURN(const SdsResource resource, gone.contains(name) ? resources_.Tombstone(name, validation_)
                                                                       : resources_.Make(caller, name, validation_));
      if (resource.secret.has_validation_context()) sent_bundles_.insert(name);
      PackSecret(resource, *response.add_resources());
    }
    for (const auto& [name, why] : errors) AddError(*response.add_resource_errors(), name, why);
    response.set_nonce(NextNonce());
    std::string out = response.SerializeAsString();
    const Status sent = stream_->Send(AsBytes(out), wire::GrpcBacklog::kKeepNewest);
    WipeText(out);
    RETURN_IF_ERROR(sent);
    sent_version_ = std::move(version);
    return Ok();
  }

  std::set<std::string> wanted_;
  std::set<std::string> sent_bundles_;
  std::string sent_version_;
};

// ---- Delta

class DeltaStream final : public SdsStream {
 public:
  using SdsStream::SdsStream;

  void OnMessage(ByteView message) override {
    if (!Admitted()) return;
    discovery::DeltaDiscoveryRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return stream_->Finish(InvalidArgument("the request cannot be read"));
    }
    const Status type = CheckType(request.type_url());
    if (!type.ok()) return stream_->Finish(type);
    if (request.has_node()) validation_ = SdsResources::ValidationOf(request.node());
    if (!IsStale(request.response_nonce())) NoteRefusal(request.has_error_detail(), request.error_detail().message());
    // Subscriptions count whatever the nonce says: they are of this message, not of the response it answers.
    for (const std::string& name : request.resource_names_unsubscribe()) known_.erase(name);
    for (const std::string& name : request.resource_names_subscribe()) {
      const Status checked = CheckName(name);
      if (!checked.ok()) return stream_->Finish(checked);
      known_.insert_or_assign(name, std::nullopt);  // asked for again is answered again
    }
    if (known_.size() > limits::kMaxSdsNames) return stream_->Finish(ResourceExhausted("too many resource names"));
    if (!std::exchange(begun_, true)) {
      for (const auto& [name, version] : request.initial_resource_versions()) {
        const auto it = known_.find(name);
        if (it != known_.end()) it->second = version;
      }
    }
    LookSoon();
  }

 private:
  static constexpr const char* kAbsent = "absent";  // no version of ours: they are hexadecimal

  Status Update(const Caller& caller) override {
    discovery::DeltaDiscoveryResponse response;
    const WipedAtEnd<discovery::DeltaDiscoveryResponse> wiped{response};
    std::map<std::string, std::string> news;
    for (const auto& [name, version] : known_) {
      const auto now = resources_.Version(caller, name, validation_);
      if (!now.ok() && now.error().code() == ErrorCode::kUnavailable) return now.error();
      if (!now.ok()) {
        if (version == kAbsent) continue;
        response.add_removed_resources(name);
        AddError(*response.add_resource_errors(), name, now.error());
        news[name] = kAbsent;
        continue;
      }
      if (version == *now) continue;
      ASSIGN_OR_RETURN(const SdsResource resource, resources_.Make(caller, name, validation_));
      discovery::Resource& out = *response.add_resources();
      out.set_name(name);
      out.set_version(resource.version);
      news[name] = resource.version;
      PackSecret(resource, *out.mutable_resource());
    }
    if (news.empty()) return Ok();
    response.set_type_url(std::string(kSecretType));
    response.set_nonce(NextNonce());
    response.set_system_version_info(std::to_string(core_.bundles().version()));
    std::string out = response.SerializeAsString();
    // Differences add up: none may be dropped.
    const Status sent = stream_->Send(AsBytes(out), wire::GrpcBacklog::kKeepAll);
    WipeText(out);
    RETURN_IF_ERROR(sent);
    for (auto& [name, version] : news) known_[name] = std::move(version);
    return Ok();
  }

  std::map<std::string, std::optional<std::string>> known_;  // subscribed names, with the version that the client has
};

// ---- Unary

Result<std::string> FetchSecrets(SdsResources& resources, const Caller& caller,
                                 const discovery::DiscoveryRequest& request) {
  RETURN_IF_ERROR(CheckType(request.type_url()));
  if (static_cast<size_t>(request.resource_names_size()) > limits::kMaxSdsNames)
    return ResourceExhausted("too many resource names");
  discovery::DiscoveryResponse response;
  const WipedAtEnd<discovery::DiscoveryResponse> wiped{response};
  std::string version;
  for (const std::string& name : request.resource_names()) {
    RETURN_IF_ERROR(CheckName(name));
    auto resource = resources.Make(caller, name, SdsResources::ValidationOf(request.node()));
    if (!resource.ok() && resource.error().code() == ErrorCode::kUnavailable) return resource.error();
    if (!resource.ok()) {
      AddError(*response.add_resource_errors(), name, resource.error());
      continue;
    }
    version += "," + resource->version;
    PackSecret(*resource, *response.add_resources());
  }
  if (response.resources().empty() && !response.resource_errors().empty()) {
    const auto& first = response.resource_errors(0).error_detail();
    return Error(static_cast<ErrorCode>(first.code()), first.message());
  }
  response.set_version_info(HexEncode(crypto::Sha256(version)).substr(0, 16));
  response.set_type_url(std::string(kSecretType));
  return response.SerializeAsString();
}

}  // namespace

void AddSecretDiscovery(wire::GrpcRouter& router, Core& core, SdsResources& resources, const EvidenceSource& evidence) {
  const auto add = [&]<class Stream>(const char* method, std::type_identity<Stream>) {
    router.Add(
        method,
        [&core, &resources, &evidence](std::shared_ptr<wire::GrpcStream> stream,
                                       const wire::GrpcRequest& request) -> Result<std::unique_ptr<wire::GrpcCall>> {
          ASSIGN_OR_RETURN(ProcessEvidence who, evidence.EvidenceOf(request.writer));
          ASSIGN_OR_RETURN(const Caller caller, core.Authenticate(who));
          auto call = std::make_unique<Stream>(core, resources, std::move(stream), std::move(who), caller);
          RETURN_IF_ERROR(call->Subscribe());
          return std::unique_ptr<wire::GrpcCall>(std::move(call));
        });
  };
  add("/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets", std::type_identity<WorldStream>());
  add("/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets", std::type_identity<DeltaStream>());
  router.AddOneMessage(
      "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets",
      [&core, &resources, &evidence](std::shared_ptr<wire::GrpcStream> stream, const wire::GrpcRequest& request,
                                     ByteView message) -> std::unique_ptr<wire::GrpcCall> {
        discovery::DiscoveryRequest body;
        const bool readable = body.ParseFromArray(message.data(), static_cast<int>(message.size()));
        return ServeUnary(core, std::move(stream), request.writer, evidence.EvidenceOf(request.writer),
                          [=, &resources](const Caller& caller) -> Result<std::string> {
                            if (!readable) return InvalidArgument("the request cannot be read");
                            return FetchSecrets(resources, caller, body);
                          });
      });
}

}  // namespace hexr::identity
