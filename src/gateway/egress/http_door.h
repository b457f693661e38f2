// HTTP/1.1 of an agent: the proxy at 127.0.0.1:15001 and captured connections to port 80. Every request is read,
// decided by itself and written anew; CONNECT becomes a relay. Belongs to the loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "gateway/connection.h"
#include "gateway/egress/http_request.h"
#include "gateway/egress/relay.h"
#include "gateway/egress/tls_peek.h"
#include "net/connection.h"
#include "wire/http1.h"

namespace hexr::gateway {

class HttpConnection final : public Connection {
 public:
  enum class Kind : uint8_t { kProxy, kCaptured };

  HttpConnection(ConnectionHost& host, Accepted accepted, Kind kind);
  void Cut() override;
  void Report(ledger::Code how) override;
  bool idle() const override { return state_ == State::kHead && !reader_.inside_message(); }

 private:
  enum class State : uint8_t {
    kHead,      // waits for a request
    kDeciding,  // in the pipeline; the agent is not read
    kExchange,  // request and response on their way
    kTunnel,    // CONNECT: the relay has both sockets
    kClosing,   // the last answer is on its way, what still comes is thrown away
  };

  // The agent's side.
  void OnAgentData(ByteView data);
  void OnAgentEnd();
  void Pump();
  void CutInbox();
  void FlushUpstream();
  void FlushAgent();
  void CheckAgentEnd();
  bool Step();  // one event of the request reader; false: nothing more now
  void OnHead();
  void OnRequestData();
  void OnRequestEnd();
  // The pipeline.
  void Decided(std::shared_ptr<Call> call, std::optional<Admitted> admitted);
  void Connected(Result<Upstream> upstream, const Denial* denial);
  void StartTunnel(runtime::UniqueFd upstream);
  void Peeked(TlsPeek::Outcome outcome);
  void StartRelay(Relay::Start start);
  void StartExchange(runtime::UniqueFd upstream);
  // The destination's side.
  void OnUpstreamData(ByteView data);
  void OnUpstreamEnd();
  void OnUpstreamError(const Error& error);
  void OnResponse(wire::Http1Event event);
  void OnResponseHead();
  void OnResponseEnd();
  void FailUpstream(const std::string& why);

  void Answer(const Denial& denial);
  void AnswerMalformed(const Error& error);
  // The deadline for a head has passed.
  void HeadIsLate();
  // Of what never became a request: on record, with the reason. Returns what the agent may be told.
  Denial RefuseUnread(Denial denial);
  void NextRequest();
  void CloseSoon();
  void End(ledger::Code how);
  void BalanceAgentReads();
  void DropUpstream();
  void WatchIdle(std::chrono::nanoseconds delay);
  uint64_t bytes_out() const;
  uint64_t bytes_in() const;

  ConnectionHost& host_;
  Shared& shared_;
  const Kind kind_;
  const Endpoint destination_;
  std::shared_ptr<ProcessLookup> process_;
  State state_ = State::kHead;

  std::unique_ptr<net::Connection> agent_;
  std::string inbox_;                   // read from the agent
  size_t taken_ = 0;                    // of it by the reader, within a turn
  std::string to_upstream_, to_agent_;  // made in this turn; empty between turns
  bool agent_ended_ = false;
  wire::Http1RequestReader reader_;
  runtime::Timer deadline_;
  runtime::Timer next_;
  MonoTime last_byte_{};

  // One exchange.
  std::optional<HttpAsk> ask_;
  wire::Http1Request head_;
  wire::Http1Body request_body_;
  bool request_done_ = false;
  bool keep_alive_ = false;
  Pipeline::Ticket ticket_;
  std::unique_ptr<OpenCall> open_;
  std::unique_ptr<net::Connection> upstream_;
  std::unique_ptr<net::Connection> dead_upstream_;  // closed, perhaps still on the stack
  std::unique_ptr<wire::Http1ResponseReader> response_;
  wire::Http1Body response_body_;  // as the agent gets it
  bool response_started_ = false;
  std::unique_ptr<TlsPeek> peek_;      // CONNECT to port 443: before the relay
  runtime::UniqueFd tunnel_upstream_;  // held during the peek
  std::unique_ptr<Relay> relay_;
};

// The whole response that tells an HTTP client about `denial` and closes.
std::string HttpAnswer(const Denial& denial);

}  // namespace hexr::gateway
