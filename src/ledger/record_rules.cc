#include "ledger/record_rules.h"

#include <fmt/format.h>

#include "wire/json.h"

namespace hexr::ledger {

namespace {

std::string TextOf(const wire::Json& body, std::string_view key) {
  return std::string(body.FindString(key).value_or(std::string_view()));
}

uint64_t NumberOf(const wire::Json& body, std::string_view key) {
  const wire::Json* value = body.Find(key);
  const int64_t* number = value != nullptr ? value->as_integer() : nullptr;
  return number != nullptr && *number > 0 ? static_cast<uint64_t>(*number) : 0;
}

}  // namespace

bool MayRecord(std::string_view label, RecordKind kind) {
  const std::string_view role = label.substr(0, label.find('/'));
  switch (kind) {
    case RecordKind::kIdentity:
    case RecordKind::kApproval:
    case RecordKind::kKill:
    case RecordKind::kPolicyChange:
    case RecordKind::kConfiguration: return role == "keeper";
    case RecordKind::kCredential: return role == "keeper" || role == "gateway";
    case RecordKind::kDecision:
    case RecordKind::kScan:
    case RecordKind::kExecution:
    case RecordKind::kEgress:
    case RecordKind::kToolPin:
    case RecordKind::kBudget:
    case RecordKind::kFlow: return role == "gateway";
    case RecordKind::kLog: return false;
  }
  return false;
}

void RecordRules::Check(const RecordView& record, uint64_t index, const Report& report) {
  if (record.seq != index) report("seq", fmt::format("the record says that it is number {}", record.seq));
  if (index == 0)
    tenant_ = record.tenant;
  else if (record.tenant != tenant_)
    report("tenant", "the record is of another tenant than the log");

  const bool about_log = record.kind == RecordKind::kLog;
  auto writer = writers_.find(record.writer);
  if (writer == writers_.end()) {
    // The sequencer opens itself by its first record, and every journal by one of its own.
    if (!about_log) report("writer", fmt::format("writer {} was never opened", record.writer));
    writer = writers_.emplace(record.writer, Writer{}).first;
  }
  if (writer->second.closed) report("writer", fmt::format("writer {} was closed before", record.writer));

  if (!about_log && !writer->second.label.empty() && !MayRecord(writer->second.label, record.kind)) {
    report("kind", fmt::format("writer {} is {} and may not record {}", record.writer, writer->second.label,
                               RecordKindName(record.kind)));
  }

  auto count = writer->second.counts.find(record.instance);
  if (count == writer->second.counts.end()) count = writer->second.counts.emplace(record.instance, 0).first;
  if (record.instance_seq != count->second + 1) {
    const bool admitted =
        gap_.writer == record.writer && gap_.instance == record.instance && gap_.next == record.instance_seq;
    if (!admitted) {
      report("counter", fmt::format("instance_seq is {} after {} (writer {}, instance {})", record.instance_seq,
                                    count->second, record.writer, record.instance.empty() ? "none" : record.instance));
    }
  }
  count->second = record.instance_seq;
  gap_ = {};
  if (about_log) CheckAboutLog(record, report);
}

void RecordRules::CheckAboutLog(const RecordView& record, const Report& report) {
  const Result<wire::Json> body = wire::ParseJson(record.body);
  if (!body.ok()) return report("record", "a record about the log with a body that is no JSON");
  const std::string event = TextOf(*body, "event");
  const std::string name = TextOf(*body, "writer");
  if (event == "writer_opened") {
    writers_.try_emplace(name).first->second.label = TextOf(*body, "label");
  } else if (event == "gap") {
    gap_ = {.writer = name, .instance = TextOf(*body, "of"), .next = NumberOf(*body, "last_missing") + 1};
    report("gap", fmt::format("records {} to {} of writer {}, instance {} are missing, and the log says so",
                              NumberOf(*body, "first_missing"), NumberOf(*body, "last_missing"), name,
                              gap_.instance.empty() ? "none" : gap_.instance));
  } else if (event == "instance_closed") {
    const auto writer = writers_.find(name);
    const std::string of = TextOf(*body, "of");
    if (writer == writers_.end()) return report("writer", fmt::format("writer {} was never opened", name));
    const auto count = writer->second.counts.find(of);
    const uint64_t have = count == writer->second.counts.end() ? 0 : count->second;
    // After an admitted gap at its end the last counter is behind.
    if (have > NumberOf(*body, "records"))
      report("counter", fmt::format("instance {} was closed with fewer records than it has", of));
    if (count != writer->second.counts.end()) writer->second.counts.erase(count);
  } else if (event == "writer_closed") {
    const auto writer = writers_.find(name);
    if (writer == writers_.end()) return report("writer", fmt::format("writer {} was never opened", name));
    writer->second.closed = true;
    writer->second.counts.clear();
    const std::string how = TextOf(*body, "how");
    if (how != "clean" && how != "gone") {
      report("journal", fmt::format("the journal of writer {} was {}: what it held beyond frame {} is not in the log",
                                    name, how, NumberOf(*body, "frames")));
    }
  } else if (event == "record_refused") {
    report("refused", fmt::format("a record of writer {} was refused for its {}", name, TextOf(*body, "field")));
  }
}

}  // namespace hexr::ledger
