// What is true of a process, as selectors. An entry matches when all its selectors are among those of the process. No
// negation, no wildcard.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/limits/identity.h"
#include "base/result.h"
#include "base/selector.h"
#include "identity/digest_cache.h"
#include "identity/file_hasher.h"
#include "identity/process.h"
#include "identity/rate_limiter.h"

namespace hexr::identity {

using SelectorSet = std::set<Selector>;

// Names of users and groups. Production reads /etc/passwd and /etc/group: no NSS modules in the process with the keys.
class AccountNames {
 public:
  virtual ~AccountNames() = default;
  virtual std::optional<std::string> UserName(uint32_t uid) const = 0;
  virtual std::optional<std::string> GroupName(uint32_t gid) const = 0;
};

class FileAccountNames final : public AccountNames {
 public:
  explicit FileAccountNames(std::string passwd = "/etc/passwd", std::string group = "/etc/group")
      : passwd_(std::move(passwd)), group_(std::move(group)) {}
  std::optional<std::string> UserName(uint32_t uid) const override;
  std::optional<std::string> GroupName(uint32_t gid) const override;

 private:
  std::string passwd_;
  std::string group_;
};

// Who owns a directory of the cgroup tree. Nothing: it is not there.
class CgroupOwners {
 public:
  virtual ~CgroupOwners() = default;
  virtual std::optional<uint32_t> OwnerOf(const std::string& path) const = 0;
};

// Looks below the cgroup v2 mount: /sys/fs/cgroup, or /sys/fs/cgroup/unified on hybrid systems.
class FileCgroupOwners final : public CgroupOwners {
 public:
  explicit FileCgroupOwners(std::string root);
  static FileCgroupOwners Detect();
  std::optional<uint32_t> OwnerOf(const std::string& path) const override;

 private:
  std::string root_;
};

// Turns facts into selectors. One thread.
class SelectorSource {
 public:
  SelectorSource(const AccountNames& names, const CgroupOwners& cgroups, DigestCache& digests, const Clock& clock)
      : names_(names),
        cgroups_(cgroups),
        digests_(digests),
        hashing_(clock, kHashing, limits::kMaxRateLimitedCallers),
        clock_(clock) {}
  SelectorSource(const SelectorSource&) = delete;
  SelectorSource& operator=(const SelectorSource&) = delete;

  // The set of `facts`, all but the digest. A value that cannot be had is left out: an entry that asks for it does not
  // match.
  SelectorSet SelectorsOf(const ProcessFacts& facts) const;
  // Adds the digest of the executable, which costs a read of the whole file unless it is known. RESOURCE_EXHAUSTED when
  // this user has had too many new files read; otherwise left out as above. UNAVAILABLE after ReadOn: it is being read.
  Status AddDigest(const ProcessFacts& facts, SelectorSet& set);
  // From now on files are read there, `on_read` runs after each, and AddDigest is then to be asked again. Both outlive
  // this.
  void ReadOn(FileHasher& hasher, std::function<void()> on_read);
  // Adds it if it is known.
  void AddKnownDigest(const ProcessFacts& facts, SelectorSet& set) const;

  // The ancestors of `path`, and itself, whose every parent belongs to root: who may write a directory of the cgroup
  // tree can put processes below it under any name, so nothing below a directory that a user owns is evidence.
  std::vector<std::string> TrustedCgroups(const std::string& path) const;

 private:
  // Of one user at a time: a file system that hangs holds up its own user.
  Status ReadElsewhere(const ProcessFacts& facts, SelectorSet& set);

  // New files a user may have read.
  static constexpr RateLimiter::Options kHashing{.per_second = 1, .burst = 8};

  const AccountNames& names_;
  const CgroupOwners& cgroups_;
  DigestCache& digests_;
  RateLimiter hashing_;  // by uid
  const Clock& clock_;
  FileHasher* hasher_ = nullptr;
  std::function<void()> on_read_;
  std::map<FileIdentity, uint32_t> reading_;  // for which user
  // What came of those that were read only just now, for the process that waited: whoever else has that program by then
  // may have another one, written within the same tick of the file system's clock.
  using ReadFor = std::tuple<FileIdentity, int64_t, uint64_t>;  // pid and start time
  struct Read {
    std::optional<crypto::Sha256Digest> digest;
    MonoTime at;
  };
  std::map<ReadFor, Read> read_;
  std::shared_ptr<SelectorSource*> self_ = std::make_shared<SelectorSource*>(this);
};

}  // namespace hexr::identity
