#include "net/listener.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <optional>
#include <vector>

#include "base/clock.h"
#include "net/connection.h"

namespace hexr::net {
namespace {

using namespace std::chrono_literals;

// No descriptor beyond those that are open, until it is destroyed.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    HEXR_CHECK(getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const runtime::UniqueFd next(fcntl(0, F_DUPFD_CLOEXEC, 0));  // the lowest that is free
    const rlimit now{static_cast<rlim_t>(next.get()), before_.rlim_max};
    HEXR_CHECK(setrlimit(RLIMIT_NOFILE, &now) == 0);
  }
  ~NoMoreDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// INV-NET-05
TEST(Listener, WaitsWhereThereIsNoDescriptorLeft) {
  runtime::Loop loop;
  const SystemClock clock;
  std::vector<runtime::UniqueFd> accepted;
  auto socket = BindTcp("127.0.0.1", 0).value();
  const uint16_t port = LocalPort(socket.get()).value();
  const Listener listener(loop, std::move(socket), "test",
                          [&](runtime::UniqueFd s) { accepted.push_back(std::move(s)); });
  const auto run_for = [&](std::chrono::nanoseconds time) {
    int turns = 0;
    for (const MonoTime end = clock.Mono() + time; clock.Mono() < end; ++turns) loop.RunFor(20ms);
    return turns;
  };
  const auto client = StartConnect(Bytes{127, 0, 0, 1}, port).value();
  ::testing::internal::CaptureStderr();
  {
    const NoMoreDescriptors held;
    // What waits keeps the socket readable: a listener that goes on asking comes back at once, thousands of times.
    EXPECT_LT(run_for(500ms), 60);
    EXPECT_TRUE(accepted.empty());
  }
  for (int i = 0; i < 1000 && accepted.empty(); ++i) loop.RunFor(20ms);
  EXPECT_EQ(accepted.size(), 1U) << "served once there is room again";
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, ::testing::HasSubstr("listener.accept_failed"));
  EXPECT_EQ(log.find("listener.accept_failed"), log.rfind("listener.accept_failed")) << "said once: " << log;
}

// A storm of connections is taken in batches: what else is due has its turn between them.
TEST(Listener, AStormOfConnectionsHoldsUpNothingElse) {
  runtime::Loop loop;
  auto socket = BindTcp("127.0.0.1", 0).value();
  const uint16_t port = LocalPort(socket.get()).value();
  constexpr size_t kStorm = 200;
  std::vector<runtime::UniqueFd> clients, accepted;
  for (size_t i = 0; i < kStorm; ++i) clients.push_back(StartConnect(Bytes{127, 0, 0, 1}, port).value());
  std::optional<size_t> before_others;
  const Listener listener(loop, std::move(socket), "test", [&](runtime::UniqueFd s) {
    accepted.push_back(std::move(s));
    if (accepted.size() == 1) loop.Post([&] { before_others = accepted.size(); });
  });
  for (int i = 0; i < 1000 && accepted.size() < kStorm; ++i) loop.RunFor(20ms);
  EXPECT_EQ(accepted.size(), kStorm);
  ASSERT_TRUE(before_others);
  EXPECT_LE(*before_others, kStorm / 4);
}

}  // namespace
}  // namespace hexr::net
