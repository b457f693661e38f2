// The services over a real socket, with real processes at the other end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <filesystem>
#include <optional>

#include "hexr/identity/v1/sub_identity.pb.h"
#include "identity/socket_evidence.h"
#include "identity/sub_identity.h"
#include "identity/testing/memory_search.h"
#include "identity/testing/service_fixture.h"
#include "identity/workload_api.h"
#include "spiffe/workload.pb.h"

namespace hexr::identity {
namespace {

using testing::Puppet;

// What a client saw, small enough for a pipe.
struct Seen {
  int code = -1;
  int svids = 0;
};

int Connect(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? fd : -1;
}

// Calls `method` on a connected socket. Its first message; or how it ended, or -1 where the connection did.
std::optional<std::string> CallOn(int fd, std::string_view method, std::string_view request, int& code) {
  std::optional<std::string> first;
  code = -1;
  bool done = false;
  wire::GrpcClient client("localhost");
  auto call = client.Start(method, {{"workload.spiffe.io", "true"}},
                           {.on_message =
                                [&](ByteView m) {
                                  first = std::string(AsText(m));
                                  code = 0;
                                  done = true;
                                },
                            .on_end =
                                [&](const Status& s) {
                                  if (!s.ok()) code = static_cast<int>(s.error().code());
                                  done = true;
                                }});
  client.Send(*call, AsBytes(request));
  client.HalfClose(*call);
  while (!done) {
    std::string out;
    client.TakeOutput(out, 1 << 16);
    if (!out.empty() && ::send(fd, out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size())) break;
    char in[16384];
    const ssize_t n = ::read(fd, in, sizeof in);
    if (n <= 0 || !client.Feed(AsBytes({in, static_cast<size_t>(n)})).ok()) break;
  }
  return first;
}

Seen FetchOn(int fd) {
  Seen seen;
  const auto message = CallOn(fd, "/SpiffeWorkloadAPI/FetchX509SVID", "", seen.code);
  X509SVIDResponse response;
  if (message && response.ParseFromString(*message)) seen.svids = response.svids_size();
  return seen;
}

// Some bytes from the middle of a private key, masked: of the scalar of P-256, which PKCS#8 has at 36.
using Excerpt = std::array<uint8_t, 20>;
Excerpt ExcerptOf(std::string_view key, size_t at) {
  Excerpt out{};
  for (size_t i = 0; i < out.size() && at + i < key.size(); ++i)
    out[i] = static_cast<uint8_t>(key[at + i]) ^ testing::kMask;
  return out;
}

class SocketTest : public testing::ServiceTest, public ::testing::WithParamInterface<bool> {
 protected:
  SocketTest() {
    char dir[] = "/tmp/hexr-socket-XXXXXX";
    dir_ = ::mkdtemp(dir);
    path_ = dir_ + "/api.sock";
    AddWorkloadApi(*router, *core, socket_evidence_);
    AddSubIdentityService(*router, *core, subs_, socket_evidence_);
    runtime::UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener.get(), 16), 0);
    net::GrpcUnixServerOptions options;
    options.use_pidfd = GetParam();
    options.owner = [this](const net::PeerEvidence& connector) { return OwnerOf(*core, connector); };
    server_ = std::make_unique<net::GrpcUnixServer>(loop, system_clock_, std::move(listener), *router, options);
    socket_evidence_.Bind(*server_);
  }
  ~SocketTest() override { std::filesystem::remove_all(dir_); }

  template <class Seen = identity::Seen>
  Seen Await(const Puppet& puppet) {
    Seen seen{};
    const int ready = puppet.ready();
    ::fcntl(ready, F_SETFL, O_NONBLOCK);
    EXPECT_TRUE(
        ServiceTest::Await([&] { return ::read(ready, &seen, sizeof seen) == static_cast<ssize_t>(sizeof seen); }));
    return seen;
  }
  // A process that fetches when it is told to.
  std::function<void(int, int)> Client() {
    return [path = path_](int go, int ready) {
      char c;
      if (::read(go, &c, 1) != 1) ::_exit(1);
      const Seen seen = FetchOn(Connect(path));
      if (::write(ready, &seen, sizeof seen) != sizeof seen) ::_exit(1);
      while (::read(go, &c, 1) == 1) {
      }
    };
  }

  SystemClock system_clock_;
  std::string dir_, path_;
  SocketEvidence socket_evidence_;
  SubIdentities subs_{*core};
  std::unique_ptr<net::GrpcUnixServer> server_;
};

INSTANTIATE_TEST_SUITE_P(Kernels, SocketTest, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "pidfd" : "pid"; });

TEST_P(SocketTest, TheKernelSaysWhoItIs) {
  Puppet agent(Client()), stranger(Client());
  Launch(agent);
  ASSERT_TRUE(agent.Go());
  const Seen mine = Await(agent);
  EXPECT_EQ(mine.code, 0);
  EXPECT_EQ(mine.svids, 1);
  ASSERT_TRUE(stranger.Go());
  EXPECT_EQ(Await(stranger).code, static_cast<int>(ErrorCode::kPermissionDenied));
}

// The agent connects, its child writes: the request is the child's.
TEST_P(SocketTest, AnInheritedSocketIsNoIdentity) {
  Puppet agent([path = path_](int go, int ready) {
    char c;
    if (::read(go, &c, 1) != 1) ::_exit(1);
    const int fd = Connect(path);
    const pid_t child = ::fork();
    if (child == 0) {
      const Seen seen = FetchOn(fd);
      ::_exit(::write(ready, &seen, sizeof seen) == sizeof seen ? 0 : 1);
    }
    ::waitpid(child, nullptr, 0);
    while (::read(go, &c, 1) == 1) {
    }
  });
  Launch(agent);
  ASSERT_TRUE(agent.Go());
  EXPECT_EQ(Await(agent).code, static_cast<int>(ErrorCode::kPermissionDenied));
}

// An attacker who reads our memory after the fact finds no private key that has passed through it.
TEST_P(SocketTest, NothingOfAKeyThatWasServedStaysInMemory) {
  const auto excerpt = [](std::string_view method, std::string_view message) {
    X509SVIDResponse x509;
    WITSVIDResponse wit;
    hexr::identity::v1::MintResponse minted;
    const std::string text(message);
    if (method.ends_with("FetchX509SVID") && x509.ParseFromString(text))
      return ExcerptOf(x509.svids(0).x509_svid_key(), 40);
    if (method.ends_with("FetchWITSVID") && wit.ParseFromString(text)) {
      const std::string& jwk = wit.svids(0).wit_svid_key();
      return ExcerptOf(jwk, jwk.find("\"d\":\"") + 10);
    }
    return minted.ParseFromString(text) ? ExcerptOf(minted.x509_svid_key(), 40) : Excerpt{};
  };
  hexr::identity::v1::MintRequest part;
  part.set_name("tool");
  for (const auto& [method, request] : {std::pair<std::string, std::string>{"/SpiffeWorkloadAPI/FetchX509SVID", ""},
                                        {"/SpiffeWorkloadAPI/FetchWITSVID", ""},
                                        {"/hexr.identity.v1.SubIdentity/Mint", part.SerializeAsString()}}) {
    Puppet agent([&, path = path_](int go, int ready) {
      char c;
      if (::read(go, &c, 1) != 1) ::_exit(1);
      int code = 0;
      const auto message = CallOn(Connect(path), method, request, code);
      const Excerpt seen = message ? excerpt(method, *message) : Excerpt{};
      if (::write(ready, &seen, sizeof seen) != sizeof seen) ::_exit(1);
      while (::read(go, &c, 1) == 1) {
      }
    });
    const InstanceId id = Launch(agent, "writer", false, /*subs=*/true)->id();
    ASSERT_TRUE(agent.Go());
    const auto seen = Await<Excerpt>(agent);
    ASSERT_NE(seen, Excerpt{}) << method;
    core->registry().End(id, "test");  // what is held of it goes with it
    Settle();
    EXPECT_EQ(testing::CountInMemory(seen), 0U) << method;
  }
}

// Whoever is too far below an instance to be told apart from a stranger does not get a stranger's share.
TEST_P(SocketTest, ADeepDescendantIsTurnedAway) {
  Puppet agent([path = path_](int go, int ready) {
    char c;
    if (::read(go, &c, 1) != 1) ::_exit(1);
    for (size_t depth = 0; depth <= limits::kMaxAncestors; ++depth) {
      const pid_t child = ::fork();
      if (child == 0) continue;
      ::waitpid(child, nullptr, 0);
      if (depth > 0) ::_exit(0);
      while (::read(go, &c, 1) == 1) {
      }
      ::_exit(0);
    }
    const Seen seen = FetchOn(Connect(path));
    ::_exit(::write(ready, &seen, sizeof seen) == sizeof seen ? 0 : 1);
  });
  Launch(agent, "writer", true);
  ASSERT_TRUE(agent.Go());
  EXPECT_EQ(Await(agent).code, -1) << "closed unread";
  EXPECT_EQ(server_->connections(), 0u);
}

// Nor does one whose connector has gone, so that nobody can tell any more what it was a part of.
TEST_P(SocketTest, AConnectionOfAProcessThatHasGoneIsTurnedAway) {
  Puppet agent([path = path_](int go, int ready) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const pid_t child = ::fork();
    if (child == 0) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      path.copy(address.sun_path, sizeof(address.sun_path) - 1);
      ::_exit(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
    }
    ::waitpid(child, nullptr, 0);
    char c = 'r';
    if (::write(ready, &c, 1) != 1 || ::read(go, &c, 1) != 1) ::_exit(1);
    const Seen seen = FetchOn(fd);
    if (::write(ready, &seen, sizeof seen) != sizeof seen) ::_exit(1);
    while (::read(go, &c, 1) == 1) {
    }
  });
  ASSERT_TRUE(agent.AwaitReady());
  Launch(agent);
  ASSERT_TRUE(agent.Go());
  EXPECT_EQ(Await(agent).code, -1) << "closed unread";
}

TEST_P(SocketTest, UnboundEvidenceIsUnavailable) {
  EXPECT_EQ(SocketEvidence().EvidenceOf(1).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(socket_evidence_.EvidenceOf(999'999).error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace hexr::identity
