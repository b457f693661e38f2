// Which process of an instance is behind a connection. Asked for at accept, answered beside the connection: identity
// holds by the listener alone, the process is a further fact for records and policy. Belongs to the loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/spiffe_id.h"
#include "base/unique_function.h"
#include "crypto/digest.h"
#include "gateway/egress/address.h"

namespace hexr::gateway {

struct Process {
  int64_t pid = 0;
  std::string exe;
  crypto::Sha256Digest digest{};
  bool registered = false;  // the instance's own process, not a child
};

// One look-up: running, or ended with a process or without one ("unknown").
class ProcessLookup {
 public:
  bool finished() const { return finished_; }
  // Null while it runs, and when nobody was found.
  const Process* process() const { return process_ ? &*process_ : nullptr; }
  // Runs `f` once finished: at once if it is.
  void WhenFinished(UniqueFunction<void()> f);
  // The first call counts.
  void Finish(std::optional<Process> process);

 private:
  bool finished_ = false;
  std::optional<Process> process_;
  std::vector<UniqueFunction<void()>> waiting_;
};

// Who owns the socket with these two ends, in the network namespace of `instance`? The spawner answers.
class OwnerFinder {
 public:
  virtual ~OwnerFinder() = default;
  // `agent` is the agent's end, `listener` ours. Never fails: without an answer the look-up finishes as unknown.
  virtual void Find(const InstanceId& instance, const Endpoint& agent, const Endpoint& listener,
                    std::weak_ptr<ProcessLookup> lookup) = 0;
};

}  // namespace hexr::gateway
