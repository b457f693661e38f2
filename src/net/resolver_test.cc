#include "net/resolver.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>

#include "base/limits/net.h"

namespace hexr::net {
namespace {

using namespace std::chrono_literals;

template <class F>
void RunUntil(runtime::Loop& loop, F done) {
  for (int i = 0; i < 2000 && !done(); ++i) loop.RunFor(5ms);
}

// A look-up that waits until it is let go, and says how often it was asked for what.
struct Gate {
  Result<Addresses> LookUp(const std::string& name) {
    std::unique_lock lock(mutex);
    ++asked[name];
    changed.wait(lock, [&] { return open || !name.starts_with("dead"); });
    return Addresses{{1, 2, 3, 4}};
  }
  void Open() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  size_t Asked(const std::string& name) {
    const std::lock_guard lock(mutex);
    return asked[name];
  }
  size_t LookUps() {
    const std::lock_guard lock(mutex);
    size_t n = 0;
    for (const auto& [name, times] : asked) n += times;
    return n;
  }
  size_t NamesAsked() {
    const std::lock_guard lock(mutex);
    return asked.size();
  }
  Resolver::LookUp AsLookUp() {
    return [this](const std::string& name) { return LookUp(name); };
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, size_t> asked;
  bool open = false;
};

TEST(Resolver, FindsAddressesOfTheSystem) {
  runtime::Loop loop;
  Resolver resolver(loop);
  std::optional<Result<Addresses>> literal;
  std::optional<Result<Addresses>> missing;
  const auto a = resolver.Resolve("me", "127.0.0.1", [&](Result<Addresses> r) { literal = std::move(r); });
  const auto b = resolver.Resolve("me", "", [&](Result<Addresses> r) { missing = std::move(r); });
  EXPECT_FALSE(literal || missing) << "never from inside the call";
  RunUntil(loop, [&] { return literal && missing; });
  ASSERT_TRUE(literal && literal->ok());
  EXPECT_EQ(**literal, (Addresses{{127, 0, 0, 1}}));
  EXPECT_FALSE(missing->ok());
}

TEST(Resolver, TakesEachAddressOnceAndNotTooMany) {
  constexpr size_t kFound = 2 * (limits::kMaxResolvedAddresses + 3);
  std::vector<sockaddr_in> places(kFound);
  std::vector<addrinfo> found(kFound);
  for (size_t i = 0; i < kFound; ++i) {
    places[i].sin_family = AF_INET;
    places[i].sin_addr.s_addr = htonl(0x0a000000 + static_cast<uint32_t>(i / 2));  // each of them twice
    found[i].ai_family = AF_INET;
    found[i].ai_addr = reinterpret_cast<sockaddr*>(&places[i]);
    found[i].ai_next = i + 1 < kFound ? &found[i + 1] : nullptr;
  }
  const Addresses addresses = AddressesOf(found.data());
  ASSERT_EQ(addresses.size(), limits::kMaxResolvedAddresses);
  for (size_t i = 0; i < addresses.size(); ++i) EXPECT_EQ(addresses[i], (Bytes{10, 0, 0, static_cast<uint8_t>(i)}));
  EXPECT_TRUE(AddressesOf(nullptr).empty());
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
    const auto handle = resolver.Resolve("me", "slow.test", [&](Result<Addresses> r) { slow = std::move(r); });
    resolver.Resolve("me", "dropped.test", [&](Result<Addresses>) { dropped_ran = true; }).reset();
    RunUntil(loop, [&] { return slow.has_value(); });
    ASSERT_TRUE(slow.has_value());
    EXPECT_EQ(slow->error().code(), ErrorCode::kDeadlineExceeded);
    release.set_value();
  }
  loop.RunReady();
  EXPECT_FALSE(dropped_ran);
}

TEST(Resolver, NobodysDeadNamesHoldUpAnother) {
  runtime::Loop loop;
  Gate gate;
  Resolver resolver(loop, 1h, gate.AsLookUp());
  size_t dead = 0;
  std::vector<std::shared_ptr<void>> handles;
  for (int i = 0; i < 20; ++i) {
    handles.push_back(resolver.Resolve("one", "dead" + std::to_string(i), [&](Result<Addresses>) { ++dead; }));
  }
  // Also one that stands in the other's queue already.
  for (const std::string name : {"live.test", "other.test"}) {
    handles.push_back(resolver.Resolve("one", name, [&](Result<Addresses>) {}));
    bool found = false;
    handles.push_back(resolver.Resolve("another", name, [&](Result<Addresses> r) { found = r.ok(); }));
    RunUntil(loop, [&] { return found; });
    EXPECT_TRUE(found);
  }
  EXPECT_EQ(dead, 0U);
  EXPECT_LE(gate.NamesAsked(), limits::kMaxResolverThreadsPerAsker + 2);
  gate.Open();
  RunUntil(loop, [&] { return dead == 20; });
  EXPECT_EQ(dead, 20U);
}

TEST(Resolver, LooksUpANameOnceForAllWhoWaitAndKeepsItsAddresses) {
  runtime::Loop loop;
  Gate gate;
  Resolver resolver(loop, 1h, gate.AsLookUp(), 1h);
  size_t found = 0;
  std::vector<std::shared_ptr<void>> handles;
  const auto ask = [&](const std::string& asker, const std::string& name) {
    handles.push_back(resolver.Resolve(asker, name, [&](Result<Addresses> r) { found += r.ok(); }));
  };
  for (int i = 0; i < 50; ++i) ask(std::to_string(i), "dead.test");
  gate.Open();
  RunUntil(loop, [&] { return found == 50; });
  ask("later", "dead.test");
  RunUntil(loop, [&] { return found == 51; });
  EXPECT_EQ(found, 51U);
  EXPECT_EQ(gate.Asked("dead.test"), 1U);
  // No more names than so many are kept; the one too many is looked up again.
  for (size_t round = 1; round <= 2; ++round) {
    for (size_t i = 0; i < limits::kMaxResolverNamesKept; ++i) ask(std::to_string(i % 8), std::to_string(i));
    RunUntil(loop, [&] { return found == 51 + round * limits::kMaxResolverNamesKept; });
  }
  EXPECT_EQ(gate.LookUps(), 1 + limits::kMaxResolverNamesKept + 1);
}

TEST(Resolver, ForgetsAddressesAndKeepsNoFailure) {
  runtime::Loop loop;
  std::atomic<int> asked = 0;
  size_t answered = 0;
  Resolver resolver(
      loop, 1h,
      [&](const std::string& name) -> Result<Addresses> {
        ++asked;
        if (name == "no.test") return NotFound("no such host");
        return Addresses{{1, 2, 3, 4}};
      },
      1ms);
  const auto ask = [&](const std::string& name) {
    const size_t before = answered;
    const auto handle = resolver.Resolve("me", name, [&](Result<Addresses>) { ++answered; });
    RunUntil(loop, [&] { return answered > before; });
  };
  ask("no.test");
  ask("no.test");
  EXPECT_EQ(asked, 2);
  ask("a.test");
  RunUntil(loop, [&] {
    ask("a.test");
    return asked == 4;
  });
  EXPECT_EQ(asked, 4);
}

TEST(Resolver, BoundsWhatWaits) {
  runtime::Loop loop;
  Gate gate;
  size_t answered = 0, refused = 0;
  std::vector<std::shared_ptr<void>> handles;
  Resolver resolver(loop, 1h, gate.AsLookUp());
  const auto ask = [&](const std::string& asker, size_t times) {
    for (size_t i = 0; i < times; ++i) {
      handles.push_back(resolver.Resolve(asker, "dead" + std::to_string(i), [&](Result<Addresses> r) {
        ++answered;
        refused += !r.ok() && r.error().code() == ErrorCode::kResourceExhausted;
      }));
    }
  };
  ask("one", limits::kMaxResolverQueuePerAsker + 5);
  loop.RunReady();
  EXPECT_EQ(refused, 5U);
  ask("two", limits::kMaxResolverQueue - limits::kMaxResolverQueuePerAsker);
  ask("three", 7);
  loop.RunReady();
  EXPECT_EQ(refused, 12U);
  // Whoever gives up makes room.
  handles.erase(handles.begin(), handles.begin() + 10);
  ask("three", 1);
  loop.RunReady();
  EXPECT_EQ(refused, 12U);
  EXPECT_LE(gate.NamesAsked(), limits::kMaxResolverThreads);
  gate.Open();
  const size_t all = limits::kMaxResolverQueue + 12 + 1 - 10;
  RunUntil(loop, [&] { return answered == all; });
  EXPECT_EQ(answered, all) << "every request is answered once";
}

}  // namespace
}  // namespace hexr::net
