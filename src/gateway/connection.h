// One open connection of an agent, and what every kind of it needs. Belongs to the loop's thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/limits/gateway.h"
#include "gateway/attribution.h"
#include "gateway/call.h"
#include "gateway/egress/names.h"
#include "gateway/metrics.h"
#include "gateway/pipeline.h"
#include "gateway/recorder.h"
#include "ledger/types.h"
#include "runtime/loop.h"

namespace hexr::gateway {

// How long each may take.
struct Deadlines {
  std::chrono::milliseconds find_owner = limits::kFindOwnerDeadline;
  std::chrono::milliseconds request_head = limits::kRequestHeadDeadline;
  std::chrono::milliseconds keep_alive = limits::kKeepAliveDeadline;
  std::chrono::milliseconds linger = limits::kLingerDeadline;
  std::chrono::milliseconds tunnel_idle = limits::kTunnelIdleDeadline;
  std::chrono::milliseconds dns_idle = limits::kDnsIdleDeadline;
  std::chrono::milliseconds dial_attempt = limits::kDialAttemptDeadline;
};

// What the whole gateway shares. All outlive every connection.
struct Shared {
  runtime::Loop& loop;
  const Clock& clock;
  const Deadlines& deadlines;
  Pipeline& pipeline;
  Recorder& recorder;
  Metrics& metrics;
  OwnerFinder& owners;
};

class Connection;

// What a connection may ask of its instance.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual Shared& shared() = 0;
  virtual const std::shared_ptr<const InstanceFacts>& facts() const = 0;
  virtual SyntheticNames& names() = 0;
  virtual const std::shared_ptr<CallCounts>& counts() = 0;
  // Destroys it at the end of this turn of the loop.
  virtual void Ended(Connection& connection) = 0;
};

// Destroying it closes its sockets.
class Connection {
 public:
  virtual ~Connection() = default;
  // Closes every socket now; no call back into the host. Report follows.
  virtual void Cut() = 0;
  // Records how it ended.
  virtual void Report(ledger::Code how) = 0;
  // Whether it waits for the agent's next request: a drain closes it now, others may finish.
  virtual bool idle() const = 0;
};

// An accepted connection, before any byte of it was read.
struct Accepted {
  runtime::UniqueFd socket;  // non-blocking
  Endpoint agent;            // the agent's end
  Endpoint destination;      // where the agent connected to: the true destination of a captured connection
  std::shared_ptr<ProcessLookup> process;
};

// A call that has an answer. However it goes on, exactly one record says how it ended.
class OpenCall {
 public:
  OpenCall(Shared& shared, std::shared_ptr<Call> call);
  ~OpenCall();  // "aborted", unless it was closed
  OpenCall(const OpenCall&) = delete;
  OpenCall& operator=(const OpenCall&) = delete;

  const Call& call() const { return *call_; }
  void Close(ledger::Code how, uint64_t to_upstream = 0, uint64_t from_upstream = 0);
  // What the ClientHello inside a tunnel said: known after the decision, kept for the record of the end.
  void NoteHello(std::optional<HostName> sni, bool ech);
  // A reason that came up after the decision: counted, and recorded as a decision of its own.
  void DenyAfterwards(Denial denial);

 private:
  Shared& shared_;
  std::shared_ptr<Call> call_;
  MonoTime started_;
  bool closed_ = false;
};

// A call that ends before the pipeline: recorded as any denial is, and named, so that the agent's answer can name it
// too.
void RecordRefusal(ConnectionHost& host, Call& call, Denial denial);

// A call of this connection, ready for the pipeline.
std::shared_ptr<Call> MakeCall(ConnectionHost& host, Door door, HostPort destination, std::string action,
                               std::shared_ptr<ProcessLookup> process);

}  // namespace hexr::gateway
