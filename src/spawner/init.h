// PID 1 of an agent's PID namespace: reaps, passes signals on, opens sockets on request, and takes everything with it
// when it ends.
//
// It runs in the memory of a forked spawner: system calls only, no allocation. It holds no capability and two
// descriptors: the agent's terminal, if there is one, and its end of the control pair (SOCK_SEQPACKET), which the
// spawner holds and the supervisor keeps a duplicate of: end of file there means that the node is gone, and the agent
// ends with it.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace hexr::spawner {

// One control message. Requests carry a serial that the answer repeats.
struct InitMessage {
  enum class Kind : uint32_t {
    kSignal = 1,  // → PID 1: value = signal for the agent
    kSocket =
        2,  // → PID 1: value = AF_INET or AF_INET6: a TCP socket made in there; answered with kSocket and 1 descriptor
    kStopped = 3,  // PID 1 →: the agent was stopped; value = signal
    kContinued = 4,
    kEnded = 5,  // value = wait(2) status; the last message
  };
  Kind kind;
  int32_t value;
  uint64_t serial;
};

// `terminal`: the slave, or -1. A signal that a terminal sends reaches the agent's whole group, others the agent alone.
[[noreturn]] void RunInit(pid_t agent, int control, int terminal);

}  // namespace hexr::spawner
