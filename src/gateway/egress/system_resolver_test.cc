#include "gateway/egress/system_resolver.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace hexr::gateway {
namespace {

TEST(SystemResolver, FindsLocalhostAndAnswersOnTheLoop) {
  runtime::Loop loop;
  SystemResolver resolver(loop, 1);
  std::optional<Result<std::vector<IpAddress>>> found;
  const auto handle = resolver.Resolve(*HostName::Parse("localhost"), [&](Result<std::vector<IpAddress>> r) { found = std::move(r); });
  EXPECT_FALSE(found.has_value());
  while (!found) loop.RunFor(std::chrono::seconds(10));
  ASSERT_TRUE(found->ok()) << found->error().ToString();
  for (const IpAddress& a : **found) EXPECT_EQ(Classify(a), AddressClass::kLoopback);
}

TEST(SystemResolver, IsBoundedAndForgetsWhatNobodyWants) {
  runtime::Loop loop;
  SystemResolver resolver(loop, 0);  // nobody works: the queue fills
  std::vector<std::shared_ptr<void>> handles;
  int refused = 0;
  for (size_t i = 0; i <= limits::kMaxResolverQueue; ++i) {
    handles.push_back(resolver.Resolve(*HostName::Parse("localhost"), [&](Result<std::vector<IpAddress>> r) {
      refused += r.error().code() == ErrorCode::kResourceExhausted;
    }));
  }
  loop.RunReady();
  EXPECT_EQ(refused, 1);
  bool ran = false;
  auto dropped = resolver.Resolve(*HostName::Parse("localhost"), [&](Result<std::vector<IpAddress>>) { ran = true; });
  dropped.reset();
  loop.RunReady();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace hexr::gateway
