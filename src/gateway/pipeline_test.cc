#include "gateway/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits/gateway.h"
#include "base/limits/ledger.h"
#include "gateway/egress/egress.h"
#include "gateway/testing/fakes.h"

namespace hexr::gateway {
namespace {

using testing::MemorySink;

class FixedDecider final : public Decider {
 public:
  explicit FixedDecider(bool allow) : allow_(allow) {}
  bool wants_process = false;
  bool WantsProcess() const override { return wants_process; }
  void Decide(std::shared_ptr<const Call>, Done done) override {
    ++asked;
    done(allow_ ? Allow("test_rule") : Deny("test_rule", "the test says no"));
  }
  int asked = 0;

 private:
  bool allow_;
};

enum class Fault { kNone, kMissing, kError, kSilent };

struct PipelineTest : ::testing::Test {
  runtime::Loop loop;
  SeededRandom random{1};
  ManualClock clock{WallTime{std::chrono::seconds(1'700'000'000)}};
  std::vector<MemorySink::Entry> records;
  bool fail_journal = false;
  MemorySink sink{records, fail_journal};
  Recorder recorder{sink, clock, random};
  FixedDecider decider{true};
  int dialled = 0;
  std::shared_ptr<const InstanceFacts> facts = std::make_shared<InstanceFacts>(
      InstanceFacts{InstanceId::Make(1, "0123456789"), *IdSegment::Parse("acme"), *IdSegment::Parse("crew"),
                    *IdSegment::Parse("main"), *SpiffeId::Parse("spiffe://example.org/agent/acme/crew/main")});

  Steps Good() {
    return {.identify = [](const std::shared_ptr<Call>&, StepDone done) { done(Ok()); },
            .route = RouteEgress(),
            .decide = DecideWith(decider),
            .record = recorder.AsStep(),
            .connect = [this](const Admitted&, ConnectDone done) -> std::shared_ptr<void> {
              ++dialled;
              done(Error(ErrorCode::kAborted, "nobody there"));
              return nullptr;
            }};
  }

  struct Outcome {
    bool allowed = false;
    std::optional<Denial> denial;
    std::shared_ptr<Call> call;
  };
  Outcome Run(Steps steps, std::string destination = "example.org:443") {
    const std::chrono::milliseconds soon(20);
    Pipeline pipeline(loop, random, std::move(steps), {soon, soon, soon, soon, soon});
    auto call = std::make_shared<Call>(Call{.id = {},
                                            .instance = facts,
                                            .process = std::make_shared<ProcessLookup>(),
                                            .destination = *HostPort::Parse(destination),
                                            .action = "CONNECT"});
    Outcome out;
    bool done = false;
    Pipeline::Ticket dial;
    const Pipeline::Ticket ticket =
        pipeline.Admit(call, [&](std::shared_ptr<Call> c, std::optional<Admitted> admitted) {
          out.allowed = admitted.has_value();
          out.denial = c->denial;
          out.call = std::move(c);
          if (!admitted) {
            done = true;
            return;
          }
          dial = pipeline.Connect(*admitted, [&](Result<Upstream> upstream, const Denial* denial) {
            EXPECT_EQ(upstream.ok(), denial == nullptr);
            if (denial != nullptr) out.denial = *denial;
            done = true;
          });
        });
    EXPECT_FALSE(done) << "never from inside Admit";
    while (!done) loop.RunFor(std::chrono::seconds(20));
    return out;
  }
};

TEST_F(PipelineTest, AnAllowedCallIsRecordedThenConnected) {
  const Outcome out = Run(Good());
  EXPECT_TRUE(out.allowed);
  EXPECT_EQ(out.denial->kind, DenialKind::kUpstream);
  EXPECT_EQ(dialled, 1);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].kind, ledger::RecordKind::kDecision);
  EXPECT_EQ(records[0].body.FindString("verdict"), "allow");
  EXPECT_EQ(records[0].body.FindString("rule"), "test_rule");
  EXPECT_EQ(records[0].body.FindString("host"), "example.org");
  EXPECT_EQ(records[0].body.FindString("process"), "unknown");
  EXPECT_EQ(records[0].call_id, out.call->id);
}

TEST_F(PipelineTest, ADeniedCallIsRecordedAndNothingElse) {
  FixedDecider no(false);
  Steps steps = Good();
  steps.decide = DecideWith(no);
  const Outcome out = Run(std::move(steps));
  EXPECT_FALSE(out.allowed);
  EXPECT_EQ(out.denial->http_status(), 403);
  EXPECT_EQ(out.denial->message, "the test says no");
  EXPECT_EQ(out.denial->decision_id, out.call->id);
  EXPECT_EQ(dialled, 0);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].body.FindString("verdict"), "deny");
}

// A loop of refused calls must not fill the disk, which would deny every tenant; what is allowed is always written.
TEST_F(PipelineTest, AFloodOfRefusalsIsItsFirstAndACount) {
  int asked = 0;
  Recorder counting(sink, clock, random, [&] { ++asked; });
  const auto decide = [&](std::optional<DenialKind> denied) {
    Call call{.id = "call",
              .instance = facts,
              .process = std::make_shared<ProcessLookup>(),
              .destination = *HostPort::Parse("example.org:443"),
              .action = "CONNECT"};
    if (denied) call.denial = Denial{.kind = *denied};
    bool ok = false;
    counting.Decided(call, [&](const Status& s) { ok = s.ok(); });
    EXPECT_TRUE(ok);
  };
  constexpr size_t kBurst = limits::kDenialsPerSecond * limits::kRepeatBurstSeconds;
  for (int i = 0; i < 10'000; ++i) decide(DenialKind::kDenied);
  EXPECT_EQ(records.size(), kBurst);
  EXPECT_EQ(asked, 1);
  decide(DenialKind::kMalformed);
  EXPECT_EQ(records.size(), kBurst + 1) << "another reason is not lost in the flood";
  for (int i = 0; i < 1'000; ++i) decide(std::nullopt);
  ASSERT_EQ(records.size(), kBurst + 1001);
  counting.EndInstance(facts->id);
  ASSERT_EQ(records.size(), kBurst + 1002);
  EXPECT_EQ(records.back().body.FindString("event"), "repeated");
  EXPECT_EQ(*records.back().body.Find("count")->as_integer(), static_cast<int64_t>(10'000 - kBurst));
}

// INV-GW-01: a step that fails, says nothing or is missing is a deny. One test per step and fault.
struct BrokenStep : PipelineTest, ::testing::WithParamInterface<std::tuple<int, Fault>> {};

TEST_P(BrokenStep, IsADeny) {
  const auto [index, fault] = GetParam();
  Steps steps = Good();
  const Fault f = fault;
  const auto broken = [f]() -> Step {
    if (f == Fault::kMissing) return {};
    if (f == Fault::kError) return [](const std::shared_ptr<Call>&, StepDone done) { done(Internal("broken")); };
    return [](const std::shared_ptr<Call>&, StepDone) {};
  };
  Step Steps::*const order[] = {&Steps::identify, &Steps::route, &Steps::decide, &Steps::record};
  if (index < 4) {
    steps.*order[index] = broken();
  } else if (f == Fault::kMissing) {
    steps.connect = {};
  } else {
    steps.connect = [f](const Admitted&, ConnectDone done) -> std::shared_ptr<void> {
      if (f == Fault::kError) done(Internal("broken"));
      return nullptr;
    };
  }
  const Outcome out = Run(std::move(steps));
  ASSERT_TRUE(out.denial.has_value());
  if (index < 4) {
    EXPECT_FALSE(out.allowed);
    EXPECT_EQ(out.denial->http_status(), 503);
    EXPECT_EQ(out.denial->code(), "hexr_unavailable");
    EXPECT_EQ(dialled, 0);
    // Every denial but that of the record itself is recorded.
    EXPECT_EQ(records.size(), index == 3 ? 0u : 1u);
  } else {
    EXPECT_EQ(out.denial->http_status(), f == Fault::kSilent ? 504 : 503);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryStep, BrokenStep,
                         ::testing::Combine(::testing::Range(0, 5),
                                            ::testing::Values(Fault::kMissing, Fault::kError, Fault::kSilent)));

TEST(StepDeadlines, AreTheNamedOnes) {
  const StepDeadlines d;
  EXPECT_EQ(d.identify, limits::kIdentifyDeadline);
  EXPECT_EQ(d.route, limits::kRouteDeadline);
  EXPECT_EQ(d.decide, limits::kDecideDeadline);
  EXPECT_EQ(d.record, limits::kRecordDeadline);
  EXPECT_EQ(d.connect, limits::kConnectDeadline);
}

TEST_F(PipelineTest, AJournalThatFailsDeniesWhatPolicyAllowed) {
  fail_journal = true;
  const Outcome out = Run(Good());
  EXPECT_FALSE(out.allowed);
  EXPECT_EQ(dialled, 0);
}

TEST_F(PipelineTest, ADecisionStepThatForgetsToDecideIsADeny) {
  Steps steps = Good();
  steps.decide = [](const std::shared_ptr<Call>&, StepDone done) { done(Ok()); };
  EXPECT_EQ(Run(std::move(steps)).denial->http_status(), 503);
  EXPECT_EQ(dialled, 0);
}

TEST_F(PipelineTest, ALateAnswerChangesNothing) {
  Steps steps = Good();
  std::optional<StepDone> late;
  steps.identify = [&](const std::shared_ptr<Call>&, StepDone done) { late = std::move(done); };
  const Outcome out = Run(std::move(steps));
  (*late)(Ok());
  loop.RunReady();
  EXPECT_FALSE(out.allowed);
  EXPECT_TRUE(out.call->denial.has_value());
}

TEST_F(PipelineTest, ADroppedTicketEndsTheCall) {
  Steps steps = Good();
  std::optional<StepDone> late;
  steps.identify = [&](const std::shared_ptr<Call>&, StepDone done) { late = std::move(done); };
  Pipeline pipeline(loop, random, std::move(steps));
  auto call = std::make_shared<Call>(
      Call{.id = {}, .instance = facts, .process = nullptr, .destination = *HostPort::Parse("a.example:1")});
  Pipeline::Ticket ticket = pipeline.Admit(call, [&](std::shared_ptr<Call>, std::optional<Admitted>) { FAIL(); });
  ticket.reset();
  (*late)(Ok());
  loop.RunReady();
  EXPECT_TRUE(records.empty());
}

TEST_F(PipelineTest, OnlyADeciderThatReadsTheProcessWaitsForIt) {
  FixedDecider curious(true);
  curious.wants_process = true;
  Steps steps = Good();
  steps.decide = DecideWith(curious);
  Pipeline pipeline(loop, random, std::move(steps));
  auto lookup = std::make_shared<ProcessLookup>();
  auto call = std::make_shared<Call>(
      Call{.id = {}, .instance = facts, .process = lookup, .destination = *HostPort::Parse("a.example:1")});
  bool done = false;
  const auto ticket =
      pipeline.Admit(call, [&](std::shared_ptr<Call>, std::optional<Admitted> a) { done = a.has_value(); });
  loop.RunReady();
  EXPECT_EQ(curious.asked, 0);
  lookup->Finish(Process{.pid = 42, .exe = "/usr/bin/python3", .registered = true});
  loop.RunReady();
  EXPECT_TRUE(done);
  EXPECT_EQ(records.back().body.Find("process")->FindInteger("pid"), 42);
}

TEST_F(PipelineTest, MetadataAddressesAreNeverADestination) {
  for (const char* to :
       {"169.254.169.254:80", "[fd00:ec2::254]:80", "[::ffff:169.254.169.254]:80", "169.254.170.2:80"}) {
    const Outcome out = Run(Good(), to);
    EXPECT_FALSE(out.allowed) << to;
    EXPECT_EQ(out.denial->http_status(), 403) << to;
    EXPECT_THAT(out.denial->message, ::testing::HasSubstr("metadata")) << to;
  }
  EXPECT_EQ(Run(Good(), "198.18.4.5:443").denial->http_status(), 403);
}

TEST_F(PipelineTest, PathsAreRecordedAsSaltedDigestsOnly) {
  Pipeline pipeline(loop, random, Good());
  auto call = std::make_shared<Call>(Call{.id = {},
                                          .instance = facts,
                                          .process = nullptr,
                                          .destination = *HostPort::Parse("a.example:80"),
                                          .action = "GET",
                                          .target = "/search?q=secret-word"});
  bool done = false;
  const auto ticket = pipeline.Admit(call, [&](std::shared_ptr<Call>, std::optional<Admitted>) { done = true; });
  loop.RunReady();
  ASSERT_TRUE(done);
  const std::string text = wire::ToJson(records.at(0).body);
  EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("secret-word")));
  EXPECT_NE(records[0].body.Find("target")->Find("sha256"), nullptr);
}

TEST(Denial, SpeaksProblemJson) {
  const Denial d{DenialKind::kDenied, "default_deny", "no rule names evil.example:443", "abc"};
  EXPECT_EQ(
      d.ToProblemJson(),
      "{\"type\":\"about:blank\",\"status\":403,\"code\":\"hexr_denied\",\"detail\":\"no rule names evil.example:443\","
      "\"decision_id\":\"abc\"}\n");
}

}  // namespace
}  // namespace hexr::gateway
