// Whose is a connection: from the addresses of a TCP socket inside an agent's network namespace to the process that
// holds it.
//
// The socket's inode comes from a SOCK_DIAG socket that was opened inside, the holder from /proc. A search finds *a*
// holder: fork shares sockets, and the first hit from the namespace's PID 1 down is the oldest. How long it takes is up
// to the agent, who has as many processes and descriptors as its bounds allow: it is made in steps, and instances take
// turns (INV-SPAWN-15). Belongs to one thread.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {

// Of the agent's socket. Network order; the first 4 bytes where v6 is false.
struct ConnectionAddress {
  bool v6 = false;
  std::array<uint8_t, 16> local{};
  uint16_t local_port = 0;
  std::array<uint8_t, 16> remote{};
  uint16_t remote_port = 0;
};

// NOT_FOUND when there is no such socket, or its holder has closed it already (the inode is 0 then).
Result<uint64_t> SocketInode(int diag, const ConnectionAddress& connection);

// One search under way. Holds at most two descriptors.
class HolderSearch {
 public:
  // `init` is the host's pid of the namespace's PID 1, `likely` a process to try first, or 0.
  HolderSearch(pid_t init, pid_t likely, uint64_t inode);
  HolderSearch(HolderSearch&&) noexcept;
  HolderSearch& operator=(HolderSearch&&) noexcept;
  ~HolderSearch();

  // Goes on for about `steps` looks of some microseconds. Nullopt: there is more to look at. NOT_FOUND: nobody
  // holds it any more, or the search has reached one of its bounds.
  std::optional<Result<pid_t>> Advance(size_t steps);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The whole search at once, for tools and tests.
Result<pid_t> FindHolder(pid_t init, pid_t likely, uint64_t inode);

// The searches of all instances, in turns: none waits for more than one turn of each other instance at a time.
class OwnerTurns {
 public:
  using Done = UniqueFunction<void(Result<pid_t>)>;

  // Both outlive this object.
  OwnerTurns(runtime::Loop& loop, const Clock& clock);
  OwnerTurns(const OwnerTurns&) = delete;
  OwnerTurns& operator=(const OwnerTurns&) = delete;

  // `done` runs once, in this call where the answer is near, else from the loop. As HolderSearch; RESOURCE_EXHAUSTED:
  // too many of this instance's wait already; DEADLINE_EXCEEDED: whoever asked does not wait any more.
  void Find(const std::string& instance, HolderSearch search, Done done);
  // Its searches end without an answer.
  void Forget(const std::string& instance);

 private:
  struct Waiting {
    HolderSearch search;
    Done done;
    MonoTime asked;
  };
  void Post();
  void Turn();

  runtime::Loop& loop_;
  const Clock& clock_;
  std::map<std::string, std::deque<Waiting>> waiting_;  // by instance, none empty
  std::deque<std::string> ring_;                        // instances with searches; the first is next
  bool posted_ = false;
  std::shared_ptr<OwnerTurns*> self_;  // turns that were posted do not outlive this object
};

}  // namespace hexr::spawner
