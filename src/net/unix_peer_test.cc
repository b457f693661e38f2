#include "net/unix_peer.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "base/limits/identity.h"
#include "net/listener.h"
#include "runtime/unix_socket.h"

namespace hexr::net {
namespace {

size_t OpenFds() {
  size_t n = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++n;
  closedir(dir);
  return n;
}

class UnixPeer : public ::testing::TestWithParam<PeerTier> {
 protected:
  UnixPeer() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    mine = runtime::UniqueFd(fds[0]);
    theirs = runtime::UniqueFd(fds[1]);
    EXPECT_TRUE(EnablePeerEvidence(mine.get(), GetParam()).ok());
  }
  void Send(std::string_view text) {
    EXPECT_EQ(send(theirs.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  static pid_t InChild(const std::function<void()>& f) {
    const pid_t pid = fork();
    if (pid == 0) {
      f();
      _exit(0);
    }
    waitpid(pid, nullptr, 0);
    return pid;
  }
  Result<ReceivedBytes> Receive() { return ReceiveWithEvidence(mine.get(), buffer); }

  runtime::UniqueFd mine, theirs;
  std::array<uint8_t, 4096> buffer{};
};

TEST_P(UnixPeer, NamesTheWriterNotTheConnector) {
  Send("parent");
  const pid_t child = InChild([this] { Send("child"); });
  Send("parent again");
  uint64_t next = 1;
  WriterTable table(next);
  std::vector<uint64_t> tags;
  for (const auto& [text, pid] :
       std::vector<std::pair<std::string, pid_t>>{{"parent", getpid()}, {"child", child}, {"parent again", getpid()}}) {
    auto got = Receive();
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(std::string(AsText(ByteView(buffer).first(got->size))), text) << "two writers' bytes are never glued";
    EXPECT_EQ(got->writer.pid, pid);
    EXPECT_EQ(got->writer.uid, geteuid());
    EXPECT_EQ(static_cast<bool>(got->writer.pidfd), GetParam() == PeerTier::kPidfd);
    tags.push_back(table.TagOf(std::move(got->writer)).value());
  }
  EXPECT_NE(tags[0], tags[1]);
  EXPECT_EQ(tags[0], tags[2]);
  EXPECT_EQ(table.Find(tags[1])->pid, child);
  EXPECT_EQ(table.Find(99), nullptr);
  EXPECT_EQ(Receive().error().code(), ErrorCode::kNotFound);
  theirs.reset();
  EXPECT_EQ(Receive().value().size, 0U);
}

TEST_P(UnixPeer, ClosesWhatThePeerSendsAlong) {
  const size_t before = OpenFds();
  for (const size_t count : {1U, 200U}) {
    std::vector<int> fds(count, 0);
    alignas(cmsghdr) char control[CMSG_SPACE(200 * sizeof(int))];
    char byte = 'x';
    iovec io{&byte, 1};
    msghdr m{};
    m.msg_iov = &io;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), count * sizeof(int));
    ASSERT_EQ(sendmsg(theirs.get(), &m, 0), 1);
    EXPECT_EQ(Receive().value().writer.pid, getpid());
  }
  EXPECT_EQ(OpenFds(), before);
}

TEST_P(UnixPeer, BoundsWriters) {
  uint64_t next = 1;
  WriterTable table(next);
  for (size_t i = 0; i <= limits::kMaxWritersPerConnection; ++i) {
    InChild([this] { Send("x"); });
    const auto tag = table.TagOf(std::move(Receive().value().writer));
    EXPECT_EQ(tag.ok(), i < limits::kMaxWritersPerConnection) << i;
  }
}

TEST_P(UnixPeer, TellsTwoLivesOfOnePidApart) {
  uint64_t next = 1;
  WriterTable table(next);
  const auto evidence = [] { return PeerEvidence{.pid = 0x7FFFFFF0, .uid = 1, .gid = 1, .pidfd = {}}; };
  // No such process: nothing says that two messages of this pid have one writer.
  EXPECT_NE(table.TagOf(evidence()).value(), table.TagOf(evidence()).value());
}

INSTANTIATE_TEST_SUITE_P(Tiers, UnixPeer, ::testing::Values(PeerTier::kPidfd, PeerTier::kCredentials));

TEST(UnixPeerTier, BytesWithoutEvidenceAreRefused) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const runtime::UniqueFd a(fds[0]);
  const runtime::UniqueFd b(fds[1]);
  ASSERT_EQ(send(b.get(), "x", 1, 0), 1);
  std::array<uint8_t, 10> buffer{};
  EXPECT_EQ(ReceiveWithEvidence(a.get(), buffer).error().code(), ErrorCode::kPermissionDenied);
}

TEST(BindUnix, ReplacesSocketsAlone) {
  char folder[] = "/tmp/hexr-net-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/s.sock";
  const auto first = BindUnix(path, SOCK_SEQPACKET, 0666);
  ASSERT_TRUE(first.ok()) << first.error().ToString();
  struct stat st {};
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0666U);
  EXPECT_TRUE(runtime::ConnectUnix(path, SOCK_SEQPACKET).ok());
  {
    const auto second = BindUnix(path, SOCK_STREAM, 0600);
    ASSERT_TRUE(second.ok()) << second.error().ToString();
    EXPECT_TRUE(runtime::ConnectUnix(path, SOCK_STREAM).ok());
  }
  EXPECT_EQ(runtime::ConnectUnix(path, SOCK_STREAM).error().code(), ErrorCode::kUnavailable) << "nobody listens";
  EXPECT_EQ(runtime::ConnectUnix(path + "x", SOCK_STREAM).error().code(), ErrorCode::kNotFound);
  const std::string file = std::string(folder) + "/file";
  runtime::UniqueFd(open(file.c_str(), O_CREAT | O_CLOEXEC | O_WRONLY, 0600)).reset();
  EXPECT_EQ(BindUnix(file, SOCK_STREAM, 0600).error().code(), ErrorCode::kFailedPrecondition);
  for (const std::string& bad : {std::string(), "/" + std::string(107, 'x')}) {
    EXPECT_EQ(BindUnix(bad, SOCK_STREAM, 0600).error().code(), ErrorCode::kFailedPrecondition);
    EXPECT_EQ(runtime::ConnectUnix(bad, SOCK_STREAM).error().code(), ErrorCode::kInvalidArgument);
  }
  unlink(path.c_str());
  unlink(file.c_str());
  rmdir(folder);
}

}  // namespace
}  // namespace hexr::net
