// Execs of real agents: what is asked before, what is attested after, what survives a change of the handler.
#include "spawner/exec_watch.h"

#include <fstream>

#include "base/clock.h"
#include "base/limits/agents.h"
#include "spawner/image.h"
#include "spawner/owner.h"
#include "spawner/testing/agent.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

class ExecWatchTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, ExecWatchTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

// An agent whose notifications the test answers itself: started, but its first exec has not been answered.
struct Watched {
  explicit Watched(const std::string& script) {
    AgentOptions o = Python(script);
    agent = std::make_unique<Agent>(std::move(o), /*answer_execs=*/false);
    auto made = ExecJournal::Create();
    if (made.ok()) journal = std::make_unique<ExecJournal>(std::move(*made));
  }
  ~Watched() { watch.reset(); }

  void Watch(bool launching = true) {
    watch.reset();
    ExecWatch::Events events;
    events.starting = [this](UniqueFunction<void(bool)> answer) {
      ++starting;
      if (hold)
        held.push_back(std::move(answer));
      else
        answer(allow);
    };
    events.settled = [this] {
      const auto program = OpenRunningProgram(agent->handles().agent_pid);
      attested.push_back(program.ok() ? program->path.substr(program->path.rfind('/') + 1)
                                      : program.error().ToString());
      if (attest) watch->Attested();
    };
    watch = std::make_unique<ExecWatch>(loop, agent->handles().agent_pid, agent->handles().exec_listener.get(),
                                        *journal, launching, std::move(events));
  }
  // Runs the loop until `done`, at most some seconds.
  bool Until(const std::function<bool()>& done) {
    const runtime::Timer busy = loop.After(std::chrono::hours(1), [] {});  // a loop without work does not wait
    for (int i = 0; i < 2000; ++i) {
      if (done()) return true;
      loop.RunFor(std::chrono::milliseconds(5));
    }
    return done();
  }
  int UsedSlots() {
    int n = 0;
    for (size_t i = 0; i < ExecJournal::kSlots; ++i) n += journal->slots()[i].state != ExecJournal::kFree;
    return n;
  }

  runtime::Loop loop;
  std::unique_ptr<Agent> agent;
  std::unique_ptr<ExecJournal> journal;
  int starting = 0;
  bool hold = false, allow = true, attest = true;
  std::vector<UniqueFunction<void(bool)>> held;
  std::vector<std::string> attested;
  std::unique_ptr<ExecWatch> watch;
};

constexpr char kWaitForInput[] = "import os,sys,subprocess\nprint('up',flush=True)\nsys.stdin.readline()\n";

TEST_P(ExecWatchTest, AsksBeforeTheRegisteredProcessExecsAndAttestsAfter) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) + "os.execv('/usr/bin/cat',['cat'])");
    ASSERT_TRUE(w.agent->started().ok()) << w.agent->started().error().ToString();
    w.Watch();
    w.Until([&] { return w.agent->HasOutput(); });
    EXPECT_EQ(w.agent->Line(), "up");
    EXPECT_EQ(w.starting, 0) << "the launch itself is not a change of identity";
    w.agent->Input("\n");
    EXPECT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_EQ(w.starting, 1);
    EXPECT_EQ(w.attested[0], "cat");
    EXPECT_EQ(w.UsedSlots(), 0);
  });
}

TEST_P(ExecWatchTest, TheImageDoesNotChangeBeforeTheAnswer) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) + "os.execv('/usr/bin/cat',['cat'])");
    ASSERT_TRUE(w.agent->started().ok());
    w.hold = true;
    w.Watch();
    w.agent->Input("\n");
    ASSERT_TRUE(w.Until([&] { return w.starting == 1; }));
    w.loop.RunFor(std::chrono::milliseconds(20));
    EXPECT_TRUE(w.watch->busy());
    EXPECT_NE(OpenRunningProgram(w.agent->handles().agent_pid)->path.find("python"), std::string::npos);
    w.held[0](true);
    EXPECT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_EQ(w.attested[0], "cat");
  });
}

TEST_P(ExecWatchTest, ChildrenExecWithoutAsking) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) +
              "subprocess.run(['true'],close_fds=True)\n"
              "subprocess.run(['sh','-c','true;/bin/true'])\nprint('done',flush=True)");
    ASSERT_TRUE(w.agent->started().ok());
    w.Watch();
    w.agent->Input("\n");
    ASSERT_TRUE(w.Until([&] { return w.agent->Ended(); }));
    EXPECT_EQ(w.agent->Output(), "up\ndone\n");
    EXPECT_EQ(w.starting, 0);
  });
}

TEST_P(ExecWatchTest, AFailedExecIsSettledWithTheOldImage) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) +
              "try: os.execv('/no/such',['x'])\n"
              "except OSError as e: print(e.strerror,flush=True)\nsys.stdin.readline()");
    ASSERT_TRUE(w.agent->started().ok());
    w.Watch();
    w.agent->Input("\n");
    ASSERT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_NE(w.attested[0].find("python"), std::string::npos);
    EXPECT_EQ(w.agent->Line(), "up");
    EXPECT_EQ(w.agent->Line(), "No such file or directory");
  });
}

// Each place of PATH is an exec that fails, and the next one begins before anybody has looked.
TEST_P(ExecWatchTest, ALongSearchAlongPathNeitherFillsTheJournalNorHangs) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) +
              "import ctypes\nlibc=ctypes.CDLL(None)\nargv=(ctypes.c_char_p*2)(b'x',None)\n"
              "for i in range(" +
              std::to_string(5 * ExecJournal::kSlots) +
              "): libc.execv(b'/no/such',argv)\n"
              "os.execv('/usr/bin/cat',['cat'])");
    ASSERT_TRUE(w.agent->started().ok());
    w.Watch();
    w.agent->Input("\n");
    ASSERT_TRUE(w.Until([&] { return !w.attested.empty() && w.attested.back() == "cat"; }));
    EXPECT_EQ(w.starting, static_cast<int>(5 * ExecJournal::kSlots + 1));
    EXPECT_TRUE(w.Until([&] { return w.UsedSlots() == 0; }));
  });
}

TEST_P(ExecWatchTest, ARefusedExecFailsAndTheProcessGoesOn) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) +
              "try: os.execv('/usr/bin/cat',['cat'])\n"
              "except OSError as e: print(e.errno,flush=True)\nsys.stdin.readline()");
    ASSERT_TRUE(w.agent->started().ok());
    w.allow = false;
    w.Watch();
    w.agent->Input("\n");
    ASSERT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_NE(w.attested[0].find("python"), std::string::npos);
    EXPECT_EQ(w.agent->Line(), "up");
    EXPECT_EQ(w.agent->Line(), std::to_string(EAGAIN));
  });
}

TEST_P(ExecWatchTest, AnExecOfAnotherThreadIsOneOfTheRegisteredProcess) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) +
              "import threading,time\nthreading.Thread(target=lambda: "
              "os.execv('/usr/bin/cat',['cat'])).start()\ntime.sleep(1000)");
    ASSERT_TRUE(w.agent->started().ok());
    w.Watch();
    w.agent->Input("\n");
    ASSERT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_EQ(w.starting, 1);
    EXPECT_EQ(w.attested[0], "cat");
  });
}

// The old memory is kept alive by a process that shares it: its end is then no sign, and the new image must still be
// seen as what it is, never as the old one.
TEST_P(ExecWatchTest, MemorySharedWithAChildDoesNotHideTheNewImage) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) +
              "import ctypes\nlibc=ctypes.CDLL(None)\n"
              "CLONE_VM=0x100\nstack=ctypes.create_string_buffer(65536)\n"
              "fn=ctypes.cast(libc.pause,ctypes.c_void_p)\n"
              "libc.clone(fn,ctypes.c_void_p(ctypes.addressof(stack)+65536-64),CLONE_VM|17,None)\n"
              "os.execv('/usr/bin/cat',['cat'])");
    ASSERT_TRUE(w.agent->started().ok());
    w.Watch();
    w.agent->Input("\n");
    ASSERT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_EQ(w.attested[0], "cat");
  });
}

TEST_P(ExecWatchTest, ASuccessorServesWhatWaitedMeanwhile) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) + "subprocess.run(['true'])\nprint('done',flush=True)\nsys.stdin.readline()");
    ASSERT_TRUE(w.agent->started().ok());
    w.Watch();
    w.Until([&] { return w.agent->HasOutput(); });
    w.watch.reset();  // nobody handles notifications now
    w.agent->Input("\n");
    w.agent->Line();
    pollfd p{w.agent->handles().exec_listener.get(), POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 20'000), 1);
    w.Watch(/*launching=*/false);
    ASSERT_TRUE(w.Until([&] { return w.agent->HasOutput(); }));
    EXPECT_EQ(w.agent->Line(), "done");
  });
}

// INV-SPAWN-08
TEST_P(ExecWatchTest, ASuccessorAnswersWhatItsPredecessorTookAndLeft) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) + "os.execv('/usr/bin/cat',['cat'])");
    ASSERT_TRUE(w.agent->started().ok());
    w.hold = true;
    w.Watch();
    w.agent->Input("\n");
    ASSERT_TRUE(w.Until([&] { return w.starting == 1; }));
    w.watch.reset();  // dies between taking and answering
    w.held.clear();
    EXPECT_EQ(w.UsedSlots(), 1);
    // The successor has the memory by its descriptor alone.
    auto adopted = ExecJournal::Adopt(UniqueFd(fcntl(w.journal->fd(), F_DUPFD_CLOEXEC, 3)));
    ASSERT_TRUE(adopted.ok()) << adopted.error().ToString();
    w.journal = std::make_unique<ExecJournal>(std::move(*adopted));
    w.hold = false;
    w.Watch(/*launching=*/false);
    ASSERT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_EQ(w.starting, 2) << "identity is taken away by whoever answers";
    EXPECT_EQ(w.attested[0], "cat");
  });
}

TEST_P(ExecWatchTest, AnExecThatWasContinuedIsAttestedByTheSuccessor) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) + "os.execv('/usr/bin/cat',['cat'])");
    ASSERT_TRUE(w.agent->started().ok());
    w.attest = false;  // dies after the exec, before the keeper was told
    w.Watch();
    w.agent->Input("\n");
    ASSERT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_EQ(w.UsedSlots(), 1);
    w.attest = true;
    w.Watch(/*launching=*/false);
    ASSERT_TRUE(w.Until([&] { return w.attested.size() == 2; }));
    EXPECT_EQ(w.attested[1], "cat");
    EXPECT_EQ(w.UsedSlots(), 0);
  });
}

// ---- images

TEST(ImageTest, DigestsAreRememberedUntilTheFileChanges) {
  const TempFolder folder;
  const std::string path = folder.path() + "/program";
  std::ofstream(path) << "one";
  runtime::Loop loop;
  ImageDigests images(loop);
  const auto measure = [&] {
    std::optional<Result<crypto::Sha256Digest>> got;
    images.Measure("x", UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC)),
                   [&](Result<crypto::Sha256Digest> r) { got = std::move(r); });
    EXPECT_FALSE(got.has_value()) << "never inside the call";
    while (!got) loop.RunFor(std::chrono::milliseconds(10));
    return got->value();
  };
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(images.Known(fd.get()).has_value());
  EXPECT_EQ(measure(), crypto::Sha256("one"));
  EXPECT_EQ(images.Known(fd.get()), crypto::Sha256("one"));
  std::ofstream(path) << "three";
  EXPECT_FALSE(images.Known(fd.get()).has_value());
  EXPECT_EQ(measure(), crypto::Sha256("three"));
}

TEST(ImageTest, OnlyRegularFilesAndNeverMoreThanTheBound) {
  runtime::Loop loop;
  ImageDigests images(loop);
  size_t refused = 0, failed = 0;
  const size_t n = limits::kMaxQueuedMeasurements + 64;
  for (size_t i = 0; i < n; ++i) {
    images.Measure("x", UniqueFd(open("/dev/zero", O_RDONLY | O_CLOEXEC)), [&](Result<crypto::Sha256Digest> r) {
      ASSERT_FALSE(r.ok());
      ++(r.error().code() == ErrorCode::kResourceExhausted ? refused : failed);
    });
  }
  while (refused + failed < n) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_GE(failed, 1u);
}

UniqueFd Sparse(const std::string& path, uint64_t size) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0700));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  return fd;
}

// INV-SPAWN-15: files that cost their maker nothing keep nobody else's launch from its digest.
TEST(ImageTest, WhoHasHugeFilesMeasuredHoldsUpNobodyElse) {
  const TempFolder folder;
  runtime::Loop loop;
  ImageDigests images(loop);
  size_t huge = 0, refused = 0;
  constexpr size_t kMore = 5;
  for (size_t i = 0; i < limits::kMaxQueuedMeasurementsOfOne + kMore; ++i) {
    images.Measure("agent", Sparse(folder.path() + "/" + std::to_string(i), limits::kMaxMeasuredFileBytes),
                   [&](const Result<crypto::Sha256Digest>& r) {
                     ++(!r.ok() && r.error().code() == ErrorCode::kResourceExhausted ? refused : huge);
                   });
  }
  std::optional<Result<crypto::Sha256Digest>> other;
  std::ofstream(folder.path() + "/program") << "one";
  images.Measure("uid:1000", UniqueFd(open((folder.path() + "/program").c_str(), O_RDONLY | O_CLOEXEC)),
                 [&](Result<crypto::Sha256Digest> r) { other = std::move(r); });
  while (!other) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(other->value(), crypto::Sha256("one"));
  EXPECT_EQ(huge, 0u) << "it had to wait for one that came before it";
  while (refused < kMore) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(refused, kMore);
}

TEST(ImageTest, BeyondTheBoundOfAllOnlyWhoWaitsForNothingIsLetIn) {
  const TempFolder folder;
  runtime::Loop loop;
  ImageDigests images(loop);
  size_t refused = 0;
  for (size_t party = 0; party < limits::kMaxQueuedMeasurements; party += limits::kMaxQueuedMeasurementsOfOne) {
    for (size_t i = 0; i < limits::kMaxQueuedMeasurementsOfOne; ++i) {
      const std::string name = std::to_string(party) + "." + std::to_string(i);
      images.Measure(name.substr(0, name.find('.')), Sparse(folder.path() + "/" + name, limits::kMaxMeasuredFileBytes),
                     [&](const Result<crypto::Sha256Digest>& r) { refused += r.ok() ? 0 : 1; });
    }
  }
  std::ofstream(folder.path() + "/program") << "one";
  std::vector<Result<crypto::Sha256Digest>> mine;
  for (int i = 0; i < 2; ++i) {
    images.Measure("late", UniqueFd(open((folder.path() + "/program").c_str(), O_RDONLY | O_CLOEXEC)),
                   [&](Result<crypto::Sha256Digest> r) { mine.push_back(std::move(r)); });
  }
  while (mine.size() < 2) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(refused, 0u);
  EXPECT_EQ(mine[0].error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(mine[1].value(), crypto::Sha256("one"));
}

TEST(ImageTest, AFileOfSeveralTurnsIsMeasuredWhole) {
  const TempFolder folder;
  const std::string content(2 * limits::kMeasuredBytesPerTurn + 5, 'x');
  std::ofstream(folder.path() + "/large") << content;
  runtime::Loop loop;
  ImageDigests images(loop);
  std::optional<Result<crypto::Sha256Digest>> got;
  images.Measure("x", UniqueFd(open((folder.path() + "/large").c_str(), O_PATH | O_CLOEXEC)),
                 [&](Result<crypto::Sha256Digest> r) { got = std::move(r); });
  while (!got) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(got->value(), crypto::Sha256(content));
}

TEST(ImageTest, AFileThatIsTooLargeIsNotMeasured) {
  const TempFolder folder;
  runtime::Loop loop;
  ImageDigests images(loop);
  std::optional<Result<crypto::Sha256Digest>> got;
  images.Measure("x", Sparse(folder.path() + "/huge", limits::kMaxMeasuredFileBytes + 1),
                 [&](Result<crypto::Sha256Digest> r) { got = std::move(r); });
  while (!got) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(got->error().code(), ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace hexr::spawner
