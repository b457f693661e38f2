// Execs of real agents: what is asked before, what is attested after, what survives a change of the handler.
#include "spawner/exec_watch.h"

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
  // Whoever watched is gone, and the exec that the script makes once it has read a line waits for the next.
  bool LeaveAnExecWaiting() {
    Watch();
    Until([&] { return agent->HasOutput(); });
    watch.reset();
    agent->Input("\n");
    agent->Line();
    pollfd p{agent->handles().exec_listener.get(), POLLIN, 0};
    return poll(&p, 1, 20'000) == 1;
  }
  // The journal as a successor has it: the memory by its descriptor alone.
  Status AdoptJournal() {
    ASSIGN_OR_RETURN(ExecJournal adopted, ExecJournal::Adopt(UniqueFd(fcntl(journal->fd(), F_DUPFD_CLOEXEC, 3))));
    journal = std::make_unique<ExecJournal>(std::move(adopted));
    return Ok();
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
    ASSERT_TRUE(w.LeaveAnExecWaiting());
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
    ASSERT_TRUE(w.AdoptJournal().ok());
    w.hold = false;
    w.Watch(/*launching=*/false);
    ASSERT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_EQ(w.starting, 2) << "identity is taken away by whoever answers";
    EXPECT_EQ(w.attested[0], "cat");
  });
}

// INV-SPAWN-08, where the kernel has given a notification out and its receiver never came back from the call.
TEST_P(ExecWatchTest, ASuccessorAnswersWhatItsPredecessorWasKilledReceiving) {
  As(GetParam(), [] {
    Watched w(std::string(kWaitForInput) + "os.execv('/usr/bin/cat',['cat'])");
    ASSERT_TRUE(w.agent->started().ok());
    ASSERT_TRUE(w.LeaveAnExecWaiting());
    ASSERT_TRUE(w.journal->Receive(w.agent->handles().exec_listener.get()));
    EXPECT_EQ(w.UsedSlots(), 0);
    ASSERT_TRUE(w.AdoptJournal().ok());
    EXPECT_EQ(w.UsedSlots(), 1);
    w.Watch(/*launching=*/false);
    ASSERT_TRUE(w.Until([&] { return w.attested.size() == 1; }));
    EXPECT_EQ(w.attested[0], "cat");
    EXPECT_EQ(w.UsedSlots(), 0);
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

}  // namespace
}  // namespace hexr::spawner
