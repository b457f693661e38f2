#include "spawner/netns.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/limits/agents.h"
#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

constexpr int kLoopbackIndex = 1;  // the first interface of every new network namespace

// One rtnetlink request in a fixed buffer (rtnetlink(7)).
template <class Body>
class Request {
 public:
  Request(uint16_t type, uint16_t flags) {
    header().nlmsg_len = NLMSG_LENGTH(sizeof(Body));
    header().nlmsg_type = type;
    header().nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  }
  Body& body() { return *static_cast<Body*>(NLMSG_DATA(&header())); }
  void Attribute(uint16_t type, const void* data, size_t size) {
    auto* attribute = reinterpret_cast<rtattr*>(buffer_ + NLMSG_ALIGN(header().nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    memcpy(RTA_DATA(attribute), data, size);
    header().nlmsg_len = static_cast<uint32_t>(NLMSG_ALIGN(header().nlmsg_len) + RTA_ALIGN(attribute->rta_len));
  }
  // Zero or the errno of the kernel's answer.
  int Do(int socket) {
    if (send(socket, buffer_, header().nlmsg_len, 0) < 0) return errno;
    alignas(nlmsghdr) char answer[1024];
    const ssize_t n = recv(socket, answer, sizeof answer, 0);
    if (n < 0) return errno;
    const auto* reply = reinterpret_cast<const nlmsghdr*>(answer);
    if (static_cast<size_t>(n) < NLMSG_LENGTH(sizeof(nlmsgerr)) || reply->nlmsg_type != NLMSG_ERROR) return EPROTO;
    return -static_cast<const nlmsgerr*>(NLMSG_DATA(reply))->error;
  }

 private:
  nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(buffer_); }
  alignas(nlmsghdr) char buffer_[256] = {};
};

struct Address {
  uint8_t family;
  uint8_t size;
  uint8_t bytes[16];
};

Address ParseAddress(int family, const char* text) {
  Address a{static_cast<uint8_t>(family), static_cast<uint8_t>(family == AF_INET ? 4 : 16), {}};
  inet_pton(family, text, a.bytes);
  return a;
}

int LoopbackUp(int socket) {
  Request<ifinfomsg> r(RTM_NEWLINK, 0);
  r.body().ifi_index = kLoopbackIndex;
  r.body().ifi_flags = IFF_UP;
  r.body().ifi_change = IFF_UP;
  return r.Do(socket);
}

int AddAddress(int socket, const Address& a) {
  Request<ifaddrmsg> r(RTM_NEWADDR, NLM_F_CREATE);
  r.body().ifa_family = a.family;
  r.body().ifa_prefixlen = static_cast<uint8_t>(a.size * 8);
  r.body().ifa_index = kLoopbackIndex;
  // Nobody else is on this link: duplicate address detection would only delay the first connection.
  r.body().ifa_flags = a.family == AF_INET6 ? IFA_F_NODAD : 0;
  r.Attribute(IFA_LOCAL, a.bytes, a.size);
  r.Attribute(IFA_ADDRESS, a.bytes, a.size);
  return r.Do(socket);
}

// `local default dev lo src ADDRESS table local`: every address is one of ours (AnyIP).
int MakeAllLocal(int socket, const Address& source) {
  Request<rtmsg> r(RTM_NEWROUTE, NLM_F_CREATE);
  r.body().rtm_family = source.family;
  r.body().rtm_table = RT_TABLE_LOCAL;
  r.body().rtm_protocol = RTPROT_STATIC;
  r.body().rtm_scope = static_cast<uint8_t>(source.family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE);
  r.body().rtm_type = RTN_LOCAL;
  r.Attribute(RTA_OIF, &kLoopbackIndex, sizeof kLoopbackIndex);
  r.Attribute(RTA_PREFSRC, source.bytes, source.size);
  return r.Do(socket);
}

bool SetOption(int socket, int level, int option) {
  const int on = 1;
  return setsockopt(socket, level, option, &on, sizeof on) == 0;
}

}  // namespace

int SetUpLoopback(int& step) {
  step = 0;
  const int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (s < 0) return errno;
  const Address v4 = ParseAddress(AF_INET, kAgentIpv4);
  const Address v6 = ParseAddress(AF_INET6, kAgentIpv6);
  int error = 0;
  const auto next = [&](int e) {
    ++step;
    error = e;
    return e == 0;
  };
  (void)(next(LoopbackUp(s)) && next(AddAddress(s, v4)) && next(AddAddress(s, v6)) && next(MakeAllLocal(s, v4)) &&
         next(MakeAllLocal(s, v6)));
  close(s);
  return error;
}

int OpenListener(const ListenerSpec& spec) {
  const bool udp = spec.transport == ListenerSpec::Transport::kUdp;
  const int family = spec.v6 ? AF_INET6 : AF_INET;
  const int s = socket(family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s < 0) return -1;
  bool ok = SetOption(s, SOL_SOCKET, SO_REUSEADDR);
  if (spec.v6) ok = ok && SetOption(s, IPPROTO_IPV6, IPV6_V6ONLY);
  if (udp) {
    // The answer has to leave with the address that was asked; IPv6 allows that for an address that is only
    // routed here, not assigned, with freebind alone.
    ok = ok && (spec.v6 ? SetOption(s, IPPROTO_IPV6, IPV6_RECVPKTINFO) && SetOption(s, IPPROTO_IPV6, kIpv6Freebind)
                        : SetOption(s, IPPROTO_IP, IP_PKTINFO));
  }
  if (spec.v6) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(spec.port);
    memcpy(&a.sin6_addr, spec.address.data(), 16);
    ok = ok && bind(s, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
  } else {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(spec.port);
    memcpy(&a.sin_addr, spec.address.data(), 4);
    ok = ok && bind(s, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
  }
  if (ok && !udp) ok = listen(s, limits::kAgentListenBacklog) == 0;
  if (ok) return s;
  const int e = errno;
  close(s);
  errno = e;
  return -1;
}

}  // namespace hexr::spawner
