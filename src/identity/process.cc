#include "identity/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>

#include "base/limits/identity.h"
#include "identity/image_lookup.h"
#include "runtime/process.h"

namespace hexr::identity {
namespace {

using runtime::UniqueFd;

Error Gone() { return NotFound("the process has ended"); }
Error Contradiction(std::string_view what) { return Unauthenticated("peer evidence: " + std::string(what)); }

// One /proc file, from an open /proc/PID: a dead process yields ESRCH, never another's file.
Result<std::string> ReadFileAt(int dir, const char* name) {
  const UniqueFd fd(::openat(dir, name, O_RDONLY | O_CLOEXEC));
  if (!fd) return errno == ENOENT || errno == ESRCH ? Gone() : ErrnoError(name, errno);
  std::string out;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno == ESRCH ? Gone() : ErrnoError(name, errno);
    }
    if (n == 0) return out;
    out.append(buffer.data(), static_cast<size_t>(n));
    if (out.size() > limits::kMaxProcFileBytes)
      return ResourceExhausted(std::string(name) + " of a process is too long");
  }
}

template <class T>
bool ParseNumber(std::string_view text, T& out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size();
}

std::string_view TakeField(std::string_view& rest) {
  const size_t begin = rest.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return rest = {}, rest;
  rest.remove_prefix(begin);
  const size_t end = std::min(rest.find_first_of(" \t\n"), rest.size());
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(end);
  return field;
}

struct Stat {
  int64_t parent = 0;
  uint64_t start_time = 0;
  bool zombie = false;
};

// Field 2 is a name that the process chose, with spaces and brackets as it likes: count from the last ')'.
Result<Stat> ReadStat(int dir) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(dir, "stat"));
  const size_t close = text.rfind(')');
  if (close == std::string::npos) return DataLoss("/proc stat without a name");
  std::string_view rest = std::string_view(text).substr(close + 1);
  Stat stat;
  for (int field = 3; field <= 22; ++field) {
    const std::string_view value = TakeField(rest);
    if (field == 3) stat.zombie = value == "Z" || value == "X";
    if (field == 4 && !ParseNumber(value, stat.parent)) return DataLoss("/proc stat: parent");
    if (field == 22 && !ParseNumber(value, stat.start_time)) return DataLoss("/proc stat: start time");
  }
  return stat;
}

std::string_view StatusLine(std::string_view status, std::string_view key) {
  size_t at = 0;
  while (at < status.size()) {
    const size_t end = std::min(status.find('\n', at), status.size());
    const std::string_view line = status.substr(at, end - at);
    if (line.starts_with(key)) return line.substr(key.size());
    at = end + 1;
  }
  return {};
}

struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
};

Result<Owner> ReadOwner(int dir) {
  ASSIGN_OR_RETURN(const std::string status, ReadFileAt(dir, "status"));
  Owner owner;
  std::string_view uids = StatusLine(status, "Uid:");
  std::string_view gids = StatusLine(status, "Gid:");
  TakeField(uids);  // real; the effective one follows
  TakeField(gids);
  if (!ParseNumber(TakeField(uids), owner.uid) || !ParseNumber(TakeField(gids), owner.gid)) {
    return DataLoss("/proc status: owner");
  }
  std::string_view groups = StatusLine(status, "Groups:");
  for (std::string_view g = TakeField(groups); !g.empty(); g = TakeField(groups)) {
    uint32_t value = 0;
    if (!ParseNumber(g, value)) return DataLoss("/proc status: groups");
    owner.groups.push_back(value);
  }
  return owner;
}

// The "0::" line; empty without a cgroup v2 hierarchy. A path that ends outside our cgroup namespace starts with "/..".
Result<std::string> ReadCgroup(int dir) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileAt(dir, "cgroup"));
  const std::string_view path = StatusLine(text, "0::");
  if (path.starts_with("/..")) return std::string();
  return std::string(path);
}

// A process held so that no other can take its place while we look.
struct Held {
  int64_t pid = 0;
  UniqueFd pidfd;  // none in the lowest tier
  UniqueFd dir;    // /proc/PID
  ProcessTier tier = ProcessTier::kProcfs;
  bool by_number = false;  // found through its pid: the owner has to fit too
};

struct Exe {
  std::string path;
  bool path_holds = false;
  std::optional<FileIdentity> file;
  UniqueFd fd;
};

// Kernel threads have no image, and another user's is closed to an unprivileged node: both leave the fields empty, and
// no selector that needs them will match.
Exe ReadExe(const Held& held, ImageLookup* lookup) {
  Exe exe;
  ImageLookup::Image image = lookup != nullptr ? lookup->At(held.pid) : ReadImageAt(held.dir.get());
  exe.path = std::move(image.path);
  exe.path_holds = image.path_holds;
  exe.file = image.file;
  exe.fd = std::move(image.fd);
  return exe;
}

uint64_t PidfsInode(int pidfd) {
  const auto inode = runtime::PidfdInode(pidfd);
  return inode.ok() ? *inode : 0;
}

bool PidfdAlive(int pidfd) {
  pollfd p{pidfd, POLLIN, 0};
  return ::poll(&p, 1, 0) == 0;  // readable from exit on, zombie or reaped
}

struct PidAndTier {
  int64_t pid = 0;
  ProcessTier tier = ProcessTier::kPidfd;
};

// The pid behind a pidfd as our PID namespace numbers it, from the best interface that `best` allows.
Result<PidAndTier> PidOf(int pidfd, ProcessTier best) {
  if (best == ProcessTier::kPidfdInfo) {
    const auto info = runtime::GetPidfdInfo(pidfd);
    if (info.ok()) {
      // A reaped process has no pid any more; 0 is one outside our namespace.
      if (!info->has_ids) return Gone();
      return PidAndTier{info->pid, ProcessTier::kPidfdInfo};
    }
    if (info.error().code() != ErrorCode::kUnimplemented) return Gone();
  }
  const auto pid = runtime::PidfdPid(pidfd);
  if (!pid.ok())
    return pid.error().code() == ErrorCode::kNotFound ? Gone() : Contradiction("the descriptor is no pidfd");
  return PidAndTier{*pid, ProcessTier::kPidfd};
}

Result<UniqueFd> OpenProcDir(int64_t pid) {
  const std::string path = "/proc/" + std::to_string(pid);
  UniqueFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return errno == ENOENT ? Gone() : ErrnoError(path, errno);
  return dir;
}

Result<Held> Hold(const ProcessEvidence& evidence, ProcessTier best) {
  Held held;
  if (evidence.pidfd && best != ProcessTier::kProcfs) {
    ASSIGN_OR_RETURN(const PidAndTier found, PidOf(evidence.pidfd.get(), best));
    if (evidence.pid > 0 && evidence.pid != found.pid) return Contradiction("pid and pidfd name different processes");
    held.pid = found.pid;
    held.tier = found.tier;
    held.pidfd = UniqueFd(::fcntl(evidence.pidfd.get(), F_DUPFD_CLOEXEC, 0));
    if (!held.pidfd) return ErrnoError("dup pidfd", errno);
  } else {
    if (evidence.pid <= 0) return Contradiction("no pid: the peer is outside our PID namespace");
    held.pid = evidence.pid;
    held.by_number = true;
    if (best != ProcessTier::kProcfs) {
      auto pidfd = runtime::OpenPidfd(static_cast<pid_t>(evidence.pid));
      if (!pidfd.ok()) return pidfd.error().code() == ErrorCode::kNotFound ? Gone() : std::move(pidfd).error();
      held.pidfd = std::move(*pidfd);
      held.tier = ProcessTier::kPidfd;
    }
  }
  ASSIGN_OR_RETURN(held.dir, OpenProcDir(held.pid));
  return held;
}

}  // namespace

Result<FileIdentity> FileIdentityOf(int fd) {
  constexpr unsigned kStatxMountId = 0x1000U;  // STATX_MNT_ID, kernel 5.8
  struct statx st {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | kStatxMountId, &st) != 0) return ErrnoError("statx", errno);
  return FileIdentity{(uint64_t{st.stx_dev_major} << 32) | st.stx_dev_minor, st.stx_ino,
                      int64_t{st.stx_ctime.tv_sec} * 1'000'000'000 + st.stx_ctime.tv_nsec, st.stx_size, st.stx_mnt_id};
}

std::string_view ProcessTierName(ProcessTier tier) {
  switch (tier) {
    case ProcessTier::kPidfdInfo: return "pidfd-info";
    case ProcessTier::kPidfd: return "pidfd";
    case ProcessTier::kProcfs: return "procfs";
  }
  return "unknown";
}

bool SameProcess(const ProcessKey& a, const ProcessKey& b) {
  if (a.pidfd_inode != 0 && b.pidfd_inode != 0) return a.pidfd_inode == b.pidfd_inode;
  return a.start_time != 0 && a.pid == b.pid && a.start_time == b.start_time;
}

Result<ProcessKey> ProcessReader::Identify(const ProcessEvidence& evidence) const {
  if (evidence.pidfd && best_ != ProcessTier::kProcfs) {
    ASSIGN_OR_RETURN(const PidAndTier found, PidOf(evidence.pidfd.get(), best_));
    if (evidence.pid > 0 && evidence.pid != found.pid) return Contradiction("pid and pidfd name different processes");
    const uint64_t inode = PidfsInode(evidence.pidfd.get());
    if (inode != 0) return ProcessKey{found.pid, 0, inode};
  }
  ASSIGN_OR_RETURN(const ProcessFacts facts, Read(evidence));
  return facts.key;
}

Result<ProcessFacts> ProcessReader::Read(const ProcessEvidence& evidence) const {
  ASSIGN_OR_RETURN(const Held held, Hold(evidence, best_));
  const int dir = held.dir.get();

  ProcessFacts facts;
  ASSIGN_OR_RETURN(const Stat before, ReadStat(dir));
  ASSIGN_OR_RETURN(Owner owner, ReadOwner(dir));
  Exe exe = ReadExe(held, lookup_);
  ASSIGN_OR_RETURN(facts.cgroup, ReadCgroup(dir));
  const Exe exe_after = ReadExe(held, lookup_);
  ASSIGN_OR_RETURN(const Owner owner_after, ReadOwner(dir));
  ASSIGN_OR_RETURN(const Stat after, ReadStat(dir));

  if (before.start_time != after.start_time || after.zombie) return Gone();
  if (held.pidfd && !PidfdAlive(held.pidfd.get())) return Gone();
  if (exe.path != exe_after.path || exe.file != exe_after.file) {
    return Error(ErrorCode::kAborted, "the process changed its image while it was looked at");
  }
  if (owner.uid != owner_after.uid || owner.gid != owner_after.gid || owner.groups != owner_after.groups) {
    return Error(ErrorCode::kAborted, "the process changed its owner while it was looked at");
  }
  // By number it may be another process since; by handle, one that has executed a setuid program since it wrote: what
  // was asked by a plain user must not be answered with what root may have.
  if (held.by_number && !evidence.owner) return Contradiction("no owner came with the pid");
  if (evidence.owner && (owner.uid != evidence.owner->uid || owner.gid != evidence.owner->gid)) {
    return Contradiction("the process belongs to another user now than when it wrote");
  }
  facts.key = {held.pid, after.start_time, held.pidfd ? PidfsInode(held.pidfd.get()) : 0};
  facts.tier = held.tier;
  facts.parent_pid = after.parent;
  facts.uid = owner.uid;
  facts.gid = owner.gid;
  facts.groups = std::move(owner.groups);
  facts.exe = std::move(exe.path);
  facts.exe_path_holds = exe.path_holds;
  facts.exe_file = exe.file;
  facts.exe_fd = std::move(exe.fd);
  return facts;
}

Result<std::vector<ProcessKey>> ProcessReader::AncestorsOf(const ProcessKey& process) const {
  std::vector<ProcessKey> chain;
  int64_t pid = process.pid;
  while (pid > 0) {
    // Whose ancestors cannot all be seen may have an instance among them.
    if (chain.size() == limits::kMaxAncestors) return PermissionDenied("the process has too many ancestors");
    UniqueFd pidfd;
    if (best_ != ProcessTier::kProcfs) {
      ASSIGN_OR_RETURN(pidfd, runtime::OpenPidfd(static_cast<pid_t>(pid)));
    }
    ASSIGN_OR_RETURN(const UniqueFd dir, OpenProcDir(pid));
    ASSIGN_OR_RETURN(const Stat stat, ReadStat(dir.get()));
    const ProcessKey key{pid, stat.start_time, pidfd ? PidfsInode(pidfd.get()) : 0};
    if (chain.empty() && !SameProcess(key, process)) return Gone();
    // A link counts only if the child still had that parent after the parent had been pinned: otherwise the number may
    // have been given to a stranger in between.
    if (!chain.empty()) {
      ASSIGN_OR_RETURN(const UniqueFd child_dir, OpenProcDir(chain.back().pid));
      ASSIGN_OR_RETURN(const Stat child, ReadStat(child_dir.get()));
      if (child.start_time != chain.back().start_time || child.parent != pid) {
        return Error(ErrorCode::kAborted, "the process was adopted while its ancestors were read");
      }
    }
    chain.push_back(key);
    pid = stat.parent;
  }
  return chain;
}

Result<ProcessBounds> ProcessReader::BoundsOf(const ProcessKey& key) const {
  ASSIGN_OR_RETURN(const UniqueFd dir, OpenProcDir(key.pid));
  ProcessBounds bounds;
  ASSIGN_OR_RETURN(bounds.restrictions, runtime::RestrictionsOf(static_cast<pid_t>(key.pid)));
  ASSIGN_OR_RETURN(bounds.cgroup, ReadCgroup(dir.get()));
  if (!IsAlive(key)) return Gone();
  return bounds;
}

bool ProcessReader::BornWhereItIs(const std::vector<ProcessKey>& chain) const {
  size_t unseen = 0;  // namespaces below ours whose PID 1 the chain has not shown yet, the innermost first
  for (size_t i = 0; i < chain.size() && (i == 0 || unseen > 0); ++i) {
    const auto c = runtime::RestrictionsOf(static_cast<pid_t>(chain[i].pid));
    if (!c.ok() || !IsAlive(chain[i])) return false;
    if (i == 0) unseen = c->pid_namespaces - 1;
    if (unseen > 0 && c->namespace_init && c->pid_namespaces == unseen + 1) --unseen;
  }
  return !chain.empty() && unseen == 0;
}

bool ProcessReader::IsNamespaceInit(const ProcessKey& key) const {
  const auto c = runtime::RestrictionsOf(static_cast<pid_t>(key.pid));
  return c.ok() && c->namespace_init && IsAlive(key);
}

bool ProcessReader::IsAlive(const ProcessKey& key) const {
  auto dir = OpenProcDir(key.pid);
  if (!dir.ok()) return false;
  auto stat = ReadStat(dir->get());
  if (!stat.ok() || stat->zombie) return false;
  uint64_t inode = 0;
  if (best_ != ProcessTier::kProcfs) {
    const auto pidfd = runtime::OpenPidfd(static_cast<pid_t>(key.pid));
    if (pidfd.ok()) inode = PidfsInode(pidfd->get());
  }
  return SameProcess(key, {key.pid, stat->start_time, inode});
}

}  // namespace hexr::identity
