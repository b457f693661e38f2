// PID 1's loop by itself, in the order of events that its scheduler seldom makes.
#include "spawner/init.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/unique_fd.h"

namespace hexr::spawner {
namespace {

// An agent can be over before PID 1 has come to listen for the ends of children.
TEST(InitTest, AnAgentThatEndedBeforeAnybodyListenedIsReaped) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
  runtime::UniqueFd ours(pair[0]), theirs(pair[1]);
  fflush(nullptr);
  const pid_t init = fork();
  if (init == 0) {
    ours.reset();
    const pid_t agent = fork();
    if (agent == 0) _exit(3);
    siginfo_t info{};
    // Ended, and its SIGCHLD delivered to nobody; still to be reaped.
    if (waitid(P_PID, static_cast<id_t>(agent), &info, WEXITED | WNOWAIT) != 0) _exit(99);
    RunInit(agent, theirs.get(), -1);
  }
  theirs.reset();
  pollfd p{ours.get(), POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 20'000), 1) << "PID 1 waits for an agent that has ended";
  InitMessage m{};
  if ((p.revents & POLLIN) != 0) {
    ASSERT_EQ(recv(ours.get(), &m, sizeof m, MSG_DONTWAIT), static_cast<ssize_t>(sizeof m));
    EXPECT_EQ(m.kind, InitMessage::Kind::kEnded);
    EXPECT_EQ(WEXITSTATUS(m.value), 3);
  }
  ours.reset();  // ends it where it still waits
  int status = 0;
  EXPECT_EQ(waitpid(init, &status, 0), init);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace hexr::spawner
