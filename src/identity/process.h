// What the kernel says about one process, and how sure that is.
//
// Three tiers, by kernel (docs/identity.md): the best one that works is used, a switch forces a lower one in tests.
// Stateless but for the tier; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits/identity.h"
#include "base/result.h"
#include "runtime/process.h"
#include "runtime/unique_fd.h"

namespace hexr::identity {

class ImageLookup;

// Names one process for the life of this boot, also after its pid has been given to another: by the pidfs inode where
// there is one (start_time may then be 0, not read), else by pid and start time together.
struct ProcessKey {
  int64_t pid = 0;           // in the node's PID namespace
  uint64_t start_time = 0;   // /proc/PID/stat field 22, clock ticks since boot
  uint64_t pidfd_inode = 0;  // pidfs, unique per boot; 0 before kernel 6.9
};
// False for keys that share no evidence.
bool SameProcess(const ProcessKey& a, const ProcessKey& b);

enum class ProcessTier : uint8_t {
  kPidfdInfo,  // the kernel handed out a pidfd with the message and answers PIDFD_GET_INFO (6.13)
  kPidfd,      // a pidfd, handed out (6.5) or opened from the pid (5.3), that was still alive after all reads
  kProcfs,     // /proc/PID held open, start time and owner the same before and after all reads
};
std::string_view ProcessTierName(ProcessTier tier);

// What arrived with a connection or message: the kernel's own words, nothing that the peer wrote.
struct ProcessEvidence {
  struct Owner {
    uint32_t uid = 0;
    uint32_t gid = 0;
  };
  int64_t pid = 0;
  std::optional<Owner> owner;  // at the moment of writing or connecting; a pid without a pidfd needs it
  runtime::UniqueFd pidfd;     // SO_PEERPIDFD or SCM_PIDFD; none on kernels before 6.5
  uint64_t writer = 0;         // the socket's number for who wrote; 0: it has none
};

// Tells one state of a file from another without reading it.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t ctime_ns = 0;
  uint64_t size = 0;
  uint64_t mount_id = 0;
  auto operator<=>(const FileIdentity&) const = default;
};
Result<FileIdentity> FileIdentityOf(int fd);

struct ProcessFacts {
  ProcessKey key;
  ProcessTier tier = ProcessTier::kProcfs;
  int64_t parent_pid = 0;
  uint32_t uid = 0;  // effective
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary
  std::string exe;               // where /proc/PID/exe points; empty when we may not look
  // The same path in our mount namespace leads to the same file. False for an image under a private mount: whoever may
  // make a user namespace can bind any program over any path, so the path alone proves nothing.
  bool exe_path_holds = false;
  std::optional<FileIdentity> exe_file;
  runtime::UniqueFd exe_fd;  // the image itself, for hashing
  std::string cgroup;        // cgroup v2 path, "/" at least; empty when there is no cgroup v2
};

// What every process that a launch made has for good, and one that entered its namespaces from outside need not have.
struct ProcessBounds {
  runtime::Restrictions restrictions;
  std::string cgroup;  // as in ProcessFacts
};

class ProcessReader {
 public:
  // `best` is the best tier that may be used: tests force the lower ones with it.
  // `lookup` looks at images in this process's stead, and outlives it.
  explicit ProcessReader(ProcessTier best = ProcessTier::kPidfdInfo, ImageLookup* lookup = nullptr)
      : best_(best), lookup_(lookup) {}

  // The name of the process, without reading more than that needs: about 1 µs where there is pidfs.
  // NOT_FOUND: it has ended. UNAUTHENTICATED: the evidence is contradictory or names nobody.
  Result<ProcessKey> Identify(const ProcessEvidence& evidence) const;

  // All facts, each of them true of the same process at one moment between call and return, and owned by whom the
  // evidence says. Errors as Identify;
  // ABORTED: the process changed its image while it was looked at.
  Result<ProcessFacts> Read(const ProcessEvidence& evidence) const;

  // The process and its ancestors, nearest first, up to PID 1 of our namespace. Ended children of ended parents appear
  // under whoever adopted them. NOT_FOUND when `process` has ended; PERMISSION_DENIED when there are more than
  // limits::kMaxAncestors; ABORTED when it was adopted meanwhile.
  Result<std::vector<ProcessKey>> AncestorsOf(const ProcessKey& process) const;

  // NOT_FOUND when it has ended.
  Result<ProcessBounds> BoundsOf(const ProcessKey& key) const;
  // Whether the process at the head of `chain` (AncestorsOf) is in no PID namespace but those that its ancestors show:
  // for each below ours, the chain holds its PID 1. False too for a process that entered one from outside (setns(2), as
  // `docker exec` does): which one is not told by this.
  bool BornWhereItIs(const std::vector<ProcessKey>& chain) const;

  // Whether it is PID 1 of a PID namespace below ours.
  bool IsNamespaceInit(const ProcessKey& key) const;

  // Whether the process that `key` names is still there, and still the same one.
  bool IsAlive(const ProcessKey& key) const;

 private:
  ProcessTier best_;
  ImageLookup* lookup_;
};

}  // namespace hexr::identity
