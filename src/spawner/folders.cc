#include "spawner/folders.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <set>
#include <string_view>

#include "base/limits/agents.h"
#include "spawner/ground.h"

namespace hexr::spawner {
namespace {

using Kind = MountStep::Kind;

constexpr uint64_t kReadOnly = kGivenReadOnly;
constexpr uint64_t kWritable = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

// Programs and libraries. A merged-/usr system has links for most of them: links are made again as links.
constexpr std::array<const char*, 8> kSystem = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"};
// Shared by everybody on the host: never given as a whole.
constexpr std::array<const char*, 11> kNeverGiven = {"/",        "/tmp",  "/var/tmp", "/run", "/var/run", "/dev",
                                                     "/dev/shm", "/proc", "/sys",     "/etc", "/var"};

// Where the kernel says that a descriptor lies, without a look at any file system: one of the caller's could stall us.
std::string PlaceOf(const UniqueFd& fd) {
  char place[PATH_MAX];
  const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), place, sizeof place);
  return n > 0 && static_cast<size_t>(n) < sizeof place ? std::string(place, static_cast<size_t>(n)) : std::string();
}

// The owners of these are root's on every machine, and their file systems the machine's own.
bool IsOfTheMachine(const std::string& path) {
  return IsSystemPath(path) || IsBelow(path, "/etc") || IsBelow(path, "/sys") || IsBelow(path, "/dev");
}

// Nothing in this kernel keeps whoever may write to a folder from connecting to sockets in it (docs/adr/0017).
std::string SocketsNote(const std::vector<std::string>& folders) {
  constexpr size_t kNamed = 3;
  std::string text = "sockets of the host below ";
  for (size_t i = 0; i < std::min(folders.size(), kNamed); ++i) text += (i == 0 ? "" : ", ") + folders[i];
  if (folders.size() > kNamed) text += " and " + std::to_string(folders.size() - kNamed) + " more";
  return text + " can be reached, also later ones: the agent may write there (--ro gives a folder without them)";
}

class Planner {
 public:
  Planner(const FolderRequest& request, HostIds ids, Idmapper* idmapper, ChildPlan& plan,
          std::vector<std::string>& writable)
      : request_(request), ids_(ids), idmapper_(idmapper), plan_(plan), writable_(writable) {}

  Result<FolderNotes> Plan() {
    RETURN_IF_ERROR(CheckPaths());
    home_ = IsNormalPath(request_.home) && !IsSystemPath(request_.home) && !IsNeverGiven(request_.home) ? request_.home
                                                                                                        : "/home/agent";
    Home();
    Names();
    RETURN_IF_ERROR(GivenFolders());
    RETURN_IF_ERROR(HiddenPlaces());
    // Read-only: /proc/PID/mem of a sibling, writable, is ptrace(2) by another name.
    Add(Step(Kind::kReadOnly, "/proc"));
    Add(Step(Kind::kReadOnly, "/dev"));
    Add(Step(Kind::kReadOnly, "/run/hexr"));
    Add(Step(Kind::kReadOnly, "/"));
    if (!reachable_.empty()) notes_.sockets = SocketsNote(reachable_);
    return std::move(notes_);
  }

 private:
  void Add(MountStep s) { plan_.mounts.push_back(std::move(s)); }

  Status CheckPaths() const {
    const auto check = [](const std::string& path) -> Status {
      if (!IsNormalPath(path)) return InvalidArgument("not an absolute, normal path: " + path);
      return Ok();
    };
    RETURN_IF_ERROR(check(request_.working_folder));
    for (const Given& g : request_.given) RETURN_IF_ERROR(check(g.path));
    for (const Hidden& h : request_.hidden) RETURN_IF_ERROR(check(h.path));
    return Ok();
  }

  void Home() {
    Add(Step(Kind::kTmpfs, home_, "mode=755,size=1g"));
    for (const char* path : {"/tmp", "/var/tmp", "/run", "/dev/shm"}) writable_.emplace_back(path);
    writable_.push_back(home_);
  }

  // Files of /etc that speak of the agent.
  void Names() {
    const std::string uid = std::to_string(plan_.uid), gid = std::to_string(plan_.gid);
    Add(Step(Kind::kText, "/etc/passwd",
             "agent:x:" + uid + ":" + gid + ":agent:" + home_ +
                 ":/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"));
    Add(Step(Kind::kText, "/etc/hostname", plan_.hostname + "\n"));
    Add(Step(
        Kind::kText, "/etc/hosts",
        std::string("127.0.0.1 localhost\n::1 localhost ip6-localhost\n") + kAgentIpv4 + " " + plan_.hostname + "\n"));
  }

  Status GivenFolders() {
    std::vector<const Given*> sorted;
    for (const Given& g : request_.given) sorted.push_back(&g);
    // What lies inside another one is mounted after it.
    std::sort(sorted.begin(), sorted.end(),
              [](const Given* a, const Given* b) { return a->path.size() < b->path.size(); });
    bool working_given = false;
    for (const Given* g : sorted) {
      if (IsNeverGiven(g->path)) {
        notes_.warnings.push_back(g->path +
                                  " is shared by everybody on this machine: the agent got its own, not this one");
        working_given |= g->path == request_.working_folder;
        continue;
      }
      RETURN_IF_ERROR(CheckPlace(*g));
      if (IsSystemPath(g->path) && g->writable) {
        notes_.warnings.push_back(g->path + " is a system folder: the agent sees it read-only");
      } else {
        RETURN_IF_ERROR(Give(*g));
        seen_.push_back(g);
      }
      working_given |= IsBelow(request_.working_folder, g->path);
    }
    plan_.working_folder = request_.working_folder;
    if (!working_given && !IsSystemPath(request_.working_folder)) {
      notes_.warnings.push_back("the working folder " + request_.working_folder +
                                " was not given: the agent starts in an empty " + home_);
      plan_.working_folder = home_;
    }
    return Ok();
  }

  // What a caller shows and what it calls it have to be one: or a file of the caller's would lie where the agent, and
  // whoever attests it, takes it for the machine's.
  Status CheckPlace(const Given& g) const {
    const std::string place = PlaceOf(g.fd);
    if (place != g.path)
      return PermissionDenied(g.path + " is not what was opened there" + (place.empty() ? "" : ", which is " + place));
    if (IsBelow(g.path, "/proc")) return PermissionDenied(g.path + " is of the kernel: every agent has its own /proc");
    struct stat there {};
    if (IsOfTheMachine(g.path) &&
        (lstat(g.path.c_str(), &there) != 0 || FileIdOf(g.fd.get()) != FileId{there.st_dev, there.st_ino})) {
      return PermissionDenied(g.path + " is not this machine's own");
    }
    return CheckOwn(g);
  }

  // INV-SPAWN-14. What the node has is hidden in what is given, and held by its name there (Pin); what cannot be is not
  // given.
  Status CheckOwn(const Given& g) const {
    const std::optional<FileId> id = FileIdOf(g.fd.get());
    for (const std::string& own : request_.own.places) {
      if (IsBelow(g.path, own))
        return PermissionDenied(g.path + " is the node's own (" + own + "): no agent is given it");
      // Another name of a folder around it: nothing could be hidden by its name.
      for (std::string around = own; !around.empty(); around.resize(around.rfind('/'))) {
        struct stat st {};
        if (around != g.path && lstat(around.c_str(), &st) == 0 && id == FileId{st.st_dev, st.st_ino})
          return PermissionDenied(g.path + " is " + around + " by another name, where the node's own " + own +
                                  " lies: give it by that name");
      }
    }
    for (const std::string& name : request_.own.names) {
      if (g.writable && IsBelow(name, g.path) && !IsHiddenWith(name)) {
        return PermissionDenied("with " + g.path + " writable, an agent could say by " + name +
                                ", a link or not there yet, where the node finds its own: give it read-only (--ro), "
                                "or a folder beside that");
      }
    }
    return Ok();
  }

  // Hidden with a place of the node's that it lies in.
  bool IsHiddenWith(const std::string& path) const {
    return std::any_of(request_.own.places.begin(), request_.own.places.end(),
                       [&](const std::string& own) { return own != path && IsBelow(path, own); });
  }

  // The given folder that shows `path`, the nearest one.
  const Given* Shows(const std::string& path) const {
    const Given* best = nullptr;
    for (const Given* g : seen_) {
      if (IsBelow(path, g->path) && (best == nullptr || g->path.size() > best->path.size())) best = g;
    }
    return best;
  }
  bool IsOverlay(const Given& g) const { return idmapper_ == nullptr && !g.writable && !g.bind; }

  Status HiddenPlaces() {
    for (const std::string& own : request_.own.places) {
      const Given* in = Shows(own);
      if (in == nullptr || IsHiddenWith(own)) continue;
      RETURN_IF_ERROR(Pin(own));
      struct stat st {};
      if (lstat(own.c_str(), &st) != 0) return ErrnoError(own, errno);
      Hide({own, FileId{st.st_dev, st.st_ino}, in->writable});
    }
    for (const Hidden& h : request_.hidden) {
      const Given* in = Shows(h.path);
      RETURN_IF_ERROR(Pin(h.path));
      Hidden now = h;
      if (in != nullptr) {
        const std::optional<FileId> what = WhatLiesAt(h.path, *in);
        if (!h.inherited) {
          now.what = what;
        } else if (h.what && h.what != what) {
          return FailedPrecondition(h.path +
                                    ", hidden from the parent, has been moved or replaced since it was started: a "
                                    "sub-agent could see it");
        }
      }
      Hide(now);
      notes_.hidden.push_back(std::move(now));
    }
    return Ok();
  }

  std::optional<FileId> WhatLiesAt(const std::string& path, const Given& in) const {
    if (path == in.path) return FileIdOf(in.fd.get());
    if (const auto it = request_.found.find(path); it != request_.found.end()) return it->second;
    const UniqueFd fd = FindBelow(in.fd.get(), path.substr(in.path.size() + 1), O_NOFOLLOW);
    return fd ? FileIdOf(fd.get()) : std::nullopt;
  }

  void Hide(const Hidden& h) {
    MountStep s = Step(Kind::kHide, h.path);
    const Given* in = Shows(h.path);
    s.optional = !h.inherited || !h.what || in == nullptr;
    // The files of an overlay have numbers of their own.
    if (in != nullptr && !IsOverlay(*in)) s.expect = h.what;
    Add(std::move(s));
  }

  Status Give(const Given& g) {
    // Attributes as cached: a remote or user-space file system of the caller's must not be able to stall this process.
    struct statx st {};
    if (statx(g.fd.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) != 0)
      return ErrnoError(g.path, errno);
    const bool directory = S_ISDIR(st.stx_mode);
    if (!directory && !S_ISREG(st.stx_mode)) return InvalidArgument(g.path + " is neither a folder nor a file");
    if (g.writable) writable_.push_back(g.path);
    if (directory && (g.writable || (idmapper_ == nullptr && !IsOverlay(g)))) reachable_.push_back(g.path);
    if (idmapper_ == nullptr) {
      MountStep s = Step(directory && IsOverlay(g) ? Kind::kOverlay : Kind::kBind, g.path, g.path);
      s.attributes = g.writable ? kWritable : kReadOnly;
      s.directory = directory;
      s.recursive = true;
      s.expect = FileId{makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino};
      RETURN_IF_ERROR(Pin(g.path));
      s.over = Over(g);
      Add(std::move(s));
      return Ok();
    }
    const bool owns = request_.caller_uid == 0 || st.stx_uid == request_.caller_uid;
    if (g.writable && !owns) {
      return PermissionDenied(g.path + " belongs to uid " + std::to_string(st.stx_uid) +
                              ": you can give it read-only (--ro), not writable");
    }
    UniqueFd tree(open_tree(g.fd.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    if (!tree) return ErrnoError("give " + g.path + " (is it in another mount namespace?)", errno);
    OwnerMap owner = OwnerMap::Nobody(ids_.uid, ids_.gid);
    if (owns && g.writable) owner = Owner(st.stx_uid, st.stx_gid);
    // Its owner reads everything and connects to nothing: what has no group here cannot be written, and a socket is
    // written to by connect(2), on a read-only mount as on any other.
    if (owns && !g.writable) owner.disk_uid = st.stx_uid;
    const bool already = st.stx_uid == ids_.uid;  // a folder of the tenant's own uid needs no map
    MountStep s = Step(Kind::kBind, g.path);
    s.directory = directory;
    Status mapped = AttachMapped(*idmapper_, std::move(tree), owner, g.writable ? kWritable : kReadOnly, s);
    if (!mapped.ok()) {
      if (mapped.error().code() != ErrorCode::kUnimplemented) return mapped;
      if (g.writable && !already) {
        return FailedPrecondition(
            g.path + " cannot be written by the agent: its file system has no owner mapping. Hand a copy to uid " +
            std::to_string(ids_.uid) + ", or give it read-only with --ro");
      }
      notes_.weaker.push_back(UnmappedNote(g.path));
    }
    RETURN_IF_ERROR(Pin(g.path));
    s.over = Over(g);
    Add(std::move(s));
    return Ok();
  }

  // A mount holds its own name only. What lies deeper in a folder that the agent may write could be moved away with a
  // folder around it, on the disk of the host, and another put there under its name: so each of these becomes a mount.
  Status Pin(const std::string& path) {
    const Given* outer = nullptr;
    for (const Given* g : seen_) {
      if (g->path != path && IsBelow(path, g->path) && (outer == nullptr || g->path.size() > outer->path.size()))
        outer = g;
    }
    if (outer == nullptr || !outer->writable) return Ok();
    for (size_t end = path.find('/', outer->path.size() + 1); end != std::string::npos; end = path.find('/', end + 1)) {
      if (!pinned_.insert(path.substr(0, end)).second) continue;
      if (pinned_.size() > limits::kMaxFoldersPinned)
        return ResourceExhausted("too many folders lie around what is hidden or given more narrowly in " + outer->path +
                                 ": give the folders that are needed instead");
      Add(Step(Kind::kPin, path.substr(0, end)));
    }
    return Ok();
  }

  // A folder's group is the agent's where it is the caller's: nobody hands on a group that he is not in. Otherwise new
  // files get the caller's own group, as if the caller had made them.
  OwnerMap Owner(uid_t uid, gid_t group) const {
    const std::vector<gid_t>& own = request_.caller_gids;
    const gid_t primary = own.empty() ? OwnerMap::Nobody(ids_.uid, ids_.gid).disk_gid : own[0];
    const bool member = request_.caller_uid == 0 || std::find(own.begin(), own.end(), group) != own.end();
    return {uid, member ? group : primary, ids_.uid, ids_.gid, member ? primary : group};
  }

  // Inside a folder that others can write, a narrower grant lies on the very thing that it narrows.
  std::optional<FileId> Over(const Given& g) const {
    const Given* outer = Shows(g.path);
    return outer != nullptr && outer->writable ? FileIdOf(g.fd.get()) : std::nullopt;
  }

  const FolderRequest& request_;
  HostIds ids_;
  Idmapper* idmapper_;
  ChildPlan& plan_;
  std::vector<std::string>& writable_;
  std::string home_;
  std::vector<const Given*> seen_;      // what the agent sees, in order
  std::set<std::string> pinned_;        // folders whose names are held
  std::vector<std::string> reachable_;  // folders whose sockets are the host's own
  FolderNotes notes_;
};

}  // namespace

std::optional<FileId> FileIdOf(int fd) {
  struct statx st {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) != 0) return std::nullopt;
  return FileId{makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino};
}

UniqueFd FindBelow(int folder, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(O_PATH | O_CLOEXEC | flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how)));
}

bool IsBelow(std::string_view path, std::string_view folder) {
  return path == folder || (path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/');
}

bool IsNormalPath(const std::string& path) {
  if (path.empty() || path[0] != '/' || path.size() >= PATH_MAX - 64) return false;
  if (path == "/") return true;
  size_t begin = 1;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view segment(path.data() + begin, end - begin);
    if (segment.empty() || segment == "." || segment == "..") return false;
    begin = end + 1;
  }
  return std::none_of(path.begin(), path.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::span<const char* const> SystemFolders() { return kSystem; }

bool IsSystemPath(const std::string& path) {
  return path == "/" ||
         std::any_of(kSystem.begin(), kSystem.end(), [&](const char* folder) { return IsBelow(path, folder); });
}

bool IsNeverGiven(const std::string& path) {
  return std::find(kNeverGiven.begin(), kNeverGiven.end(), path) != kNeverGiven.end();
}

Result<FolderNotes> PlanFolders(const FolderRequest& request, HostIds ids, Idmapper* idmapper, ChildPlan& plan,
                                std::vector<std::string>& writable) {
  return Planner(request, ids, idmapper, plan, writable).Plan();
}

}  // namespace hexr::spawner
