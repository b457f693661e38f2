// The network of an agent: a loopback on which every address is local, and the listeners that end its connections.
//
// Both functions run in the child between clone3 and exec: system calls only, no allocation. Needs CAP_NET_ADMIN and
// CAP_NET_BIND_SERVICE in the child's user namespace, which a fresh one has.
#pragma once

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <string>

namespace hexr::spawner {

// One socket that the agent will meet. `kind` and `name` travel to the gateway (node.proto, Listener).
struct ListenerSpec {
  enum class Transport : uint8_t { kTcp, kUdp };
  std::string kind;
  std::string name;
  Transport transport = Transport::kTcp;
  bool v6 = false;
  std::array<uint8_t, 16> address{};  // network order; the first 4 bytes where v6 is false; zeroes = any
  uint16_t port = 0;
};

// The private addresses on the loopback, so that getaddrinfo's AI_ADDRCONFIG sees both families. They are also the
// source of every connection: were it the destination, a socket could connect to itself (INV-SPAWN-06).
inline constexpr char kAgentIpv4[] = "10.255.0.2";
inline constexpr char kAgentIpv6[] = "fd00:6865:7872::2";

// Brings the loopback up, gives it both addresses and makes every address of both families local.
// Zero or an errno; `step` then says which of the five requests failed.
int SetUpLoopback(int& step);

// A bound, listening (TCP), non-blocking, close-on-exec socket, or -1 with errno.
int OpenListener(const ListenerSpec& spec);

}  // namespace hexr::spawner
