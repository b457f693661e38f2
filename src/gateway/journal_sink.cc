#include "gateway/journal_sink.h"

#include <algorithm>

#include "base/log.h"

namespace hexr::gateway {
namespace {

struct Opened {
  runtime::UniqueFd fd;
  ledger::JournalTicket ticket;
};

Result<Opened> ParseAnswer(runtime::Message reply) {
  if (!reply.body.has_journal() || reply.fds.size() != 1) return InvalidArgument("not an answer to OpenJournal");
  auto& journal = *reply.body.mutable_journal();
  ledger::JournalTicket ticket;
  ticket.writer = journal.writer();
  ticket.key = crypto::Secret::Take(*journal.mutable_key());
  if (journal.chain().size() != ticket.chain.size()) return InvalidArgument("a journal's chain has 16 bytes");
  std::copy(journal.chain().begin(), journal.chain().end(), ticket.chain.begin());
  return Opened{std::move(reply.fds[0]), std::move(ticket)};
}

class JournalSink final : public RecordSink {
 public:
  JournalSink(runtime::Loop& loop, ledger::SyncPolicy policy, std::unique_ptr<ledger::JournalWriter> writer)
      : loop_(loop), policy_(policy), writer_(std::move(writer)) {}
  ~JournalSink() override {
    if (const Status s = writer_->Close(); !s.ok()) Log(LogLevel::kWarn, "gateway.journal_end", {{"error", s.error()}});
  }

  void Append(const ledger::Event& event, Done done) override {
    if (policy_ == ledger::SyncPolicy::kWritten) return done(writer_->Append(event));
    // The disk answers on a thread of its own: the loop goes on with other calls meanwhile.
    writer_->Append(event, [&loop = loop_, shared = std::make_shared<Done>(std::move(done))](Status s) {
      loop.Post([shared, s = std::move(s)] { (*shared)(s); });
    });
  }
  void EndInstance(const InstanceId& instance) override {
    if (const Status s = writer_->EndInstance(instance); !s.ok()) {
      Log(LogLevel::kWarn, "gateway.journal_instance_end", {{"instance", instance}, {"error", s.error()}});
    }
  }
  bool WantsReplacement() const override { return writer_->WantsRotation(); }
  Status Replace(runtime::Message journal) override {
    ASSIGN_OR_RETURN(Opened next, ParseAnswer(std::move(journal)));
    const Status ended = writer_->Rotate(std::move(next.fd), std::move(next.ticket));
    if (writer_->WantsRotation()) return ended.ok() ? Unavailable("the new journal is unfit too") : ended;
    // The old file's trouble: its reader will find it without an end.
    if (!ended.ok()) Log(LogLevel::kWarn, "gateway.journal_end", {{"error", ended.error()}});
    return Ok();
  }

 private:
  runtime::Loop& loop_;
  const ledger::SyncPolicy policy_;
  std::unique_ptr<ledger::JournalWriter> writer_;
};

}  // namespace

OpenSink OpenJournalSink(runtime::Loop& loop, ledger::SyncPolicy policy, ledger::JournalWriter::SyncFile sync) {
  return [&loop, policy, sync = std::move(sync)](runtime::Message reply) -> Result<std::unique_ptr<RecordSink>> {
    ASSIGN_OR_RETURN(Opened opened, ParseAnswer(std::move(reply)));
    ASSIGN_OR_RETURN(auto writer, ledger::JournalWriter::Open(std::move(opened.fd), std::move(opened.ticket), policy,
                                                              ledger::DiskSpaceOf, sync));
    return std::unique_ptr<RecordSink>(std::make_unique<JournalSink>(loop, policy, std::move(writer)));
  };
}

}  // namespace hexr::gateway
