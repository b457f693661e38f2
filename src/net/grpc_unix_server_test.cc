#include "net/grpc_unix_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "base/limits/identity.h"
#include "runtime/process.h"
#include "wire/grpc_client.h"

namespace hexr::net {
namespace {

using runtime::UniqueFd;

class GrpcUnixServerTest : public testing::Test {
 protected:
  GrpcUnixServerTest() {
    address_.sun_family = AF_UNIX;
    const std::string name = "hexr-grpc-test-" + std::to_string(getpid());
    std::memcpy(address_.sun_path + 1, name.data(), name.size());
    length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    // Answers with the pid of whoever wrote the request.
    router_.AddOneMessage(
        "/test.Who/AmI", [this](std::shared_ptr<wire::GrpcStream> stream, const wire::GrpcRequest& r, ByteView) {
          if (known_) server_->Known(r.writer);
          const auto e = server_->EvidenceOf(r.writer);
          (void)stream->Send(
              AsBytes(e.ok() ? std::to_string(e->pid) + (e->pidfd >= 0 ? " pidfd" : "") : e.error().message()));
          stream->Finish(Ok());
          return nullptr;
        });
    router_.AddOneMessage("/test.Who/Wait",
                          [this](std::shared_ptr<wire::GrpcStream> stream, const wire::GrpcRequest&, ByteView) {
                            waiting_ = stream;
                            return nullptr;
                          });
  }
  void Start(GrpcUnixServerOptions options = {}) {
    UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address_), length_), 0);
    ASSERT_EQ(listen(listener.get(), 64), 0);
    server_ = std::make_unique<GrpcUnixServer>(loop_, clock_, std::move(listener), router_, options);
  }
  UniqueFd Connect() {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address_), length_), 0);
    return fd;
  }
  // Writes what the client has to say; by `writer`, in another process if it forks.
  static void Write(int fd, const std::string& bytes) {
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  static void WriteInChild(int fd, const std::string& bytes) {
    const pid_t child = fork();
    if (child == 0) {
      (void)!send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    last_child_ = child;
  }
  // One call on the connection. The answer, or the error's name.
  std::string Call(wire::GrpcClient& client, int fd, const std::function<void(int, const std::string&)>& write) {
    std::string answer, end;
    bool ended = false;
    wire::GrpcClient::Events events;
    events.on_message = [&](ByteView m) { answer = AsText(m); };
    events.on_end = [&](const Status& s) {
      ended = true;
      if (!s.ok()) end = ErrorCodeName(s.error().code());
    };
    const auto call = client.Start("/test.Who/AmI", {}, std::move(events));
    EXPECT_TRUE(call.ok());
    client.Send(*call, {});
    client.HalfClose(*call);
    std::string out;
    client.TakeOutput(out, 1 << 20);
    write(fd, out);
    for (int turn = 0; turn < 200 && !ended; ++turn) {
      loop_.RunFor(std::chrono::milliseconds(5));
      uint8_t in[4096];
      const ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
      if (n == 0) client.Close();
      if (n > 0) (void)client.Feed({in, static_cast<size_t>(n)});
    }
    return end.empty() ? answer : end;
  }

  // Opens a call that nobody answers.
  void Wait(const UniqueFd& fd, wire::GrpcClient& client) {
    waiting_.reset();
    const auto call = client.Start("/test.Who/Wait", {}, {});
    client.Send(*call, {});
    client.HalfClose(*call);
    std::string out;
    client.TakeOutput(out, 1 << 20);
    Write(fd.get(), out);
    for (int i = 0; i < 400 && !waiting_; ++i) loop_.RunFor(std::chrono::milliseconds(5));
    ASSERT_TRUE(waiting_);
  }
  void Settle() {
    for (int i = 0; i < 10; ++i) loop_.RunReady();
  }

  static inline pid_t last_child_ = 0;
  bool known_ = false;  // what AmI makes of the writer
  SystemClock clock_;
  runtime::Loop loop_;
  sockaddr_un address_{};
  socklen_t length_ = 0;
  wire::GrpcRouter router_;
  std::unique_ptr<GrpcUnixServer> server_;
  std::shared_ptr<wire::GrpcStream> waiting_;
};

TEST_F(GrpcUnixServerTest, ARequestBelongsToTheProcessThatWroteItNotToTheOneThatConnected) {
  Start();
  const UniqueFd fd = Connect();
  wire::GrpcClient client("x");
  EXPECT_THAT(Call(client, fd.get(), Write), testing::StartsWith(std::to_string(getpid())));
  const std::string child = Call(client, fd.get(), WriteInChild);
  EXPECT_THAT(child, testing::StartsWith(std::to_string(last_child_)));
  EXPECT_THAT(Call(client, fd.get(), Write), testing::StartsWith(std::to_string(getpid())));
}

TEST_F(GrpcUnixServerTest, WorksOnCredentialsAloneWhereTheKernelGivesNoPidfd) {
  Start({.use_pidfd = false});
  const UniqueFd fd = Connect();
  wire::GrpcClient client("x");
  EXPECT_EQ(Call(client, fd.get(), Write), std::to_string(getpid()));
  const std::string child = Call(client, fd.get(), WriteInChild);
  EXPECT_EQ(child, std::to_string(last_child_));
}

TEST_F(GrpcUnixServerTest, AFrameOfTwoWritersEndsTheConnection) {
  Start();
  const UniqueFd fd = Connect();
  wire::GrpcClient client("x");
  const auto split = [](int to, const std::string& bytes) {
    Write(to, bytes.substr(0, bytes.size() - 3));
    WriteInChild(to, bytes.substr(bytes.size() - 3));
  };
  EXPECT_NE(Call(client, fd.get(), split), std::to_string(getpid()));
  for (int i = 0; i < 10; ++i) loop_.RunFor(std::chrono::milliseconds(1));
  EXPECT_EQ(server_->connections(), 0u);
}

// One agent with all its processes, whoever else has its uid.
TEST_F(GrpcUnixServerTest, ConnectionsOfOneOwnerAreBounded) {
  std::string owner = "loud";
  Start({.owner = [&](const PeerEvidence& connector) {
    EXPECT_EQ(connector.pid, getpid());
    return owner;
  }});
  std::vector<UniqueFd> held;
  const auto connect = [&](size_t n) {
    for (size_t i = 0; i < n; ++i) held.push_back(Connect());
    for (int i = 0; i < 20; ++i) loop_.RunFor(std::chrono::milliseconds(1));
  };
  for (size_t i = 0; i < limits::kMaxApiConnectionsPerInstance; i += 16) connect(16);
  connect(16);
  EXPECT_EQ(server_->connections(), limits::kMaxApiConnectionsPerInstance);
  owner = "quiet";
  const UniqueFd fd = Connect();
  wire::GrpcClient client("x");
  EXPECT_THAT(Call(client, fd.get(), Write), testing::StartsWith(std::to_string(getpid())));
  held.clear();
  owner = "loud";
  connect(16);
  EXPECT_EQ(server_->connections(), 17u) << "and given back";
}

// It may be an agent's, and must not have the share of a user.
TEST_F(GrpcUnixServerTest, AConnectionWhoseOwnerCannotBeToldIsClosed) {
  Start({.owner = [](const PeerEvidence&) -> Result<std::string> { return PermissionDenied("too many ancestors"); }});
  const UniqueFd fd = Connect();
  wire::GrpcClient client("x");
  EXPECT_EQ(Call(client, fd.get(), Write), "UNAVAILABLE");
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(GrpcUnixServerTest, RoomIsKeptForOwnersWhateverTheirUserHolds) {
  EXPECT_EQ(GrpcUnixServerOptions().max_connections_outside, limits::kMaxApiConnectionsOutside);
  std::string owner;
  Start({.max_connections = 4,
         .owner = [&](const PeerEvidence&) -> Result<std::string> { return owner; },
         .max_connections_outside = 2,
         .max_connections_per_user = 2});
  std::vector<UniqueFd> held;
  const auto connect = [&] {
    held.push_back(Connect());
    Settle();
    return server_->connections();
  };
  connect();
  EXPECT_EQ(connect(), 2u);
  EXPECT_EQ(connect(), 2u);
  owner = "agent";
  EXPECT_EQ(connect(), 3u);
  EXPECT_EQ(connect(), 4u);
  EXPECT_EQ(connect(), 4u);
  held.clear();
  Settle();
  EXPECT_EQ(server_->connections(), 0u);
  owner = "";
  EXPECT_EQ(connect(), 1u) << "and given back";
}

TEST_F(GrpcUnixServerTest, ConnectionsWithoutAnIdentityAreFewAndEnd) {
  EXPECT_EQ(GrpcUnixServerOptions().max_connections_unknown, limits::kMaxApiConnectionsUnknown);
  EXPECT_EQ(GrpcUnixServerOptions().max_connections_unknown_per_user, limits::kMaxApiConnectionsUnknownPerUser);
  Start({.owner = [](const PeerEvidence&) -> Result<std::string> { return std::string(); },
         .max_connections_unknown = 2,
         .max_connections_unknown_per_user = 2,
         .idle_timeout = std::chrono::milliseconds(50)});
  known_ = true;
  const UniqueFd known = Connect();
  wire::GrpcClient somebody("x");
  EXPECT_THAT(Call(somebody, known.get(), Write), testing::StartsWith(std::to_string(getpid())));
  Wait(known, somebody);
  const auto kept = waiting_;

  std::vector<UniqueFd> held;
  for (int i = 0; i < 4; ++i) held.push_back(Connect());
  Settle();
  EXPECT_EQ(server_->connections(), 3u);
  held.clear();
  for (int i = 0; i < 400 && server_->connections() > 1; ++i) loop_.RunFor(std::chrono::milliseconds(5));
  // A health check that goes on for ever, say.
  const UniqueFd unknown = Connect();
  wire::GrpcClient nobody("x");
  Wait(unknown, nobody);
  for (int i = 0; i < 400 && waiting_->open(); ++i) loop_.RunFor(std::chrono::milliseconds(5));
  EXPECT_FALSE(waiting_->open());
  EXPECT_TRUE(kept->open());
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(GrpcUnixServerTest, WritersOfAConnectionAreBounded) {
  Start();
  const UniqueFd fd = Connect();
  wire::GrpcClient client("x");
  std::string last;
  size_t calls = 0;
  while (calls <= limits::kMaxWritersPerConnection) {
    last = Call(client, fd.get(), WriteInChild);
    ++calls;
    if (last == "UNAVAILABLE") break;
  }
  EXPECT_EQ(last, "UNAVAILABLE");
  EXPECT_EQ(calls, limits::kMaxWritersPerConnection + 1);
}

TEST_F(GrpcUnixServerTest, ConnectionsAreBoundedInAllAndPerUser) {
  EXPECT_EQ(GrpcUnixServerOptions().max_connections, limits::kMaxApiConnections);
  EXPECT_EQ(GrpcUnixServerOptions().max_connections_per_user, limits::kMaxApiConnectionsPerUser);
  Start({.max_connections = 3, .max_connections_per_user = 2});
  std::vector<UniqueFd> held;
  for (int i = 0; i < 4; ++i) {
    held.push_back(Connect());
    loop_.RunReady();
  }
  EXPECT_EQ(server_->connections(), 2u);
  held.clear();
  for (int i = 0; i < 5; ++i) loop_.RunReady();
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(GrpcUnixServerTest, TheBoundOfAllHoldsWhereNobodyReachesHisOwn) {
  Start({.max_connections = 2, .max_connections_per_user = 5});
  std::vector<UniqueFd> held;
  for (int i = 0; i < 4; ++i) {
    held.push_back(Connect());
    loop_.RunReady();
  }
  EXPECT_EQ(server_->connections(), 2u);
}

TEST_F(GrpcUnixServerTest, DescriptorsThatAClientSendsAreClosed) {
  Start();
  const UniqueFd fd = Connect();
  loop_.RunReady();
  const auto count = [] {
    int n = 0;
    for (int f = 0; f < 512; ++f) n += fcntl(f, F_GETFD) >= 0;
    return n;
  };
  const int before = count();
  for (int i = 0; i < 5; ++i) {
    char byte = 0;
    iovec v{&byte, 0};
    v.iov_len = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr m{};
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    cmsghdr* h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    const int sent = fd.get();
    std::memcpy(CMSG_DATA(h), &sent, sizeof sent);
    (void)!sendmsg(fd.get(), &m, MSG_NOSIGNAL);
    loop_.RunReady();
  }
  for (int i = 0; i < 5; ++i) loop_.RunReady();
  EXPECT_LE(count(), before + 1);  // the writer's pidfd, while the connection lives
}

TEST_F(GrpcUnixServerTest, AStreamOutlivesItsConnectionHarmlessly) {
  Start();
  UniqueFd fd = Connect();
  wire::GrpcClient client("x");
  Wait(fd, client);
  ASSERT_TRUE(waiting_);
  EXPECT_TRUE(waiting_->open());
  fd.reset();
  for (int i = 0; i < 100 && waiting_->open(); ++i) loop_.RunFor(std::chrono::milliseconds(5));
  EXPECT_FALSE(waiting_->open());
  EXPECT_FALSE(waiting_->Send(AsBytes("late")).ok());
}

TEST_F(GrpcUnixServerTest, AnIdleConnectionIsClosedAndABusyOneIsNot) {
  GrpcUnixServerOptions options;
  options.idle_timeout = std::chrono::milliseconds(20);
  Start(options);
  const UniqueFd idle = Connect();
  const UniqueFd busy = Connect();
  wire::GrpcClient client("x");
  const auto call = client.Start("/test.Who/Wait", {}, {});
  client.Send(*call, {});
  client.HalfClose(*call);
  std::string out;
  client.TakeOutput(out, 1 << 20);
  Write(busy.get(), out);
  for (int i = 0; i < 200 && !(waiting_ && server_->connections() == 1); ++i) {
    loop_.RunFor(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(server_->connections(), 1U);
  ASSERT_TRUE(waiting_);
  EXPECT_TRUE(waiting_->open());
}

}  // namespace
}  // namespace hexr::net
