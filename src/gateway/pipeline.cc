#include "gateway/pipeline.h"

#include <array>

#include "base/log.h"

namespace hexr::gateway {
namespace {

struct Stage {
  std::string_view name;
  Step Steps::*step;
  std::chrono::milliseconds StepDeadlines::*deadline;
};

// The order of everything.
const std::array<Stage, 4> kStages = {{
    {"identify", &Steps::identify, &StepDeadlines::identify},
    {"route", &Steps::route, &StepDeadlines::route},
    {"decide", &Steps::decide, &StepDeadlines::decide},
    {"record", &Steps::record, &StepDeadlines::record},
}};
constexpr size_t kRecordStage = 3;

}  // namespace

// One call on its way. Owned by its ticket; answers of steps come back through a weak reference and count only for the
// stage that asked.
class Pipeline::Run : public std::enable_shared_from_this<Run> {
 public:
  Run(Pipeline& pipeline, std::shared_ptr<Call> call, AdmitDone done)
      : pipeline_(pipeline), call_(std::move(call)), done_(std::move(done)) {}

  void Begin() { Enter(0); }

 private:
  void Enter(size_t stage) {
    stage_ = stage;
    if (stage == kStages.size()) return Finish();
    const Stage& s = kStages[stage];
    const Step& step = pipeline_.steps_.*s.step;
    if (!step) return Left(stage, Unavailable("the step is missing"));
    answered_ = false;
    const std::weak_ptr<Run> weak = weak_from_this();
    step(call_, [weak, stage](Status status) {
      if (const auto self = weak.lock(); self && self->stage_ == stage && !self->answered_)
        self->Left(stage, std::move(status));
    });
    if (stage_ != stage || answered_) return;
    timer_ = pipeline_.loop_.After(pipeline_.deadlines_.*s.deadline, [weak, stage] {
      const auto self = weak.lock();
      if (self && self->stage_ == stage && !self->answered_) self->Left(stage, DeadlineExceeded("no answer in time"));
    });
  }

  void Left(size_t stage, Status status) {
    answered_ = true;
    timer_.Cancel();
    const bool recording = stage == kRecordStage;
    if (!status.ok() && recording) {
      // Whatever the journal's reason, a full disk included: it is nobody's verdict about this call.
      Deny(DenialFromError(Unavailable(status.error().message()), kStages[stage].name));
    } else if (!status.ok() && !call_->denial) {
      Deny(DenialFromError(status.error(), kStages[stage].name));
    } else if (!recording && kStages[stage].step == &Steps::decide) {
      // An answer without a decision is no answer.
      if (!call_->decision)
        Deny(DenialFromError(Internal("no decision was made"), "decide"));
      else if (!call_->decision->allowed())
        Deny({DenialKind::kDenied, call_->decision->rule(), call_->decision->message()});
    }
    // Whatever denies, the denial is recorded: nothing of the agent's is done unseen.
    Enter(call_->denial && !recording ? kRecordStage : stage + 1);
  }

  void Deny(Denial denial) {
    denial.decision_id = call_->id;
    call_->denial = std::move(denial);
  }

  void Finish() {
    pipeline_.loop_.Post([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      std::optional<Admitted> admitted;
      const bool allowed = !self->call_->denial && self->call_->decision && self->call_->decision->allowed();
      if (allowed) admitted = Admitted(self->call_);
      AdmitDone done = std::move(self->done_);
      done(std::move(self->call_), std::move(admitted));
    });
  }

  Pipeline& pipeline_;
  std::shared_ptr<Call> call_;
  AdmitDone done_;
  runtime::Timer timer_;
  size_t stage_ = 0;
  bool answered_ = false;
};

std::string Pipeline::MakeCallId() {
  std::array<uint8_t, 16> id;
  random_.Fill(id);
  return HexEncode(id);
}

Pipeline::Ticket Pipeline::Admit(std::shared_ptr<Call> call, AdmitDone done) {
  call->id = MakeCallId();
  auto run = std::make_shared<Run>(*this, std::move(call), std::move(done));
  run->Begin();
  return run;
}

class Pipeline::Dial : public std::enable_shared_from_this<Dial> {
 public:
  Dial(Pipeline& pipeline, std::string id, ConnectOutcome done)
      : pipeline_(pipeline), id_(std::move(id)), done_(std::move(done)) {}

  void Begin(const Admitted& admitted) {
    if (!pipeline_.steps_.connect) return Answer(Unavailable("the step is missing"));
    const std::weak_ptr<Dial> weak = weak_from_this();
    work_ = pipeline_.steps_.connect(admitted, [weak](Result<Upstream> upstream) {
      if (const auto self = weak.lock()) self->Answer(std::move(upstream));
    });
    timer_ = pipeline_.loop_.After(pipeline_.deadlines_.connect, [weak] {
      if (const auto self = weak.lock()) self->Answer(DeadlineExceeded("the destination did not answer in time"));
    });
  }

 private:
  void Answer(Result<Upstream> upstream) {
    if (answered_) return;
    answered_ = true;
    auto held = std::make_shared<Result<Upstream>>(std::move(upstream));
    pipeline_.loop_.Post([weak = weak_from_this(), held] {
      const auto self = weak.lock();
      if (!self) return;
      self->timer_.Cancel();
      self->work_.reset();
      ConnectOutcome done = std::move(self->done_);
      if (held->ok()) return done(std::move(*held), nullptr);
      const Denial denial = self->Explain(held->error());
      done(std::move(*held), &denial);
    });
  }

  // An admitted call fails for reasons of the network, unless the address rules or the journal refuse it.
  Denial Explain(const Error& error) const {
    Denial d;
    switch (error.code()) {
      case ErrorCode::kDeadlineExceeded: d = {DenialKind::kTimeout, "connect", error.message()}; break;
      case ErrorCode::kNotFound:
      case ErrorCode::kAborted: d = {DenialKind::kUpstream, "connect", error.message()}; break;
      default: d = DenialFromError(error, "connect");
    }
    d.decision_id = id_;
    return d;
  }

  Pipeline& pipeline_;
  std::string id_;
  ConnectOutcome done_;
  std::shared_ptr<void> work_;
  runtime::Timer timer_;
  bool answered_ = false;
};

Pipeline::Ticket Pipeline::Connect(const Admitted& admitted, ConnectOutcome done) {
  auto dial = std::make_shared<Dial>(*this, admitted.call().id, std::move(done));
  dial->Begin(admitted);
  return dial;
}

Step DecideWith(Decider& decider) {
  return [&decider](const std::shared_ptr<Call>& call, StepDone done) {
    auto shared = std::make_shared<StepDone>(std::move(done));
    const auto decide = [&decider, weak = std::weak_ptr<Call>(call), shared] {
      const auto live = weak.lock();
      if (!live) return;
      decider.Decide(live, [live, shared](Result<Decision> decision) {
        if (!decision.ok()) return (*shared)(decision.error());
        live->decision = std::move(decision).value();
        (*shared)(Ok());
      });
    };
    // Only a decider that reads the process waits for it.
    if (decider.WantsProcess() && call->process)
      call->process->WhenFinished(decide);
    else
      decide();
  };
}

}  // namespace hexr::gateway
