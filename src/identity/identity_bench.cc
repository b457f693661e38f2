// Figures of layer 1: issuing, attesting, serving. Ratios within one run compare; absolute values are this machine's.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "identity/core.h"
#include "identity/testing/memory_store.h"
#include "identity/testing/puppet.h"
#include "identity/workload_api.h"
#include "runtime/process.h"
#include "spiffe/workload.pb.h"
#include "wire/grpc_client.h"

namespace hexr::identity {
namespace {

class Nobody final : public AccountNames, public CgroupOwners {
 public:
  std::optional<std::string> UserName(uint32_t) const override { return std::nullopt; }
  std::optional<std::string> GroupName(uint32_t) const override { return std::nullopt; }
  std::optional<uint32_t> OwnerOf(const std::string&) const override { return std::nullopt; }
};

class ByPid final : public EvidenceSource {
 public:
  Result<ProcessEvidence> EvidenceOf(wire::WriterTag writer) const override {
    return ProcessEvidence{
        static_cast<int64_t>(writer), {{::geteuid(), ::getegid()}}, *runtime::OpenPidfd(static_cast<pid_t>(writer))};
  }
};

struct World {
  SystemClock clock;
  SystemRandom random;
  runtime::Loop loop;
  testing::MemoryStore store;
  ProcessReader reader;
  Nobody nobody;
  ByPid evidence;
  wire::GrpcRouter router;
  std::unique_ptr<Core> core;
  uint64_t count = 0;

  World() {
    InitLog("bench", LogFormat::kText, LogLevel::kError);
    core = std::move(*Core::Create({.authority = {*TrustDomain::Parse("example.org")}, .rate = {1e9, 1e9}},
                                   {clock, random, loop, store, reader, nobody, nobody}, {}));
    AddWorkloadApi(router, *core, evidence);
  }
  InstanceId Launch(pid_t pid) {
    Registration r{InstanceId::Make(++count, "0123456789"),
                   *IdSegment::Parse("acme"),
                   *IdSegment::Parse("crew"),
                   *IdSegment::Parse("writer"),
                   *reader.Identify(testing::EvidenceOf(pid)),
                   std::move(*runtime::OpenPidfd(pid)),
                   {"/usr/bin/python3", {}, "", {}},
                   {},
                   {},
                   {},
                   {"python3"}};
    return (*core->registry().Register(std::move(r)))->id();
  }
};

struct Client {
  wire::GrpcConnection server;
  wire::GrpcClient client{"localhost"};
  wire::WriterTag writer;
  size_t messages = 0;
  bool ended = false;

  Client(World& w, pid_t pid) : server(w.router, w.clock, [] {}), writer(static_cast<wire::WriterTag>(pid)) {}
  void Fetch() {
    const auto call = client.Start(
        "/SpiffeWorkloadAPI/FetchX509SVID", {{"workload.spiffe.io", "true"}},
        {.on_message = [this](ByteView) { ++messages; }, .on_end = [this](const Status&) { ended = true; }});
    client.Send(*call, {});
    client.HalfClose(*call);
    Pump();
  }
  void Pump() {
    for (bool moved = true; moved;) {
      std::string up, down;
      client.TakeOutput(up, 1 << 20);
      if (!up.empty()) benchmark::DoNotOptimize(server.Feed(AsBytes(up), writer).ok());
      server.TakeOutput(down, 1 << 20);
      if (!down.empty()) benchmark::DoNotOptimize(client.Feed(AsBytes(down)).ok());
      moved = !up.empty() || !down.empty();
    }
  }
};

// Key, certificate, verification, encoding: one SVID for one process.
void IssueX509(benchmark::State& state) {
  World w;
  const Identity identity{
      *SpiffeId::Parse("spiffe://example.org/agent/acme/crew/writer"), Assurance::kAttested, {}, {}, {}, ""};
  SvidKeeper keeper(w.core->authority(), w.clock, w.random);
  for (auto _ : state) {
    benchmark::DoNotOptimize(keeper.X509("p", identity, std::chrono::minutes(15)).ok());
    state.PauseTiming();
    keeper.VoidAuthority(w.core->authority().Slots(SigningUse::kX509)[0].id);  // the next one is new
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(IssueX509);

void IssueJwt(benchmark::State& state) {
  World w;
  const Identity identity{
      *SpiffeId::Parse("spiffe://example.org/agent/acme/crew/writer"), Assurance::kAttested, {}, {}, {}, ""};
  for (auto _ : state)
    benchmark::DoNotOptimize(w.core->authority().IssueJwt(identity, {"db"}, std::chrono::minutes(5)).ok());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(IssueJwt);

void IdentifyAnInstance(benchmark::State& state) {
  World w;
  testing::Puppet agent;
  w.Launch(agent.pid());
  const ProcessEvidence evidence = testing::EvidenceOf(agent.pid());
  for (auto _ : state) benchmark::DoNotOptimize(w.core->resolver().Resolve(evidence).ok());
}
BENCHMARK(IdentifyAnInstance);

void MatchAProcess(benchmark::State& state) {
  World w;
  testing::Puppet service;
  (void)w.core->SetEntry({"service/db",
                          *SpiffeId::Parse("spiffe://example.org/service/db"),
                          {*Selector::Parse("unix:uid:" + std::to_string(::geteuid()))},
                          {},
                          "",
                          {},
                          {}});
  const ProcessEvidence evidence = testing::EvidenceOf(service.pid());
  for (auto _ : state) benchmark::DoNotOptimize(w.core->resolver().Resolve(evidence).ok());
}
BENCHMARK(MatchAProcess);

// A new connection's first SVID, HTTP/2 and gRPC of both sides included; `fresh` makes a new key for each.
void FirstSvid(benchmark::State& state) {
  World w;
  testing::Puppet agent;
  const InstanceId id = w.Launch(agent.pid());
  for (auto _ : state) {
    Client c(w, agent.pid());
    c.Fetch();
    if (c.messages != 1) state.SkipWithError("no SVID");
    if (state.range(0) == 1) {
      state.PauseTiming();
      w.core->svids().VoidAuthority(w.core->authority().Slots(SigningUse::kX509)[0].id);
      state.ResumeTiming();
    }
  }
}
BENCHMARK(FirstSvid)->ArgName("fresh")->Arg(0)->Arg(1);

// From the end of an instance to its stream's last byte taken for the socket.
void RevocationToClosedStream(benchmark::State& state) {
  World w;
  testing::Puppet agent;
  for (auto _ : state) {
    state.PauseTiming();
    const InstanceId id = w.Launch(agent.pid());
    auto c = std::make_unique<Client>(w, agent.pid());
    c->Fetch();
    state.ResumeTiming();
    w.core->registry().End(id, "bench");
    c->Pump();
    if (!c->ended) state.SkipWithError("still open");
    state.PauseTiming();
    c.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(RevocationToClosedStream)->Iterations(2000);

// What a second costs in which nothing changes, with so many open streams of instances' own processes.
void IdleSecond(benchmark::State& state) {
  World w;
  constexpr int kStreamsEach = 10;
  std::vector<std::unique_ptr<testing::Puppet>> puppets;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < state.range(0) / kStreamsEach; ++i) {
    puppets.push_back(std::make_unique<testing::Puppet>());
    w.Launch(puppets.back()->pid());
    for (int n = 0; n < kStreamsEach; ++n) {
      clients.push_back(std::make_unique<Client>(w, puppets.back()->pid()));
      clients.back()->Fetch();
    }
  }
  if (static_cast<int64_t>(w.core->subscribers()) != state.range(0)) state.SkipWithError("streams");
  for (auto _ : state) {
    w.core->Tick();
    for (int turn = 0; turn < 100; ++turn) w.loop.RunReady();
  }
}
BENCHMARK(IdleSecond)->ArgName("streams")->Arg(0)->Arg(1000)->Unit(benchmark::kMillisecond);

// Heap of one live instance with an open stream: registry, SVID, stream, and the server's connection.
void MemoryPerInstance(benchmark::State& state) {
  World w;
  constexpr int kInstances = 200;
  for (auto _ : state) {
    std::vector<std::unique_ptr<testing::Puppet>> puppets;
    for (int i = 0; i < kInstances; ++i) puppets.push_back(std::make_unique<testing::Puppet>());
    std::vector<std::unique_ptr<wire::GrpcConnection>> connections;
    connections.reserve(kInstances);
    const size_t before = ::mallinfo2().uordblks;
    for (const auto& puppet : puppets) {
      w.Launch(puppet->pid());
      wire::GrpcClient client("localhost");
      auto server = std::make_unique<wire::GrpcConnection>(w.router, w.clock, [] {});
      const auto call = client.Start("/SpiffeWorkloadAPI/FetchX509SVID", {{"workload.spiffe.io", "true"}},
                                     {.on_message = [](ByteView) {}, .on_end = [](const Status&) {}});
      client.Send(*call, {});
      client.HalfClose(*call);
      std::string up, down;
      client.TakeOutput(up, 1 << 20);
      benchmark::DoNotOptimize(server->Feed(AsBytes(up), static_cast<wire::WriterTag>(puppet->pid())).ok());
      server->TakeOutput(down, 1 << 20);
      connections.push_back(std::move(server));
    }
    state.counters["bytes_per_instance"] = static_cast<double>(::mallinfo2().uordblks - before) / kInstances;
    state.counters["streams"] = static_cast<double>(w.core->subscribers());
  }
}
BENCHMARK(MemoryPerInstance)->Iterations(1);

}  // namespace
}  // namespace hexr::identity
