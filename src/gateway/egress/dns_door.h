// DNS of an agent, over UDP and TCP: one synthetic address per allowed name, and nothing is ever forwarded, so no query
// carries anything out. A name that is not allowed does not exist (NXDOMAIN): programs then say so at once, where
// REFUSED would make resolvers try again and report a temporary failure. Belongs to the loop's thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "gateway/connection.h"
#include "net/connection.h"
#include "wire/dns.h"

namespace hexr::gateway {

// What both transports share: from one query to one answer.
class DnsResponder {
 public:
  using Done = UniqueFunction<void(Bytes answer)>;

  explicit DnsResponder(ConnectionHost& host);
  // Answers `message`, in at most `max_bytes`, or the client's own limit where that is 0. `done` runs at most once, now
  // or later; not at all for what deserves no answer, or is over a bound.
  void Respond(ByteView message, size_t max_bytes, std::shared_ptr<ProcessLookup> process, Done done);

 private:
  struct Pending {
    Pipeline::Ticket ticket;
    wire::DnsQuery query;
    size_t max_bytes;
    Done done;
  };

  bool TakeToken();
  // What the pipeline never sees leaves a record too. `question` is the agent's text: recorded as a salted digest.
  void Refuse(Denial denial, std::string question, std::shared_ptr<ProcessLookup> process);
  void Decided(uint64_t key, const Call& call, bool allowed);

  ConnectionHost& host_;
  std::map<uint64_t, Pending> pending_;
  uint64_t next_ = 0;
  std::unordered_map<std::string, bool> recorded_;  // name → whether it was allowed when last recorded; bounded
  double tokens_;
  MonoTime refilled_;
};

// A bound UDP socket inside the agent's network. Answers leave with the address that was asked.
class DnsUdpServer {
 public:
  DnsUdpServer(ConnectionHost& host, DnsResponder& responder, runtime::UniqueFd socket);

 private:
  void Readable();

  DnsResponder& responder_;
  std::shared_ptr<runtime::UniqueFd> socket_;  // answers that come late find it gone
  runtime::FdWatch watch_;
};

class DnsTcpConnection final : public Connection {
 public:
  DnsTcpConnection(ConnectionHost& host, DnsResponder& responder, Accepted accepted);
  void Cut() override;
  void Report(ledger::Code) override {}
  bool idle() const override { return true; }

 private:
  void OnData(ByteView data);
  void ArmIdle();
  void End();

  ConnectionHost& host_;
  DnsResponder& responder_;
  std::shared_ptr<ProcessLookup> process_;
  std::shared_ptr<net::Connection> stream_;  // answers that come late find it gone
  wire::DnsStreamReader reader_;
  runtime::Timer idle_;
};

}  // namespace hexr::gateway
