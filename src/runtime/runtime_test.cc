#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <optional>
#include <span>
#include <thread>

#include "base/limits/messages.h"
#include "runtime/channel.h"
#include "runtime/loop.h"
#include "runtime/packet.h"
#include "runtime/process.h"

namespace hexr::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

int CountFds() {
  int n = 0;
  for (int fd = 0; fd < 1024; ++fd) n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

TEST(Loop, TimersPostsAndWatchesRunInOrderAndStopWhenDestroyed) {
  Loop loop;
  std::vector<int> ran;
  Timer late = loop.After(milliseconds(20), [&] {
    ran.push_back(3);
    loop.Stop();
  });
  Timer early = loop.After(milliseconds(1), [&] { ran.push_back(2); });
  Timer never = loop.After(milliseconds(2), [&] { ran.push_back(99); });
  never.Cancel();
  {
    Timer scoped = loop.After(milliseconds(2), [&] { ran.push_back(99); });
  }
  loop.Post([&] { ran.push_back(1); });
  loop.Run();
  EXPECT_THAT(ran, testing::ElementsAre(1, 2, 3));
  EXPECT_FALSE(late.pending());
}

TEST(Loop, WatchIsLevelTriggeredAndMayDestroyItself) {
  Loop loop;
  int p[2];
  ASSERT_EQ(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
  UniqueFd r(p[0]), w(p[1]);
  ASSERT_EQ(write(w.get(), "abc", 3), 3);
  int calls = 0;
  auto watch = std::make_unique<FdWatch>();
  *watch = loop.Watch(r.get(), [&] {
    char c;
    ASSERT_EQ(read(r.get(), &c, 1), 1);
    if (++calls == 2) {
      watch.reset();
      loop.Stop();
    }
  });
  loop.Run();
  EXPECT_EQ(calls, 2);  // the third byte is still there, and nobody is told
  loop.RunReady();
  EXPECT_EQ(calls, 2);
}

// Whoever asks a weak_ptr in the same turn, before the aborted wait has come round, must not find what is gone.
TEST(Loop, WhatACallbackHoldsEndsWithItsTimerOrWatch) {
  Loop loop;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = held;
  Timer timer = loop.After(seconds(100), [held] {});
  held.reset();
  timer.Cancel();
  EXPECT_TRUE(seen.expired());

  auto [a, b] = std::move(*MakePacketPair());
  held = std::make_shared<int>(2);
  const std::weak_ptr<int> read = held;
  FdWatch watch = loop.Watch(a.get(), [held] {});
  held.reset();
  watch = FdWatch();
  EXPECT_TRUE(read.expired());
}

TEST(Loop, ACallbackMayOwnTheTimerOrWatchThatHoldsIt) {
  struct Owner {
    Timer timer;
    FdWatch watch;
  };
  Loop loop;
  auto [a, b] = std::move(*MakePacketPair());
  // Cancelled, replaced, and from inside the callback: each ends the owner, and touches nothing of it afterwards.
  const auto make = [&] {
    auto owner = std::make_shared<Owner>();
    owner->timer = loop.After(seconds(100), [owner] {});
    return std::pair(owner.get(), std::weak_ptr<Owner>(owner));
  };
  const auto [cancelled, gone] = make();
  cancelled->timer.Cancel();
  EXPECT_TRUE(gone.expired());
  const auto [replaced, gone_too] = make();
  replaced->timer = loop.After(seconds(100), [] {});
  EXPECT_TRUE(gone_too.expired());

  auto owner = std::make_shared<Owner>();
  const std::weak_ptr<Owner> seen = owner;
  int ran = 0;
  owner->watch = loop.Watch(a.get(), [owner, &ran] {
    owner->watch = FdWatch();
    ++ran;
    EXPECT_EQ(owner.use_count(), 1);  // what the running callback holds is still there
  });
  owner.reset();
  ASSERT_EQ(write(b.get(), "x", 1), 1);
  loop.RunReady();
  EXPECT_EQ(ran, 1);
  EXPECT_TRUE(seen.expired());
}

TEST(Loop, WriteInterestIsOnDemand) {
  Loop loop;
  auto [a, b] = std::move(*MakePacketPair());
  int writable = 0;
  FdWatch w = loop.Watch(
      a.get(), [] {},
      [&] {
        if (++writable == 3) w.WantWrite(false);
      });
  loop.RunReady();
  EXPECT_EQ(writable, 0);
  w.WantWrite(true);
  for (int i = 0; i < 10; ++i) loop.RunReady();
  EXPECT_EQ(writable, 3);
}

TEST(Loop, PostFromAnotherThreadWakesIt) {
  Loop loop;
  bool ran = false;
  std::thread t([&] {
    loop.Post([&] {
      ran = true;
      loop.Stop();
    });
  });
  loop.Run();
  t.join();
  EXPECT_TRUE(ran);
}

TEST(Signals, ArriveOnTheLoop) {
  Loop loop;
  int got = 0;
  auto w = SignalWatch::Create(loop, {SIGUSR1}, [&](int s) {
    got = s;
    loop.Stop();
  });
  ASSERT_TRUE(w.ok());
  ASSERT_EQ(raise(SIGUSR1), 0);
  loop.Run();
  EXPECT_EQ(got, SIGUSR1);
}

TEST(Packet, CarriesDescriptorsAndRefusesWhatItCannotHold) {
  auto [a, b] = std::move(*MakePacketPair());
  int p[2];
  ASSERT_EQ(pipe2(p, O_CLOEXEC), 0);
  UniqueFd r(p[0]), w(p[1]);
  const int fds[] = {r.get(), w.get()};
  ASSERT_TRUE(SendPacket(a.get(), AsBytes("hello"), fds).ok());
  auto got = ReceivePacket(b.get());
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(AsText(got->data), "hello");
  ASSERT_EQ(got->fds.size(), 2u);
  EXPECT_EQ(write(got->fds[1].get(), "x", 1), 1);
  EXPECT_NE(fcntl(got->fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(ReceivePacket(b.get()).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(SendPacket(a.get(), {}, {}).error().code(), ErrorCode::kInvalidArgument);
  const Bytes big(limits::kMaxInlineMessageBytes + 1);
  EXPECT_EQ(SendPacket(a.get(), big, {}).error().code(), ErrorCode::kResourceExhausted);
  const std::vector<int> many(limits::kMaxMessageFds + 1, r.get());
  EXPECT_EQ(SendPacket(a.get(), AsBytes("x"), many).error().code(), ErrorCode::kResourceExhausted);
  a.reset();
  EXPECT_EQ(ReceivePacket(b.get()).error().code(), ErrorCode::kUnavailable);
}

// The kernel tells of the reset before it hands out what is there: the end of an agent would be lost with it.
TEST(Packet, LastWordsAreReadThoughThePeerHasLeftSomethingUnread) {
  auto [a, b] = MakePacketPair().value();
  ASSERT_TRUE(SendPacket(a.get(), AsBytes(std::string_view("unread")), {}).ok());
  ASSERT_TRUE(SendPacket(b.get(), AsBytes(std::string_view("last words")), {}).ok());
  b.reset();
  const auto words = ReceivePacket(a.get());
  ASSERT_TRUE(words.ok()) << words.error().ToString();
  EXPECT_EQ(AsText(words->data), "last words");
  EXPECT_EQ(ReceivePacket(a.get()).error().code(), ErrorCode::kUnavailable);
}

TEST(Packet, OverlongMessageIsDataLossAndLeaksNoDescriptor) {
  auto [a, b] = std::move(*MakePacketPair());
  const int before = CountFds();
  const Bytes big(limits::kMaxInlineMessageBytes + 100);
  ASSERT_EQ(send(a.get(), big.data(), big.size(), 0), static_cast<ssize_t>(big.size()));
  EXPECT_EQ(ReceivePacket(b.get()).error().code(), ErrorCode::kDataLoss);
  EXPECT_EQ(CountFds(), before);
}

struct Pair {
  explicit Pair(Channel::OnRequest serve) {
    auto fds = std::move(*MakePacketPair());
    server = std::make_unique<Channel>(loop, std::move(fds.first), "server", std::move(serve),
                                       [this](const Error&) { ++server_closed; });
    client = std::make_unique<Channel>(
        loop, std::move(fds.second), "client", [](Message, Channel::Reply) {},
        [this](const Error&) { ++client_closed; });
  }
  Loop loop;
  std::unique_ptr<Channel> server, client;
  int server_closed = 0, client_closed = 0;
};

Envelope Drain(uint32_t n) {
  Envelope e;
  e.mutable_drain()->set_deadline_ms(n);
  return e;
}

TEST(Channel, AnswersRefusesAndTimesOut) {
  std::vector<Channel::Reply> held;
  Pair p([&](Message m, Channel::Reply reply) {
    switch (m.body.drain().deadline_ms()) {
      case 1: return reply.Ack();
      case 2: return reply.Fail(PermissionDenied("no"));
      case 3: held.push_back(std::move(reply)); return;
      default: return;  // dropped without an answer
    }
  });
  std::vector<std::string> got;
  for (uint32_t n = 1; n <= 4; ++n) {
    p.client->Call(Drain(n), {}, milliseconds(n == 3 ? 5 : 5000), [&](Result<Message> r) {
      got.push_back(r.ok() ? "ok" : std::string(ErrorCodeName(r.error().code())));
      if (got.size() == 4) p.loop.Stop();
    });
  }
  p.loop.Run();
  EXPECT_THAT(got, testing::ElementsAre("ok", "PERMISSION_DENIED", "INTERNAL", "DEADLINE_EXCEEDED"));
  held.clear();  // answers after the deadline are dropped
  p.loop.RunReady();
}

TEST(Channel, LargeMessagesTravelAsMemfdWithTheirDescriptors) {
  std::string seen;
  size_t fds = 0;
  Pair p([&](Message m, Channel::Reply reply) {
    seen = m.body.start().config_yaml();
    fds = m.fds.size();
    reply.Ack();
  });
  const std::string big(5'000'000, 'x');
  Envelope e;
  e.mutable_start()->set_config_yaml(big);
  std::vector<UniqueFd> extra;
  extra.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  p.client->Call(e, std::move(extra), seconds(5), [&](Result<Message> r) {
    EXPECT_TRUE(r.ok());
    p.loop.Stop();
  });
  p.loop.Run();
  EXPECT_EQ(seen, big);
  EXPECT_EQ(fds, 1u);
  e.mutable_start()->set_config_yaml(std::string(limits::kMaxMessageBytes + 1, 'x'));
  EXPECT_EQ(p.client->Send(e).error().code(), ErrorCode::kResourceExhausted);
}

TEST(Channel, EveryCallEndsWhenThePeerGoes) {
  Pair p([](Message, Channel::Reply) {});
  std::string code;
  std::vector<Channel::Reply> keep;
  p.client->Call(Drain(9), {}, seconds(60), [&](Result<Message> r) { code = ErrorCodeName(r.error().code()); });
  p.server.reset();
  for (int i = 0; i < 5; ++i) p.loop.RunReady();
  EXPECT_EQ(code, "UNAVAILABLE");
  EXPECT_EQ(p.client_closed, 1);
  EXPECT_FALSE(p.client->open());
  EXPECT_EQ(p.client->Send(Drain(1)).error().code(), ErrorCode::kUnavailable);
}

TEST(Channel, MayBeDestroyedByAnAnswer) {
  Pair p([](Message, Channel::Reply) {});
  int answered = 0;
  for (int i = 0; i < 2; ++i) {
    p.client->Call(Drain(9), {}, seconds(60), [&](Result<Message> r) {
      EXPECT_FALSE(r.ok());
      ++answered;
      p.client.reset();
    });
  }
  p.server.reset();
  for (int i = 0; i < 5; ++i) p.loop.RunReady();
  EXPECT_EQ(answered, 2);
}

TEST(Channel, NothingRunsInsideACallThatCannotBeSent) {
  Pair p([](Message, Channel::Reply) {});
  p.server.reset();
  int answered = 0;
  p.client->Call(Drain(9), {}, seconds(60), [&](Result<Message>) { ++answered; });
  EXPECT_EQ(answered, 0);
  for (int i = 0; i < 5; ++i) p.loop.RunReady();
  EXPECT_EQ(answered, 1);
}

TEST(Channel, PeerThatDoesNotReadIsTakenForDead) {
  auto fds = std::move(*MakePacketPair());
  Loop loop;
  std::string why;
  Channel c(
      loop, std::move(fds.first), "mute", [](Message, Channel::Reply) {}, [&](const Error& e) { why = e.message(); });
  Status s = Ok();
  size_t sent = 0;
  while (s.ok() && sent < 2 * limits::kMaxQueuedMessages) {
    s = c.Send(Drain(1));
    ++sent;
  }
  EXPECT_EQ(s.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_GT(sent, limits::kMaxQueuedMessages);
  loop.RunReady();
  EXPECT_THAT(why, testing::HasSubstr("queue is full"));
}

// Whoever is let go in the round in which it becomes ready leaves its event to nobody.
TEST(Loop, AnEventIsNeverTakenForThatOfTheNextDescriptor) {
  Loop loop;
  std::vector<UniqueFd> ready;
  std::vector<FdWatch> old(32), next(32);
  const UniqueFd silent(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::vector<UniqueFd> copies;
  int wrong = 0;
  for (size_t i = 0; i < old.size(); ++i) {
    ready.emplace_back(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    old[i] = loop.Watch(ready[i].get(), [&] {
      // The first that runs lets all go, itself too, and others take their places.
      if (!copies.empty()) return;
      for (FdWatch& w : old) w = FdWatch();
      for (FdWatch& w : next) {
        copies.emplace_back(fcntl(silent.get(), F_DUPFD_CLOEXEC, 0));
        w = loop.Watch(copies.back().get(), [&] { ++wrong; });
      }
    });
  }
  loop.RunFor(milliseconds(50));
  EXPECT_EQ(copies.size(), next.size());
  EXPECT_EQ(wrong, 0);
}

TEST(Channel, PeerThatDoesNotReadIsTakenForDeadByTheBytesItLeaves) {
  auto fds = std::move(*MakePacketPair());
  Loop loop;
  std::string why;
  Channel c(
      loop, std::move(fds.first), "mute", [](Message, Channel::Reply) {}, [&](const Error& e) { why = e.message(); });
  Envelope e;
  e.mutable_park()->set_state(std::string(limits::kMaxInlineMessageBytes / 2, 'x'));
  size_t sent = 0;
  while (sent < 2 * limits::kMaxQueuedBytes && c.Send(e).ok()) sent += e.ByteSizeLong();
  EXPECT_GT(sent + e.ByteSizeLong(), limits::kMaxQueuedBytes);
  EXPECT_LT(sent, 2 * limits::kMaxQueuedBytes);
  loop.RunReady();
  EXPECT_THAT(why, testing::HasSubstr("queue is full"));
}

// A queue of many messages with the same descriptors costs none of its own.
TEST(Channel, SharedDescriptorsWaitWithoutDuplicates) {
  auto fds = std::move(*MakePacketPair());
  Loop loop;
  Channel c(
      loop, std::move(fds.first), "mute", [](Message, Channel::Reply) {}, [](const Error&) {});
  std::vector<UniqueFd> one;
  one.push_back(UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)));
  const auto shared = std::make_shared<const std::vector<UniqueFd>>(std::move(one));
  const int before = CountFds();
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(c.SendShared(Drain(1), shared).ok());
  EXPECT_EQ(CountFds(), before);
  for (int i = 0; i < 10; ++i) {
    const Result<Packet> p = ReceivePacket(fds.second.get());
    ASSERT_TRUE(p.ok());
    EXPECT_EQ(p->fds.size(), 1U);
  }
}

TEST(Channel, QueuedMessagesArriveInOrder) {
  std::vector<uint32_t> seen;
  Pair p([&](Message m, Channel::Reply) {
    seen.push_back(m.body.drain().deadline_ms());
    if (seen.size() == 3000) p.loop.Stop();
  });
  for (uint32_t i = 0; i < 3000; ++i) ASSERT_TRUE(p.client->Send(Drain(i)).ok());
  p.loop.Run();
  for (uint32_t i = 0; i < 3000; ++i) ASSERT_EQ(seen[i], i);
}

TEST(Channel, GarbageClosesIt) {
  auto fds = std::move(*MakePacketPair());
  Loop loop;
  int closed = 0;
  Channel c(
      loop, std::move(fds.first), "garbage", [](Message, Channel::Reply) {}, [&](const Error&) { ++closed; });
  ASSERT_TRUE(SendPacket(fds.second.get(), AsBytes("\x07garbage"), {}).ok());
  loop.RunFor(seconds(5));
  EXPECT_EQ(closed, 1);
}

// The bound that a sender keeps to is the receiver's too, and what is read cannot change meanwhile.
TEST(Channel, AMessageOfAnotherSenderIsHeldToTheSameBound) {
  struct Case {
    size_t size;
    int seals;
    ErrorCode code;
  };
  for (const auto& [size, seals, code] :
       {Case{limits::kMaxMessageBytes + 1, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW, ErrorCode::kResourceExhausted},
        Case{limits::kMaxMessageBytes, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW, ErrorCode::kDataLoss},  // malformed
        Case{100, F_SEAL_SHRINK | F_SEAL_GROW, ErrorCode::kInvalidArgument},
        Case{100, F_SEAL_WRITE | F_SEAL_GROW, ErrorCode::kInvalidArgument}}) {
    auto fds = std::move(*MakePacketPair());
    Loop loop;
    std::optional<Error> closed;
    Channel c(
        loop, std::move(fds.first), "other", [](Message, Channel::Reply) {}, [&](const Error& e) { closed = e; });
    const UniqueFd memfd(memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(ftruncate(memfd.get(), static_cast<off_t>(size)), 0);
    ASSERT_EQ(fcntl(memfd.get(), F_ADD_SEALS, seals), 0);
    const int fd = memfd.get();
    ASSERT_TRUE(SendPacket(fds.second.get(), AsBytes("\x02"), std::span<const int>(&fd, 1)).ok());
    loop.RunFor(seconds(5));
    ASSERT_TRUE(closed.has_value());
    EXPECT_EQ(closed->code(), code) << closed->ToString();
  }
}

TEST(Process, SpawnsWithExactDescriptorsAndReportsExecFailure) {
  int p[2];
  ASSERT_EQ(pipe2(p, O_CLOEXEC), 0);
  UniqueFd r(p[0]), w(p[1]);
  auto child = SpawnChild({{"/bin/sh", "-c", "echo $A >&7; ls /proc/self/fd | wc -l >&7; exit 5"},
                           {"A=b", "PATH=/usr/bin:/bin"},
                           {{7, w.get()}},
                           {}});
  ASSERT_TRUE(child.ok()) << child.error().ToString();
  w.reset();
  std::string out;
  char buffer[64];
  for (ssize_t n = 0; (n = read(r.get(), buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<size_t>(n));
  EXPECT_THAT(out, testing::StartsWith("b\n"));
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PIDFD, static_cast<id_t>(child->pidfd.get()), &info, WEXITED | WNOWAIT), 0);
  const auto status = ReapChild(child->pidfd.get());
  ASSERT_TRUE(status.ok() && status->has_value());
  EXPECT_EQ(DescribeWaitStatus(**status), "exit code 5");
  EXPECT_EQ(SpawnChild({{"/no/such"}, {}, {}, {}}).error().code(), ErrorCode::kNotFound);
}

TEST(Process, PidfdFactsAgree) {
  auto self = OpenPidfd(getpid());
  ASSERT_TRUE(self.ok());
  EXPECT_EQ(*PidfdPid(self->get()), getpid());
  EXPECT_GT(*ProcessStartTime(getpid()), 0u);
  EXPECT_EQ(BootId()->size(), 36u);
  const auto info = GetPidfdInfo(self->get());
  if (info.ok()) {
    EXPECT_EQ(info->pid, static_cast<uint32_t>(getpid()));
    EXPECT_EQ(info->ruid, getuid());
    EXPECT_GT(*PidfdInode(self->get()), 0u);
  } else {
    EXPECT_EQ(info.error().code(), ErrorCode::kUnimplemented);
  }
  EXPECT_FALSE(OpenPidfd(0x3fffffff).ok());
}

TEST(Process, RestrictionsAreWhatAProcessCannotTakeOff) {
  const Restrictions mine = RestrictionsOf(getpid()).value();
  EXPECT_EQ(mine.pid_namespaces, 1u);
  EXPECT_FALSE(mine.namespace_init);
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    const sock_fprog program{1, allow};
    const bool done =
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    (void)!write(ready[1], done ? "y" : "n", 1);
    pause();
    _exit(0);
  }
  char c = 0;
  ASSERT_EQ(read(ready[0], &c, 1), 1);
  EXPECT_EQ(c, 'y');
  const Restrictions its = RestrictionsOf(pid).value();
  EXPECT_EQ(its.filters, mine.filters + 1);
  EXPECT_TRUE(its.no_new_privs);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  EXPECT_FALSE(RestrictionsOf(pid).ok());
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace hexr::runtime
