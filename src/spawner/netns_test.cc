// Listeners of an agent's network, as the kernel has them.
#include "spawner/netns.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <fstream>

#include "base/limits/agents.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {
namespace {

TEST(NetnsTest, SoManyConnectionsWaitAtAListener) {
  ListenerSpec l;
  l.kind = "proxy";
  l.address = {127, 0, 0, 1};
  const runtime::UniqueFd listener(OpenListener(l));
  ASSERT_TRUE(listener);
  tcp_info info{};
  socklen_t n = sizeof info;
  ASSERT_EQ(getsockopt(listener.get(), IPPROTO_TCP, TCP_INFO, &info, &n), 0);
  int machine = 0;
  std::ifstream("/proc/sys/net/core/somaxconn") >> machine;
  ASSERT_GT(machine, 0);
  EXPECT_EQ(info.tcpi_sacked, static_cast<uint32_t>(std::min(machine, limits::kAgentListenBacklog)));
}

}  // namespace
}  // namespace hexr::spawner
