// What is a part of an instance whose children share its identity: what it has made, held at least as it is itself.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "identity/testing/service_fixture.h"

namespace hexr::identity {
namespace {

using testing::EvidenceOf;
using testing::Puppet;

class Parts : public testing::ServiceTest {
 protected:
  // How the child of an agent fares; the agent is held by `own` alone, both by `both`.
  using Hold = void (*)();
  ErrorCode CodeOfChild(Hold both, Hold own, const std::string& cgroup = "") {
    Puppet agent([both, own](int go, int ready) {
      both();
      const pid_t child = ::fork();
      if (child == 0) {
        for (char c = 0; ::read(go, &c, 1) == 1;) {  // until the test lets go of it
        }
        ::_exit(0);
      }
      own();
      char c = 0;
      if (::write(ready, &child, sizeof child) == sizeof child) (void)!::read(go, &c, 1);
    });
    pid_t child = 0;
    EXPECT_EQ(::read(agent.ready(), &child, sizeof child), static_cast<ssize_t>(sizeof child));
    Registration r{InstanceId::Make(++count, "0123456789"),
                   *IdSegment::Parse("acme"),
                   *IdSegment::Parse("crew"),
                   *IdSegment::Parse("writer"),
                   *reader->Identify(EvidenceOf(agent.pid())),
                   std::move(*runtime::OpenPidfd(agent.pid())),
                   {"/usr/bin/python3", {}, "", {}},
                   {},
                   {},
                   {},
                   {"python3"}};
    r.children_inherit = true;
    r.cgroup = cgroup;
    EXPECT_TRUE(core->registry().Register(std::move(r)).ok());
    const auto caller = core->Authenticate(EvidenceOf(child));
    return caller.ok() ? ErrorCode{0} : caller.error().code();
  }
  static void Free() {}
  static void NoNewPrivileges() { ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
  static void Filtered() {
    NoNewPrivileges();
    sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const sock_fprog program{1, &allow};
    ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
  }
};

TEST_F(Parts, WhoIsHeldAsTheInstanceIsOrMoreIsOne) {
  EXPECT_EQ(CodeOfChild(Free, Free), ErrorCode{0});
  EXPECT_EQ(CodeOfChild(NoNewPrivileges, Free), ErrorCode{0});
  EXPECT_EQ(CodeOfChild(Filtered, Free), ErrorCode{0});
}

// As somebody does who enters it from outside: each thing that holds the agent and not him tells.
TEST_F(Parts, WhoIsHeldByLessIsNone) {
  EXPECT_EQ(CodeOfChild(Free, NoNewPrivileges), ErrorCode::kPermissionDenied);
  EXPECT_EQ(CodeOfChild(NoNewPrivileges, Filtered), ErrorCode::kPermissionDenied) << "a filter less";
  EXPECT_EQ(CodeOfChild(Filtered, Filtered), ErrorCode::kPermissionDenied) << "one of two";
  EXPECT_EQ(CodeOfChild(Free, Free, "/hexr-agents/of-another"), ErrorCode::kPermissionDenied) << "not in its group";
}

}  // namespace
}  // namespace hexr::identity
