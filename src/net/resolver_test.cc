#include "net/resolver.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

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
    changed.wait(lock, [&] { return open || permits > 0 || !name.starts_with("dead"); });
    if (!open && name.starts_with("dead")) --permits;
    return Addresses{{1, 2, 3, 4}};
  }
  void Open() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  // One of those that wait is let go.
  void LetOneGo() {
    const std::lock_guard lock(mutex);
    ++permits;
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
  size_t permits = 0;
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

// Every thread has a name, and those who have them have a hundred more: whose turn is next is not theirs to say.
TEST(Resolver, AskersTakeTurns) {
  static_assert(limits::kMaxResolverThreads == 2 * limits::kMaxResolverThreadsPerAsker);
  runtime::Loop loop;
  Gate gate;
  Resolver resolver(loop, 1h, gate.AsLookUp(), 2s, {.slow = 1h});
  std::vector<std::shared_ptr<void>> handles;
  for (const std::string asker : {"a", "b", "c"}) {
    for (int i = 0; i < 100; ++i) {
      handles.push_back(
          resolver.Resolve(asker, "dead." + asker + "." + std::to_string(i), [](const Result<Addresses>&) {}));
    }
  }
  bool found = false;
  handles.push_back(resolver.Resolve("d", "live.test", [&](const Result<Addresses>& r) { found = r.ok(); }));
  RunUntil(loop, [&] { return gate.NamesAsked() >= limits::kMaxResolverThreads; });
  for (int i = 0; i < 10; ++i) loop.RunFor(5ms);
  EXPECT_EQ(gate.NamesAsked(), limits::kMaxResolverThreads) << "no more than there are threads for";
  EXPECT_EQ(gate.Asked("dead.c.0"), 0U);
  // The third has the first place that is free, the fourth the next.
  gate.LetOneGo();
  RunUntil(loop, [&] { return gate.Asked("dead.c.0") == 1; });
  EXPECT_EQ(gate.Asked("dead.c.0"), 1U);
  gate.LetOneGo();
  RunUntil(loop, [&] { return found; });
  EXPECT_TRUE(found);
  gate.Open();
}

// As many as it takes to fill every thread of old: each with as many dead names as an asker may have.
TEST(Resolver, DeadNamesOfManyHoldUpNobody) {
  constexpr size_t kAskers = limits::kMaxSlowLookUps / limits::kMaxResolverThreadsPerAsker;
  runtime::Loop loop;
  Gate gate;
  Resolver resolver(loop, 1h, gate.AsLookUp(), 2s, {.slow = 1ms});
  std::vector<std::shared_ptr<void>> handles;
  size_t dead = 0;
  const auto ask = [&](size_t asker) {
    for (size_t i = 0; i < 10; ++i) {
      const std::string name = "dead" + std::to_string(asker) + "." + std::to_string(i);
      handles.push_back(resolver.Resolve(std::to_string(asker), name, [&](Result<Addresses>) { ++dead; }));
    }
  };
  for (size_t i = 0; i < kAskers; ++i) ask(i);
  RunUntil(loop, [&] { return resolver.slow() == limits::kMaxSlowLookUps; });
  bool found = false;
  handles.push_back(resolver.Resolve("one more", "live.test", [&](Result<Addresses> r) { found = r.ok(); }));
  constexpr size_t kAll = kAskers * limits::kMaxResolverThreadsPerAsker + 1;
  RunUntil(loop, [&] { return found && gate.NamesAsked() >= kAll; });
  EXPECT_TRUE(found);
  EXPECT_EQ(dead, 0U);
  EXPECT_EQ(gate.NamesAsked(), kAll) << "each has its places and no more";
  // Still more of them are bounded too.
  for (size_t i = kAskers; i < kAskers + 10; ++i) ask(i);
  for (int i = 0; i < 10; ++i) loop.RunFor(5ms);
  EXPECT_EQ(resolver.slow(), limits::kMaxSlowLookUps);
  EXPECT_LE(gate.NamesAsked(), limits::kMaxSlowLookUps + limits::kMaxResolverThreads + 1);
  gate.Open();
  RunUntil(loop, [&] { return dead == (kAskers + 10) * 10; });
  EXPECT_EQ(dead, (kAskers + 10) * 10);
  EXPECT_EQ(resolver.slow(), 0U);
}

TEST(Resolver, DoesNotAskAgainForANameThatNobodyAnsweredFor) {
  runtime::Loop loop;
  Gate gate;
  bool dead = true;
  const auto look_up = [&](const std::string& name) -> Result<Addresses> {
    Result<Addresses> found = gate.LookUp(name);
    return dead ? Unavailable(name + ": no server answered") : found;
  };
  std::optional<Result<Addresses>> answer;
  const auto ask = [&](Resolver& resolver, const std::string& asker) {
    answer.reset();
    return resolver.Resolve(asker, "dead.test", [&](Result<Addresses> r) { answer = std::move(r); });
  };
  {
    Resolver resolver(loop, 1h, look_up, 2s, {.slow = 1ms, .dead_first = 1h, .dead_most = 1h});
    auto handle = ask(resolver, "one");
    RunUntil(loop, [&] { return resolver.slow() == 1; });
    gate.Open();
    RunUntil(loop, [&] { return answer.has_value(); });
    EXPECT_EQ(gate.Asked("dead.test"), 1U);
    handle = ask(resolver, "one");
    RunUntil(loop, [&] { return answer.has_value(); });
    EXPECT_EQ(answer->error().code(), ErrorCode::kUnavailable);
    EXPECT_EQ(gate.Asked("dead.test"), 1U);
    handle = ask(resolver, "another");
    RunUntil(loop, [&] { return answer.has_value(); });
    EXPECT_EQ(gate.Asked("dead.test"), 2U) << "what one asker found out is no other's";
  }
  // In time it is asked for again, and forgotten once it answers. So is one whose asker did not wait for the end.
  gate.open = false;
  Resolver resolver(loop, 20ms, look_up, 0ms, {.slow = 1ms, .dead_first = 5ms, .dead_most = 1h});
  auto handle = ask(resolver, "one");
  RunUntil(loop, [&] { return answer.has_value(); });
  EXPECT_EQ(answer->error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(resolver.dead(), 1U);
  dead = false;
  gate.Open();
  RunUntil(loop, [&] { return resolver.dead() == 0; });
  EXPECT_EQ(resolver.dead(), 0U);
  handle = ask(resolver, "one");
  RunUntil(loop, [&] { return answer.has_value(); });
  EXPECT_TRUE(answer->ok());
}

TEST(Resolver, BoundsTheDeadNamesItRemembers) {
  runtime::Loop loop;
  Resolver resolver(loop, 1h,
                    [](const std::string& name) -> Result<Addresses> {
                      std::this_thread::sleep_for(2ms);
                      return Unavailable(name);
                    },
                    2s, {.slow = 0ms, .dead_first = 1h, .dead_most = 1h});
  size_t asked = 0, answered = 0;
  std::vector<std::shared_ptr<void>> handles;
  const auto ask = [&](size_t more) {
    for (const size_t end = asked + more; asked < end; ++asked) {
      handles.push_back(
          resolver.Resolve(std::to_string(asked % 16), std::to_string(asked), [&](Result<Addresses>) { ++answered; }));
    }
    RunUntil(loop, [&] { return answered == asked; });
  };
  while (resolver.dead() < limits::kMaxResolverDeadNames && asked < 50'000) ask(100);
  ask(100);
  EXPECT_EQ(answered, asked);
  EXPECT_EQ(resolver.dead(), limits::kMaxResolverDeadNames);
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
  Resolver resolver(loop, 1h, gate.AsLookUp(), 2s, {.slow = 1h});
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
