// A whole gateway with real sockets: agents in network namespaces of their own, a spawner and a keeper that say what
// the test wants, everything on one loop.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <functional>
#include <optional>

#include "gateway/gateway.h"
#include "gateway/testing/agent_net.h"
#include "gateway/testing/fakes.h"

namespace hexr::gateway::testing {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;

// Listens on loopback; what arrives is the test's business.
class TestServer {
 public:
  explicit TestServer(const char* address = "127.0.0.1", uint16_t port = 0, int backlog = 64)
      : socket_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    HEXR_CHECK(inet_pton(AF_INET, address, &a.sin_addr) == 1);
    HEXR_CHECK(bind(socket_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
    HEXR_CHECK(listen(socket_.get(), backlog) == 0);
    socklen_t n = sizeof a;
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&a), &n);
    port_ = ntohs(a.sin_port);
  }
  uint16_t port() const { return port_; }
  std::string place() const { return "127.0.0.1:" + std::to_string(port_); }
  UniqueFd TryAccept() { return UniqueFd(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)); }

 private:
  UniqueFd socket_;
  uint16_t port_ = 0;
};

struct GatewayFixture : ::testing::Test {
  runtime::Loop loop;
  SystemClock clock;
  SystemRandom random;
  NameTable known_names;
  net::Resolver resolver{loop, std::chrono::seconds(10),
                         [this](const std::string& n) { return known_names.LookUp(n); }};
  std::vector<MemorySink::Entry> records;
  bool fail_journal = false;
  std::optional<ledger::RecordKind> fail_kind;
  config::Egress egress;
  Deadlines deadlines;
  std::unique_ptr<Gateway> gateway;
  std::unique_ptr<Channel> spawner, keeper;  // the far ends
  bool ready = false;
  int journals = 0;  // that the keeper was asked for
  int sinks = 0;     // that were made of its answers
  int owner_questions = 0;
  bool owner_silent = false;    // nobody answers FindOwner
  bool journal_silent = false;  // nor OpenJournal
  std::vector<Channel::Reply> unanswered;
  std::vector<Envelope> resend;  // what the spawner says again when asked
  std::vector<std::vector<UniqueFd>> resend_fds;
  std::function<void(::hexr::node::v1::InstanceUp&)> up_more;  // what else BringUp says
  std::optional<Envelope> owner;                               // the spawner's answer to FindOwner; none: unknown

  // `egress` as an operator writes it.
  void Configure(const std::string& yaml) {
    const auto c = config::ParseOrError("trust_domain: example.org\negress: " + yaml, "test.yaml");
    ASSERT_TRUE(c.ok()) << c.error().message();
    egress = c->egress;
  }
  void Start() {
    gateway = std::make_unique<Gateway>(
        GatewayParts{loop, clock, random, resolver,
                     [this](Message) -> Result<std::unique_ptr<RecordSink>> {
                       ++sinks;
                       return std::unique_ptr<RecordSink>(
                           std::make_unique<MemorySink>(records, fail_journal, &fail_kind));
                     }},
        GatewayOptions{*TrustDomain::Parse("example.org"), *IdSegment::Parse("acme"), egress, deadlines},
        [this] { ready = true; });
    ConnectKeeper();
    ConnectSpawner();
    Until([this] { return ready; });
  }
  void ConnectKeeper() {
    auto pair = std::move(*runtime::MakePacketPair());
    keeper = std::make_unique<Channel>(
        loop, std::move(pair.first), "gateway",
        [this](Message m, Channel::Reply reply) {
          if (!m.body.has_open_journal()) return reply.Fail(Unimplemented("no"));
          ++journals;
          if (journal_silent) return unanswered.push_back(std::move(reply));
          Envelope e;
          e.mutable_journal();
          reply.Send(std::move(e));
        },
        [](const Error&) {});
    gateway->OnPeer("keeper", std::move(pair.second));
  }
  void ConnectSpawner() {
    auto pair = std::move(*runtime::MakePacketPair());
    spawner = std::make_unique<Channel>(
        loop, std::move(pair.first), "gateway",
        [this](Message m, Channel::Reply reply) {
          if (m.body.has_find_owner()) {
            ++owner_questions;
            if (owner_silent) return unanswered.push_back(std::move(reply));
            Envelope unknown;
            unknown.mutable_owner();
            return reply.Send(owner ? *owner : unknown);
          }
          for (size_t i = 0; i < resend.size(); ++i)
            ASSERT_TRUE(spawner->Send(resend[i], std::move(resend_fds[i])).ok());
          reply.Ack();
        },
        [](const Error&) {});
    gateway->OnPeer("spawner", std::move(pair.second));
  }

  static Envelope Up(const InstanceId& id, const std::vector<std::pair<std::string, uint16_t>>& listeners) {
    Envelope e;
    auto& up = *e.mutable_instance_up();
    up.set_instance(id.value());
    up.set_tenant("acme");
    up.set_agent("crew");
    up.set_role("main");
    up.set_spiffe_id("spiffe://example.org/agent/acme/crew/main");
    for (const auto& [kind, port] : listeners) {
      auto& l = *up.add_listeners();
      l.set_kind(kind);
      l.set_port(port);
    }
    return e;
  }

  // Brings an instance up on the listeners of `net`, in the order in which it opened them.
  Status BringUp(const InstanceId& id, const std::vector<std::pair<std::string, uint16_t>>& listeners, AgentNet& net) {
    std::vector<UniqueFd> fds;
    for (UniqueFd& l : net.listeners()) fds.push_back(UniqueFd(fcntl(l.get(), F_DUPFD_CLOEXEC, 0)));
    std::optional<Status> answer;
    Envelope up = Up(id, listeners);
    if (up_more) up_more(*up.mutable_instance_up());
    spawner->Call(std::move(up), std::move(fds), std::chrono::seconds(5),
                  [&](Result<Message> r) { answer = r.ok() ? Ok() : Status(r.error()); });
    Until([&] { return answer.has_value(); });
    return *answer;
  }

  template <class F>
  void Until(F condition) {
    const MonoTime give_up = clock.Mono() + std::chrono::seconds(60);
    while (!condition()) {
      ASSERT_LT(clock.Mono(), give_up) << "did not happen";
      loop.RunFor(std::chrono::milliseconds(5));
    }
  }
  // Runs the loop until the socket has something to read, then reads once. "" is the end; "!" a reset.
  std::string Read(int fd, size_t most = 65536) {
    std::string out(most, '\0');
    ssize_t n = 0;
    Until([&] {
      n = recv(fd, out.data(), out.size(), MSG_DONTWAIT);
      return n >= 0 || errno != EAGAIN;
    });
    if (n < 0) return "!";
    out.resize(static_cast<size_t>(n));
    return out;
  }
  std::string ReadUntil(int fd, std::string_view end) {
    std::string out;
    while (out.find(end) == std::string::npos) {
      const std::string more = Read(fd);
      if (more.empty() || more == "!") return out + "<closed>";
      out += more;
    }
    return out;
  }
  std::string ReadAll(int fd) {
    std::string out;
    for (;;) {
      const std::string more = Read(fd);
      if (more.empty()) return out;
      if (more == "!") return out + "<reset>";
      out += more;
    }
  }
  void Write(int fd, std::string_view text) {
    while (!text.empty()) {
      ssize_t n = 0;
      Until([&] {
        n = send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        return n >= 0 || errno != EAGAIN;
      });
      ASSERT_GE(n, 0);
      text.remove_prefix(static_cast<size_t>(n));
    }
  }
  UniqueFd Accept(TestServer& server) {
    UniqueFd fd;
    Until([&] { return static_cast<bool>(fd = server.TryAccept()); });
    return fd;
  }
  // Bodies of this kind that have `member` equal to `value`, as text.
  std::vector<wire::Json> Records(ledger::RecordKind kind, std::string_view member = "", std::string_view value = "") {
    std::vector<wire::Json> out;
    for (const MemorySink::Entry& e : records) {
      if (e.kind == kind && (member.empty() || e.body.FindString(member) == value)) out.push_back(e.body);
    }
    return out;
  }
};

inline InstanceId MakeInstanceId(uint64_t n) { return InstanceId::Make(1'700'000'000'000 + n, "0123456789"); }

}  // namespace hexr::gateway::testing
