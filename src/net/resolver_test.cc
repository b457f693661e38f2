#include "net/resolver.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>

#include "base/limits/gateway.h"
#include "base/limits/net.h"

namespace hexr::net {
namespace {

using namespace std::chrono_literals;

template <class F>
void RunUntil(runtime::Loop& loop, F done) {
  for (int i = 0; i < 2000 && !done(); ++i) loop.RunFor(5ms);
}

TEST(Resolver, FindsAddressesOfTheSystem) {
  runtime::Loop loop;
  Resolver resolver(loop);
  std::optional<Result<Addresses>> literal;
  std::optional<Result<Addresses>> missing;
  const auto a = resolver.Resolve("127.0.0.1", [&](Result<Addresses> r) { literal = std::move(r); });
  const auto b = resolver.Resolve("", [&](Result<Addresses> r) { missing = std::move(r); });
  EXPECT_FALSE(literal || missing) << "never from inside the call";
  RunUntil(loop, [&] { return literal && missing; });
  ASSERT_TRUE(literal && literal->ok());
  EXPECT_EQ(**literal, (Addresses{{127, 0, 0, 1}}));
  EXPECT_FALSE(missing->ok());
}

TEST(Resolver, TimesOutAndForgets) {
  runtime::Loop loop;
  std::promise<void> release;
  std::shared_future<void> released(release.get_future());
  std::optional<Result<Addresses>> slow;
  bool dropped_ran = false;
  {
    Resolver resolver(loop, 20ms, [released](const std::string&) -> Result<Addresses> {
      released.wait();
      return Addresses{{1, 2, 3, 4}};
    });
    const auto handle = resolver.Resolve("slow.test", [&](Result<Addresses> r) { slow = std::move(r); });
    resolver.Resolve("dropped.test", [&](Result<Addresses>) { dropped_ran = true; }).reset();
    RunUntil(loop, [&] { return slow.has_value(); });
    ASSERT_TRUE(slow.has_value());
    EXPECT_EQ(slow->error().code(), ErrorCode::kDeadlineExceeded);
    release.set_value();
  }
  loop.RunReady();
  EXPECT_FALSE(dropped_ran);
}

TEST(Resolver, BoundsItsQueue) {
  runtime::Loop loop;
  std::promise<void> release;
  std::shared_future<void> released(release.get_future());
  size_t answered = 0;
  size_t refused = 0;
  std::vector<std::shared_ptr<void>> handles;
  Resolver resolver(loop, 10s, [released](const std::string&) -> Result<Addresses> {
    released.wait();
    return Addresses{{1, 2, 3, 4}};
  });
  const size_t total = limits::kMaxResolverQueue + limits::kMaxResolverThreads + 10;
  for (size_t i = 0; i < total; ++i) {
    handles.push_back(resolver.Resolve("a.test", [&](Result<Addresses> r) {
      ++answered;
      if (!r.ok() && r.error().code() == ErrorCode::kResourceExhausted) ++refused;
    }));
  }
  release.set_value();
  RunUntil(loop, [&] { return answered == total; });
  EXPECT_EQ(answered, total) << "every request is answered once";
  EXPECT_GE(refused, 10U);
}

}  // namespace
}  // namespace hexr::net
