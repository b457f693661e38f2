// What a gateway's neighbours do, for tests: a journal in memory, a resolver from a table, the ends of the channels.
#pragma once

#include <arpa/inet.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "gateway/egress/connector.h"
#include "gateway/recorder.h"
#include "net/resolver.h"
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
  // `fail_kind`: records of that kind alone fail.
  MemorySink(std::vector<Entry>& entries, const bool& fail,
             const std::optional<ledger::RecordKind>* fail_kind = nullptr)
      : entries_(entries), fail_(fail), fail_kind_(fail_kind) {}
  void Append(const ledger::Event& event, Done done) override {
    if (fail_ || (fail_kind_ != nullptr && *fail_kind_ == event.kind))
      return done(ResourceExhausted("no space left on device"));
    entries_.push_back({event.kind, event.instance ? event.instance->value() : "",
                        event.call_id ? event.call_id->value() : "", wire::ParseJson(event.body.ToJson()).value()});
    done(Ok());
  }
  void EndInstance(const InstanceId&) override {}
  bool WantsReplacement() const override { return fail_; }
  Status Replace(runtime::Message) override { return Ok(); }

 private:
  std::vector<Entry>& entries_;
  const bool& fail_;
  const std::optional<ledger::RecordKind>* fail_kind_;
};

// What a resolver looks up in. Names that are not in the table do not resolve. The resolver's threads read it.
class NameTable {
 public:
  void Set(const std::string& name, std::vector<std::string> addresses) {
    const std::lock_guard lock(mutex_);
    table_[name] = std::move(addresses);
  }
  std::vector<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  Result<net::Addresses> LookUp(const std::string& name) {
    const std::lock_guard lock(mutex_);
    asked_.push_back(name);
    net::Addresses found;
    for (const std::string& a : table_[name]) {
      Bytes raw(a.find(':') == std::string::npos ? 4 : 16);
      HEXR_CHECK(inet_pton(raw.size() == 4 ? AF_INET : AF_INET6, a.c_str(), raw.data()) == 1);
      found.push_back(std::move(raw));
    }
    if (found.empty()) return NotFound("no such name");
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<std::string>> table_;
  std::vector<std::string> asked_;
};

}  // namespace hexr::gateway::testing
