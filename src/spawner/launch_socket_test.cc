#include "spawner/launch_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "spawner/testing/node.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

// A message that comes between accept and a later setsockopt would have no writer: the option is there from birth.
TEST(LaunchSocketTest, ConnectionsNameTheirWritersFromBirth) {
  const TempFolder folder;
  const std::string path = folder.path() + "/launch.sock";
  UniqueFd listener = ListenAt(path);
  const UniqueFd ours(fcntl(listener.get(), F_DUPFD_CLOEXEC, 3));
  runtime::Loop loop;
  const LaunchSocket socket(loop, std::move(listener), {});
  const UniqueFd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  snprintf(a.sun_path, sizeof a.sun_path, "%s", path.c_str());
  ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  const UniqueFd accepted(accept4(ours.get(), nullptr, nullptr, SOCK_CLOEXEC));
  int on = 0;
  socklen_t size = sizeof on;
  ASSERT_EQ(getsockopt(accepted.get(), SOL_SOCKET, SO_PASSCRED, &on, &size), 0);
  EXPECT_EQ(on, 1);
}

}  // namespace
}  // namespace hexr::spawner
