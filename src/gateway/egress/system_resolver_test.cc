#include "gateway/egress/system_resolver.h"

#include <gtest/gtest.h>

#include <latch>

#include "base/limits/gateway.h"

namespace hexr::gateway {
namespace {

const InstanceId kOne = InstanceId::Make(1, "0123456789");

TEST(SystemResolver, FindsLocalhostAndAnswersOnTheLoop) {
  runtime::Loop loop;
  SystemResolver resolver(loop);
  std::optional<Result<std::vector<IpAddress>>> found;
  const auto handle = resolver.Resolve(kOne, *HostName::Parse("localhost"),
                                       [&](Result<std::vector<IpAddress>> r) { found = std::move(r); });
  EXPECT_FALSE(found.has_value());
  while (!found) loop.RunFor(std::chrono::seconds(10));
  ASSERT_TRUE(found->ok()) << found->error().ToString();
  for (const IpAddress& a : **found) EXPECT_EQ(Classify(a), AddressClass::kLoopback);
}

TEST(SystemResolver, IsBoundedAndForgetsWhatNobodyWants) {
  runtime::Loop loop;
  std::latch go(1);
  SystemResolver resolver(loop, [&](const std::string&) -> Result<net::Addresses> {
    go.wait();  // nobody gets on: the queue fills
    return NotFound("nobody");
  });
  const size_t asked = limits::kMaxResolverQueuePerAsker + 3;
  std::vector<std::shared_ptr<void>> handles;
  size_t refused = 0, answered = 0;
  for (size_t i = 0; i < asked; ++i) {
    handles.push_back(resolver.Resolve(kOne, *HostName::Parse("localhost"), [&](Result<std::vector<IpAddress>> r) {
      ++answered;
      refused += r.error().code() == ErrorCode::kResourceExhausted;
    }));
  }
  loop.RunReady();
  EXPECT_EQ(refused, 3u);
  bool ran = false;
  auto dropped =
      resolver.Resolve(kOne, *HostName::Parse("localhost"), [&](Result<std::vector<IpAddress>>) { ran = true; });
  dropped.reset();
  go.count_down();
  while (answered < asked) loop.RunFor(std::chrono::seconds(10));
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace hexr::gateway
