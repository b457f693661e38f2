#include "keeper/admin_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/limits/messages.h"

namespace hexr::keeper {
namespace {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;

class AdminServerTest : public testing::Test {
 protected:
  void Start(Result<bool> inside) {
    // An abstract address: nothing to clean up.
    address_.sun_family = AF_UNIX;
    const std::string name = "hexr-admin-test-" + std::to_string(getpid());
    std::memcpy(address_.sun_path + 1, name.data(), name.size());
    length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address_), length_), 0);
    ASSERT_EQ(listen(listener.get(), 8), 0);
    server_ = std::make_unique<AdminServer>(loop_, std::move(listener), [inside](int, pid_t) { return inside; });
    server_->Serve("echo", [](std::shared_ptr<AdminCall> c) {
      c->Answer(wire::JsonObject{{"said", c->Arg("what")}}, c->secret());
      EXPECT_EQ(c->who().uid, geteuid());
      EXPECT_EQ(c->who().pid, getpid());
      EXPECT_TRUE(c->who().pidfd);
    });
    server_->Serve("need", [](std::shared_ptr<AdminCall> c) {
      const auto v = c->Required("x");
      if (!v.ok()) return c->Fail(v.error());
      c->Answer(wire::Json());
    });
    server_->Serve("count", [](std::shared_ptr<AdminCall> c) {
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(c->Next(wire::JsonObject{{"n", i}}));
      c->End();
    });
    server_->Serve("drop", [](std::shared_ptr<AdminCall>) {});
  }
  UniqueFd Connect() {
    UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address_), length_), 0);
    return fd;
  }
  std::vector<Envelope> Ask(const std::string& method, const std::map<std::string, std::string>& args = {},
                            const std::string& secret = "") {
    const UniqueFd fd = Connect();
    Envelope e;
    e.set_call(1);
    e.mutable_admin_call()->set_method(method);
    for (const auto& [k, v] : args) (*e.mutable_admin_call()->mutable_args())[k] = v;
    e.mutable_admin_call()->set_secret(secret);
    EXPECT_TRUE(runtime::SendBlocking(fd.get(), e, {}, std::chrono::seconds(5)).ok());
    std::vector<Envelope> out;
    for (int turn = 0; turn < 100; ++turn) {
      loop_.RunReady();
      auto m = runtime::ReceiveBlocking(fd.get(), std::chrono::milliseconds(10));
      if (!m.ok()) continue;
      out.push_back(m->body);
      if (!m->body.admin_result().more()) break;
    }
    return out;
  }
  runtime::Loop loop_;
  sockaddr_un address_{};
  socklen_t length_ = 0;
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, AnswersStreamsAndRefuses) {
  Start(false);
  auto r = Ask("echo", {{"what", "hi"}}, "s3cret");
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].admin_result().json(), R"({"said":"hi"})");
  EXPECT_EQ(r[0].admin_result().secret(), "s3cret");
  EXPECT_EQ(Ask("need")[0].failure().message(), "'x' is needed");
  EXPECT_EQ(Ask("count").size(), 4u);
  EXPECT_EQ(Ask("nothing")[0].failure().code(), static_cast<int>(ErrorCode::kUnimplemented));
  EXPECT_EQ(Ask("drop")[0].failure().code(), static_cast<int>(ErrorCode::kInternal));
}

TEST_F(AdminServerTest, AProcessInsideAnInstanceIsRefusedAndSoIsOneThatCannotBeToldApart) {
  Start(true);
  EXPECT_EQ(Ask("echo")[0].failure().code(), static_cast<int>(ErrorCode::kPermissionDenied));
  server_.reset();
  Start(Unavailable("no registry"));
  EXPECT_EQ(Ask("echo")[0].failure().code(), static_cast<int>(ErrorCode::kPermissionDenied));
}

// The record names who connected: nobody else may speak in that name.
TEST_F(AdminServerTest, AConnectionThatWasHandedOnIsRefused) {
  Start(false);
  const UniqueFd fd = Connect();
  Envelope e;
  e.set_call(1);
  e.mutable_admin_call()->set_method("echo");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(runtime::SendBlocking(fd.get(), e, {}, std::chrono::seconds(5)).ok() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  std::optional<Envelope> answer;
  for (int turn = 0; turn < 500 && !answer; ++turn) {
    loop_.RunReady();
    if (auto m = runtime::ReceiveBlocking(fd.get(), std::chrono::milliseconds(10)); m.ok()) answer = m->body;
  }
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->failure().code(), static_cast<int>(ErrorCode::kPermissionDenied));
}

TEST_F(AdminServerTest, ConnectionsAreBounded) {
  Start(false);
  std::vector<UniqueFd> held;
  for (size_t i = 0; i < limits::kMaxAdminConnections; ++i) {
    held.push_back(Connect());
    loop_.RunReady();
  }
  const UniqueFd extra = Connect();
  loop_.RunReady();
  EXPECT_EQ(runtime::ReceiveBlocking(extra.get(), std::chrono::seconds(5)).error().code(), ErrorCode::kUnavailable);
  held.clear();
  for (int i = 0; i < 5; ++i) loop_.RunReady();
  EXPECT_EQ(Ask("echo").size(), 1u);
}

}  // namespace
}  // namespace hexr::keeper
