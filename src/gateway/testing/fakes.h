// What a gateway's neighbours do, for tests: a journal in memory, a resolver from a table, the ends of the channels.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/egress/connector.h"
#include "gateway/recorder.h"
#include "runtime/channel.h"
#include "wire/json.h"

namespace hexr::gateway::testing {

// Keeps every body as JSON text; fails on request.
class MemorySink final : public RecordSink {
 public:
  struct Entry {
    ledger::RecordKind kind;
    std::string instance;
    std::string call_id;
    wire::Json body;
  };
  explicit MemorySink(std::vector<Entry>& entries, const bool& fail) : entries_(entries), fail_(fail) {}
  void Append(const ledger::Event& event, Done done) override {
    if (fail_) return done(ResourceExhausted("no space left on device"));
    entries_.push_back({event.kind, event.instance ? event.instance->value() : "",
                        event.call_id ? event.call_id->value() : "", wire::ParseJson(event.body.ToJson()).value()});
    done(Ok());
  }
  void EndInstance(const InstanceId&) override {}
  bool WantsReplacement() const override { return fail_; }

 private:
  std::vector<Entry>& entries_;
  const bool& fail_;
};

// Answers on the loop's next turn. Names that are not in the table do not resolve.
class TableResolver final : public Resolver {
 public:
  explicit TableResolver(runtime::Loop& loop) : loop_(loop) {}
  std::map<std::string, std::vector<std::string>> table;
  std::vector<std::string> asked;

  std::shared_ptr<void> Resolve(const InstanceId&, const HostName& name, Done done) override {
    asked.push_back(name.value());
    auto handle = std::make_shared<Done>(std::move(done));
    std::vector<IpAddress> found;
    for (const std::string& a : table[name.value()]) found.push_back(IpAddress::Parse(a).value());
    loop_.Post([weak = std::weak_ptr<Done>(handle), found] {
      if (const auto d = weak.lock())
        (*d)(found.empty() ? Result<std::vector<IpAddress>>(NotFound("no such name")) : found);
    });
    return handle;
  }

 private:
  runtime::Loop& loop_;
};

}  // namespace hexr::gateway::testing
