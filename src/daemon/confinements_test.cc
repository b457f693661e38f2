// What a role that has been taken over tries on a plain user's node, where everything belongs to the user that it runs
// as: the keys' files and the operator's socket.
#include "daemon/confinements.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "net/listener.h"
#include "runtime/testing/in_child.h"
#include "runtime/unique_fd.h"

namespace hexr::daemon {
namespace {

using runtime::Confinement;
using runtime::UniqueFd;
using runtime::testing::InChild;
using runtime::testing::kLandlockAbi;

constexpr uid_t kNodeUser = 12345;  // whom these tests become where they run as root

// The places of a node, with what has to be kept from its gateways and its courier.
class PlainUsersNode : public ::testing::Test {
 protected:
  PlainUsersNode() {
    char folder[] = "/tmp/hexr-conf-XXXXXX";
    home_ = mkdtemp(folder);
    Make(home_ + "/state");
    Make(home_ + "/run", 0755);
    Make(home_ + "/run/private");
    for (const char* file : {"/state/machine.key", "/run/private/hexrd.pid"}) {
      std::ofstream(home_ + file) << "x";
      Own(home_ + file, 0600);
    }
    auto admin = net::BindUnix(Admin(), SOCK_SEQPACKET, 0600);
    EXPECT_TRUE(admin.ok());
    admin_ = std::move(*admin);
    Own(Admin(), 0600);
    Own(home_, 0755);
  }
  ~PlainUsersNode() override { std::filesystem::remove_all(home_); }

  static void Own(const std::string& path, mode_t mode) {
    EXPECT_TRUE(geteuid() != 0 || chown(path.c_str(), kNodeUser, kNodeUser) == 0);
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
  }
  static void Make(const std::string& path, mode_t mode = 0700) {
    EXPECT_EQ(mkdir(path.c_str(), mode), 0);
    Own(path, mode);
  }
  std::string Admin() const { return home_ + "/run/private/admin.sock"; }

  // Becomes the node's user.
  static bool BecomeNode() {
    return geteuid() != 0 ||
           (setresgid(kNodeUser, kNodeUser, kNodeUser) == 0 && setresuid(kNodeUser, kNodeUser, kNodeUser) == 0);
  }
  static int Connect(int socket, const std::string& path) {
    sockaddr_un a{AF_UNIX, {}};
    path.copy(a.sun_path, sizeof a.sun_path - 1);
    return connect(socket, reinterpret_cast<const sockaddr*>(&a), sizeof a);
  }
  // "" when each attempt is refused; the first that is not, else.
  std::string AttemptsOf(const Confinement& confinement) const {
    return InChild([&]() -> std::string {
      if (!BecomeNode()) return "still root";
      const auto c = runtime::Confine(confinement);
      if (!c.ok()) return c.error().ToString();
      if (kLandlockAbi == 0) return "";  // nothing to test on this kernel; doctor says so
      EXPECT_REFUSED(open((home_ + "/state").c_str(), O_RDONLY | O_DIRECTORY), EACCES);
      EXPECT_REFUSED(open((home_ + "/state/machine.key").c_str(), O_RDONLY), EACCES);
      EXPECT_REFUSED(open((home_ + "/state/machine.key").c_str(), O_WRONLY | O_APPEND), EACCES);
      EXPECT_REFUSED(open((home_ + "/state/new").c_str(), O_CREAT | O_WRONLY, 0600), EACCES);
      EXPECT_REFUSED(open((home_ + "/run/private").c_str(), O_RDONLY | O_DIRECTORY), EACCES);
      EXPECT_REFUSED(open((home_ + "/run/private/hexrd.pid").c_str(), O_RDONLY), EACCES);
      EXPECT_REFUSED(open("/proc/self/mem", O_RDWR), EACCES);
      EXPECT_DONE(open("/etc/nsswitch.conf", O_RDONLY));
      // No new socket on a path, and none of those that it may have leads there.
      EXPECT_REFUSED(socket(AF_UNIX, SOCK_SEQPACKET, 0), EPERM);
      for (const int type : {SOCK_SEQPACKET, SOCK_STREAM, SOCK_DGRAM}) {
        int pair[2];
        EXPECT_DONE(socketpair(AF_UNIX, type, 0, pair));
        if (Connect(pair[0], Admin()) == 0) return "a pair's end reaches the operator's door";
        close(pair[1]);
        if (Connect(pair[0], Admin()) == 0) return "a pair's end that is left alone reaches the operator's door";
      }
      return "";
    });
  }

  std::string home_;
  UniqueFd admin_;
};

TEST_F(PlainUsersNode, AGatewayReachesNeitherTheKeysNorTheOperatorsDoor) {
  EXPECT_EQ(AttemptsOf(GatewayConfinement(std::nullopt)), "");
}

TEST_F(PlainUsersNode, TheCourierReachesNeitherTheKeysNorTheOperatorsDoor) {
  EXPECT_EQ(AttemptsOf(CourierConfinement(std::nullopt)), "");
}

// What stops them above is the confinement: the user may do all of it.
TEST_F(PlainUsersNode, ItsUserReachesBoth) {
  EXPECT_EQ(InChild([&]() -> std::string {
              if (!BecomeNode()) return "still root";
              EXPECT_DONE(open((home_ + "/state").c_str(), O_RDONLY | O_DIRECTORY));
              EXPECT_DONE(open((home_ + "/state/machine.key").c_str(), O_RDWR));
              EXPECT_DONE(open((home_ + "/run/private/hexrd.pid").c_str(), O_RDONLY));
              EXPECT_DONE(Connect(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0), Admin()));
              return "";
            }),
            "");
}

// The keeper works in its state, and changes nothing else of the user's.
TEST_F(PlainUsersNode, TheKeeperWritesItsStateAlone) {
  EXPECT_EQ(InChild([&]() -> std::string {
              if (!BecomeNode()) return "still root";
              const auto c = runtime::Confine(KeeperConfinement(home_ + "/state"));
              if (!c.ok()) return c.error().ToString();
              if (kLandlockAbi == 0) return "";
              EXPECT_DONE(open((home_ + "/state/machine.key").c_str(), O_RDWR));
              EXPECT_REFUSED(open((home_ + "/run/private/hexrd.pid").c_str(), O_RDWR), EACCES);
              EXPECT_REFUSED(open((home_ + "/new").c_str(), O_CREAT | O_WRONLY, 0600), EACCES);
              EXPECT_REFUSED(socket(AF_INET, SOCK_STREAM, 0), EPERM);
              return "";
            }),
            "");
}

// As root each has a user of its own, and no capability that would take its place.
TEST_F(PlainUsersNode, NeitherKeepsACapability) {
  for (const Confinement& c : {GatewayConfinement(200001), CourierConfinement(200002)}) {
    EXPECT_TRUE(c.become.has_value());
    EXPECT_TRUE(c.keep_capabilities.empty());
    EXPECT_TRUE(c.writable.empty());
    EXPECT_TRUE(c.limit_files);
  }
}

}  // namespace
}  // namespace hexr::daemon
