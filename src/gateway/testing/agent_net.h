// The network of an agent, for tests: a child process in a network namespace of its own, where all of 198.18.0.0/15,
// 93.184.0.0/16 and 169.254.0.0/16 ends at listeners whose descriptors the test holds. The child connects on request
// and hands the agent's end over too, so that a test plays both sides in one thread.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "gateway/egress/address.h"
#include "runtime/packet.h"

namespace hexr::gateway::testing {

class AgentNet {
 public:
  struct Port {
    bool udp;
    uint16_t port;
  };

  // Forks: call it before the test starts a thread. `ports` are opened on every address.
  static AgentNet Make(const std::vector<Port>& ports) {
    AgentNet net;
    auto pair = runtime::MakePacketPair();
    HEXR_CHECK(pair.ok());
    net.child_ = fork();
    HEXR_CHECK(net.child_ >= 0);
    if (net.child_ == 0) {
      pair->first.reset();
      Serve(pair->second.get(), ports);
    }
    net.socket_ = std::move(pair->first);
    auto hello = Receive(net.socket_.get());
    HEXR_CHECK(hello.ok() && AsText(hello->data) == "up" && hello->fds.size() == ports.size());
    net.listeners_ = std::move(hello->fds);
    for (const runtime::UniqueFd& l : net.listeners_) fcntl(l.get(), F_SETFL, O_NONBLOCK);
    return net;
  }
  AgentNet(AgentNet&& o) noexcept
      : socket_(std::move(o.socket_)), listeners_(std::move(o.listeners_)), child_(std::exchange(o.child_, -1)) {}
  ~AgentNet() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

  std::vector<runtime::UniqueFd>& listeners() { return listeners_; }

  // A socket of the agent's, blocking: TCP connected to `to` ("198.18.0.7:443"), or UDP likewise.
  runtime::UniqueFd Connect(const std::string& to, bool udp = false) {
    const std::string ask = (udp ? "u" : "t") + to;
    HEXR_CHECK(runtime::SendPacket(socket_.get(), AsBytes(ask), {}).ok());
    auto answer = Receive(socket_.get());
    HEXR_CHECK(answer.ok());
    if (answer->fds.empty()) return {};
    return std::move(answer->fds[0]);
  }

 private:
  AgentNet() = default;

  static Result<runtime::Packet> Receive(int socket_fd) {
    pollfd p{socket_fd, POLLIN, 0};
    while (poll(&p, 1, -1) < 0) {
    }
    return runtime::ReceivePacket(socket_fd);
  }

  static void Address(int s, const char* name, const char* address, const char* mask) {
    ifreq r{};
    std::strncpy(r.ifr_name, name, IFNAMSIZ - 1);
    sockaddr_in in{};
    in.sin_family = AF_INET;
    const auto set = [&](unsigned long what, const char* text) {
      inet_pton(AF_INET, text, &in.sin_addr);
      std::memcpy(&r.ifr_addr, &in, sizeof in);
      if (ioctl(s, what, &r) != 0) _exit(11);
    };
    set(SIOCSIFADDR, address);
    set(SIOCSIFNETMASK, mask);  // on a loopback device the whole prefix is local
  }

  [[noreturn]] static void Serve(int socket_fd, const std::vector<Port>& ports) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) != 0) _exit(10);
    const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq up{};
    std::strncpy(up.ifr_name, "lo", IFNAMSIZ - 1);
    up.ifr_flags = IFF_UP;
    if (ioctl(s, SIOCSIFFLAGS, &up) != 0) _exit(16);
    Address(s, "lo:1", "198.18.0.1", "255.254.0.0");
    Address(s, "lo:2", "93.184.0.1", "255.255.0.0");
    Address(s, "lo:3", "169.254.0.1", "255.255.0.0");
    std::vector<int> opened;
    for (const Port& p : ports) {
      const int l = socket(AF_INET, (p.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
      sockaddr_in any{};
      any.sin_family = AF_INET;
      any.sin_port = htons(p.port);
      if (bind(l, reinterpret_cast<sockaddr*>(&any), sizeof any) != 0) _exit(12);
      if (!p.udp && listen(l, 1024) != 0) _exit(13);
      opened.push_back(l);
    }
    if (!runtime::SendPacket(socket_fd, AsBytes("up"), opened).ok()) _exit(14);
    for (;;) {
      auto ask = Receive(socket_fd);
      if (!ask.ok()) _exit(0);
      const std::string text(AsText(ask->data).substr(1));
      const size_t colon = text.rfind(':');
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(static_cast<uint16_t>(std::stoi(text.substr(colon + 1))));
      inet_pton(AF_INET, text.substr(0, colon).c_str(), &to.sin_addr);
      const runtime::UniqueFd c(socket(AF_INET, (ask->data[0] == 'u' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
      const bool ok = connect(c.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
      const int fd = c.get();
      if (!runtime::SendPacket(socket_fd, AsBytes(ok ? "yes" : "no"),
                               ok ? std::span<const int>(&fd, 1) : std::span<const int>())
               .ok()) {
        _exit(15);
      }
    }
  }

  runtime::UniqueFd socket_;
  std::vector<runtime::UniqueFd> listeners_;
  pid_t child_ = -1;
};

}  // namespace hexr::gateway::testing
