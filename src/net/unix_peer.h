// Who writes on a Unix stream socket, message by message, as the kernel says it. A connection alone proves little: its
// descriptor can be inherited or passed on. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/limits/identity.h"
#include "base/result.h"
#include "runtime/unique_fd.h"

namespace hexr::net {

// The process that wrote some bytes. Nothing in it comes from what the process wrote.
struct PeerEvidence {
  int64_t pid = 0;  // in our PID namespace; 0: a process that our namespace cannot name
  uint32_t uid = 0;
  uint32_t gid = 0;
  runtime::UniqueFd pidfd;  // SCM_PIDFD (kernel 6.5 and later); none in the lower tier
};

enum class PeerTier : uint8_t {
  kPidfd,        // SO_PASSPIDFD and SO_PASSCRED: a handle of the very process
  kCredentials,  // SO_PASSCRED alone: pid, uid and gid at the moment of writing
};

// Asks the kernel to name the writer of everything that arrives on `socket`. Set on a listener, it holds for every
// connection it accepts, from the first byte on. Returns the tier that works here; `best` forces a lower one.
Result<PeerTier> EnablePeerEvidence(int socket, PeerTier best = PeerTier::kPidfd);

// The process that made the connection (SO_PEERCRED, SO_PEERPIDFD). Not necessarily the one that writes on it.
Result<PeerEvidence> ConnectorOf(int socket);

struct ReceivedBytes {
  size_t size = 0;      // 0: the end
  PeerEvidence writer;  // of all of these bytes: the kernel never glues two writers' bytes together
};
// kNone is for sockets that have none, in tests.
enum class Evidence : uint8_t { kRequired, kNone };
// One recvmsg. NOT_FOUND: nothing there now. UNAVAILABLE: the connection is gone. PERMISSION_DENIED: bytes without
// evidence. Descriptors that the peer sends along are closed unseen.
Result<ReceivedBytes> ReceiveWithEvidence(int socket, std::span<uint8_t> buffer,
                                          Evidence evidence = Evidence::kRequired);

// Numbers the processes that write on one connection: the same process has the same number for as long as it lives.
class WriterTable {
 public:
  struct Writer {
    uint64_t tag = 0;
    PeerEvidence evidence;
  };

  // `next_tag` outlives the table and may be shared by many: tags are then unique among them. It begins at 1.
  explicit WriterTable(uint64_t& next_tag) : next_tag_(next_tag) {}

  // Takes the evidence over. RESOURCE_EXHAUSTED beyond limits::kMaxWritersPerConnection.
  Result<uint64_t> TagOf(PeerEvidence evidence);
  // Null for a number that is not of this table. Valid until the table is gone.
  const PeerEvidence* Find(uint64_t tag) const;

 private:
  struct Entry {
    Writer writer;
    uint64_t pidfd_inode = 0;  // kernel 6.9 and later
    uint64_t start_time = 0;   // where there is no inode
  };
  bool Matches(const Entry& entry, const PeerEvidence& evidence, uint64_t inode, uint64_t start_time) const;

  uint64_t& next_tag_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace hexr::net
