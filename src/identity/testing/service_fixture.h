// A whole identity core with its services on gRPC connections in memory, for tests that speak to it as real processes
// do.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "identity/core.h"
#include "identity/testing/memory_store.h"
#include "identity/testing/puppet.h"
#include "wire/grpc_client.h"
#include "wire/grpc_server.h"

namespace hexr::identity::testing {

inline constexpr const char* kX509 = "/SpiffeWorkloadAPI/FetchX509SVID";
inline constexpr const char* kJwt = "/SpiffeWorkloadAPI/FetchJWTSVID";
inline constexpr const char* kWriterId = "spiffe://example.org/agent/acme/crew/writer";

// The writer's tag is its pid.
class FakeEvidence final : public EvidenceSource {
 public:
  Result<ProcessEvidence> EvidenceOf(wire::WriterTag writer) const override {
    auto pidfd = runtime::OpenPidfd(static_cast<pid_t>(writer));
    if (!pidfd.ok()) return NotFound("writer gone");
    return ProcessEvidence{static_cast<int64_t>(writer), {{::geteuid(), ::getegid()}}, std::move(*pidfd)};
  }
};

class NoNames final : public AccountNames {
 public:
  std::optional<std::string> UserName(uint32_t) const override { return std::nullopt; }
  std::optional<std::string> GroupName(uint32_t) const override { return std::nullopt; }
};

class NoCgroups final : public CgroupOwners {
 public:
  std::optional<uint32_t> OwnerOf(const std::string&) const override { return std::nullopt; }
};

// What one call has brought so far.
struct Outcome {
  std::vector<std::string> messages;
  std::optional<Status> end;
  ErrorCode code() const { return end.has_value() && !end->ok() ? end->error().code() : ErrorCode{0}; }
  template <class Message>
  Message Last() const {
    Message m;
    EXPECT_FALSE(messages.empty());
    EXPECT_TRUE(!messages.empty() && m.ParseFromString(messages.back()));
    return m;
  }
};

// One connection; everything on it is written by `writer`.
class Connection {
 public:
  Connection(const wire::GrpcRouter& router, const Clock& clock, pid_t writer)
      : server_(router, clock, [] {}), client_("localhost"), writer_(static_cast<wire::WriterTag>(writer)) {}

  int32_t Start(std::string_view method, Outcome& o,
                std::vector<wire::HttpField> metadata = {{"workload.spiffe.io", "true"}}) {
    auto id = client_.Start(method, std::move(metadata),
                            {.on_message = [&o](ByteView m) { o.messages.emplace_back(AsText(m)); },
                             .on_end = [&o](const Status& s) { o.end = s; }});
    EXPECT_TRUE(id.ok());
    return *id;
  }
  template <class Message>
  void Send(int32_t call, const Message& message) {
    client_.Send(call, AsBytes(message.SerializeAsString()));
    Pump();
  }
  template <class Message>
  int32_t Open(std::string_view method, const Message& message, Outcome& o) {
    const int32_t call = Start(method, o);
    client_.Send(call, AsBytes(message.SerializeAsString()));
    client_.HalfClose(call);
    Pump();
    return call;
  }
  template <class Message>
  Outcome Call(std::string_view method, const Message& message,
               std::vector<wire::HttpField> metadata = {{"workload.spiffe.io", "true"}}) {
    Outcome o;
    const int32_t call = Start(method, o, std::move(metadata));
    client_.Send(call, AsBytes(message.SerializeAsString()));
    client_.HalfClose(call);
    Pump();
    return o;
  }
  // From now on it is another process that writes here.
  void HandTo(pid_t writer) { writer_ = static_cast<wire::WriterTag>(writer); }
  void Cancel(int32_t call) {
    client_.Cancel(call);
    Pump();
  }
  // What else goes on while bytes move: before some reach the services, and before the answers leave them.
  std::function<void()> before, between;
  // Moves bytes both ways until nothing moves.
  void Pump() {
    for (bool moved = true; moved;) {
      std::string to_server;
      client_.TakeOutput(to_server, 1 << 20);
      if (!to_server.empty()) {
        if (before) before();
        EXPECT_TRUE(server_.Feed(AsBytes(to_server), writer_).ok());
      }
      if (between) between();
      std::string to_client;
      server_.TakeOutput(to_client, 1 << 20);
      EXPECT_TRUE(client_.Feed(AsBytes(to_client)).ok());
      moved = !to_server.empty() || !to_client.empty();
    }
  }

 private:
  wire::GrpcConnection server_;
  wire::GrpcClient client_;
  wire::WriterTag writer_;
};

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest() { Create(ProcessTier::kPidfdInfo, {1e6, 1e6}); }

  void Create(ProcessTier tier, RateLimiter::Options rate) {
    router = std::make_unique<wire::GrpcRouter>();
    core.reset();
    reader = std::make_unique<ProcessReader>(tier);
    CoreOptions options = core_options;
    options.rate = rate;
    auto created =
        Core::Create(std::move(options), {clock, random, loop, store, *reader, names, cgroups},
                     {.instance = [this](const Instance&, InstanceChange c) { instance_changes.push_back(c); },
                      .bundles = {},
                      .issuing =
                          [this](const Identity& identity, std::string_view, ByteView serial, WallTime,
                                 UniqueFunction<void(Status)> done) {
                            if (identity.id.ToString() != slow_disk_of) return done(Ok());
                            unrecorded.push_back({Bytes(serial.begin(), serial.end()), std::move(done)});
                          },
                      .identified = [this](uint64_t writer) { identified.push_back(writer); }});
    EXPECT_TRUE(created.ok());
    core = std::move(*created);
  }

  const Instance* Launch(const Puppet& puppet, std::string_view role = "writer", bool inherit = false,
                         bool subs = false) {
    Registration r{InstanceId::Make(++count, "0123456789"),
                   *IdSegment::Parse("acme"),
                   *IdSegment::Parse("crew"),
                   *IdSegment::Parse(role),
                   *reader->Identify(EvidenceOf(puppet.pid())),
                   std::move(*runtime::OpenPidfd(puppet.pid())),
                   {"/usr/bin/python3", {}, "", {}},
                   {},
                   {},
                   OnBehalfOf{"alice", "https://login.example.org", "{}"},
                   {"python3"}};
    r.children_inherit = inherit;
    r.sub_identities = subs;
    auto instance = core->registry().Register(std::move(r));
    EXPECT_TRUE(instance.ok()) << instance.error().ToString();
    return *instance;
  }
  void Match(std::string_view id, std::initializer_list<std::string> selectors, std::string hint = "") {
    Entry entry{
        std::string(id), *SpiffeId::Parse("spiffe://example.org/" + std::string(id)), {}, {}, std::move(hint), {}, {}};
    for (const std::string& s : selectors) entry.selectors.push_back(*Selector::Parse(s));
    ASSERT_TRUE(core->SetEntry(std::move(entry)).ok());
  }
  std::string Uid() const { return "unix:uid:" + std::to_string(::geteuid()); }
  // Everything that is posted or ready.
  void Settle() {
    for (int i = 0; i < 10; ++i) loop.RunReady();
  }
  // Until `done`, at most ten seconds of real time: for what the kernel has to report.
  template <class Done>
  bool Await(Done done) {
    for (int i = 0; i < 1000; ++i) {
      if (done()) return true;
      loop.RunFor(std::chrono::milliseconds(10));
    }
    return false;
  }

  CoreOptions core_options{.authority = {*TrustDomain::Parse("example.org")}, .walks = {1e6, 1e6}};
  const TrustDomain domain = *TrustDomain::Parse("example.org");
  ManualClock clock{WallTime{std::chrono::hours(500'000)}};
  SystemRandom random;
  runtime::Loop loop;
  MemoryStore store;
  NoNames names;
  NoCgroups cgroups;
  FakeEvidence evidence;
  std::unique_ptr<ProcessReader> reader;
  std::unique_ptr<wire::GrpcRouter> router;
  std::unique_ptr<Core> core;
  std::vector<InstanceChange> instance_changes;
  std::vector<uint64_t> identified;  // writers that have asked, and have an identity
  std::string slow_disk_of;          // what is signed for this ID is on record when a test says so
  struct Unrecorded {
    Bytes serial;
    UniqueFunction<void(Status)> done;
  };
  std::vector<Unrecorded> unrecorded;
  uint64_t count = 0;
};

}  // namespace hexr::identity::testing
