#include "identity/image_lookup.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "base/limits/identity.h"
#include "identity/process.h"
#include "identity/testing/puppet.h"
#include "runtime/confine.h"

namespace hexr::identity {
namespace {

using testing::Puppet;

// The keeper's own confinement, in a child: it cannot be taken back.
TEST(ImageLookup, SeesForAProcessUnderLandlockWhatThatMayNotSeeItself) {
  Puppet agent;
  const pid_t child = ::fork();
  if (child == 0) {
    auto lookup = ImageLookup::Start([] { return Ok(); });
    const auto confined = runtime::Confine({.limit_files = true, .readable = {"/"}});
    if (!lookup.ok() || !confined.ok()) ::_exit(1);
    const auto evidence = testing::EvidenceOf(agent.pid());
    const auto alone = ProcessReader().Read(evidence);
    const auto helped = ProcessReader(ProcessTier::kPidfdInfo, lookup->get()).Read(evidence);
    if (!alone.ok() || !helped.ok()) ::_exit(2);
    if (confined->landlock_abi > 0 && !alone->exe.empty()) ::_exit(3);  // the helper would not be needed
    if (helped->exe.empty() || !helped->exe_path_holds || !helped->exe_fd) ::_exit(4);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

// A file system of some user's, at the other end of an open(2), answers when it likes.
TEST(ImageLookup, ALookThatHangsCostsOneThreadAndNotTheHelper) {
  const auto look = [](int64_t pid) -> ImageLookup::Image {
    while (pid == 1) ::pause();
    return {.path = "/bin/" + std::to_string(pid), .fd = {}};
  };
  auto lookup = ImageLookup::Start([] { return Ok(); }, look);
  ASSERT_TRUE(lookup.ok());
  EXPECT_EQ((*lookup)->At(7).path, "/bin/7");
  for (size_t i = 0; i < limits::kMaxHungLooks; ++i) {
    EXPECT_EQ((*lookup)->At(1).path, "");
    EXPECT_EQ((*lookup)->At(8).path, "/bin/8") << i;
  }
  EXPECT_EQ((*lookup)->At(1).path, "");
  EXPECT_EQ((*lookup)->At(8).path, "") << "no thread is left";
  pollfd ended{(*lookup)->pidfd(), POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 0), 0) << "and the helper is there";
}

TEST(ImageLookup, AHelperThatHasEndedSeesNothing) {
  auto lookup = ImageLookup::Start([] { return Status(PermissionDenied("it cannot be confined")); });
  ASSERT_TRUE(lookup.ok());
  pollfd ended{(*lookup)->pidfd(), POLLIN, 0};
  ASSERT_EQ(::poll(&ended, 1, 10'000), 1);
  for (int i = 0; i < 2; ++i) {
    const auto image = (*lookup)->At(::getpid());
    EXPECT_TRUE(image.path.empty());
    EXPECT_FALSE(image.fd);
  }
}

}  // namespace
}  // namespace hexr::identity
