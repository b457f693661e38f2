// What any local process can send to the services: the first byte picks the method, the rest is the message. Nothing
// crashes, and a process without an identity gets no message back.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "identity/sds.h"
#include "identity/sub_identity.h"
#include "identity/testing/memory_store.h"
#include "identity/workload_api.h"
#include "runtime/process.h"
#include "wire/grpc_client.h"

namespace {

using namespace hexr;            // NOLINT: a fuzz target is a program of its own
using namespace hexr::identity;  // NOLINT

constexpr const char* kMethods[] = {"/SpiffeWorkloadAPI/FetchX509SVID",
                                    "/SpiffeWorkloadAPI/FetchX509Bundles",
                                    "/SpiffeWorkloadAPI/FetchJWTSVID",
                                    "/SpiffeWorkloadAPI/FetchJWTBundles",
                                    "/SpiffeWorkloadAPI/ValidateJWTSVID",
                                    "/SpiffeWorkloadAPI/FetchWITSVID",
                                    "/SpiffeWorkloadAPI/FetchWITBundles",
                                    "/hexr.identity.v1.SubIdentity/Mint",
                                    "/hexr.identity.v1.SubIdentity/Revoke",
                                    "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
                                    "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
                                    "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets"};

class Nobody final : public AccountNames, public CgroupOwners {
 public:
  std::optional<std::string> UserName(uint32_t) const override { return std::nullopt; }
  std::optional<std::string> GroupName(uint32_t) const override { return std::nullopt; }
  std::optional<uint32_t> OwnerOf(const std::string&) const override { return std::nullopt; }
};

// Everybody is this process.
class Self final : public EvidenceSource {
 public:
  Result<ProcessEvidence> EvidenceOf(wire::WriterTag) const override {
    return ProcessEvidence{::getpid(), {{::geteuid(), ::getegid()}}, runtime::OpenPidfd(::getpid()).value()};
  }
};

struct World {
  ManualClock clock{WallTime{std::chrono::hours(500'000)}};
  SystemRandom random;
  runtime::Loop loop;
  hexr::identity::testing::MemoryStore store;
  ProcessReader reader;
  Nobody nobody;
  Self self;
  std::unique_ptr<Core> core;
  std::unique_ptr<SubIdentities> subs;
  std::unique_ptr<SdsResources> secrets;
  wire::GrpcRouter router;

  explicit World(bool with_identity) {
    InitLog("fuzz", LogFormat::kText, LogLevel::kError);
    core = Core::Create({.authority = {TrustDomain::Parse("example.org").value()}, .rate = {1e9, 1e9}},
                        {clock, random, loop, store, reader, nobody, nobody}, {})
               .value();
    if (with_identity) {
      HEXR_CHECK(core->SetEntry({"service/fuzz",
                                 SpiffeId::Parse("spiffe://example.org/service/fuzz").value(),
                                 {Selector::Parse("unix:uid:" + std::to_string(::geteuid())).value()},
                                 {},
                                 "",
                                 {},
                                 {}})
                     .ok());
    }
    subs = std::make_unique<SubIdentities>(*core);
    secrets = std::make_unique<SdsResources>(*core);
    AddWorkloadApi(router, *core, self);
    AddSubIdentityService(router, *core, *subs, self);
    AddSecretDiscovery(router, *core, *secrets, self);
  }

  size_t Send(const char* method, ByteView message) {
    size_t answers = 0;
    wire::GrpcConnection server(router, clock, [] {});
    wire::GrpcClient client("localhost");
    const auto call = client.Start(method, {{"workload.spiffe.io", "true"}},
                                   {.on_message = [&answers](ByteView) { ++answers; }, .on_end = [](const Status&) {}});
    HEXR_CHECK(call.ok());
    client.Send(*call, message);
    client.HalfClose(*call);
    for (bool moved = true; moved;) {
      std::string up, down;
      client.TakeOutput(up, 1 << 20);
      if (!up.empty()) HEXR_CHECK(server.Feed(AsBytes(up), 1).ok());
      server.TakeOutput(down, 1 << 20);
      if (!down.empty()) HEXR_CHECK(client.Feed(AsBytes(down)).ok());
      moved = !up.empty() || !down.empty();
    }
    return answers;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World with(true), without(false);
  if (size == 0 || size > 64 * 1024) return 0;
  const char* method = kMethods[data[0] % std::size(kMethods)];
  const ByteView message(data + 1, size - 1);
  with.Send(method, message);
  HEXR_CHECK(without.Send(method, message) == 0);
  return 0;
}
