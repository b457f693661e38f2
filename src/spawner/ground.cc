#include "spawner/ground.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "base/limits/agents.h"
#include "spawner/folders.h"

namespace hexr::spawner {
namespace {

using Kind = MountStep::Kind;

// Of /etc, what programs need and what tells nothing about this machine's secrets.
constexpr std::array<const char*, 10> kEtcFolders = {
    "/etc/ssl",          "/etc/ca-certificates", "/etc/pki",   "/etc/crypto-policies",
    "/etc/alternatives", "/etc/ld.so.conf.d",    "/etc/fonts", "/etc/java-17-openjdk",
    "/etc/python3",      "/etc/terminfo",
};
constexpr std::array<const char*, 20> kEtcFiles = {
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/protocols",
    "/etc/services",
    "/etc/mime.types",
    "/etc/profile",
    "/etc/bash.bashrc",
    "/etc/inputrc",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/os-release",
    "/etc/debian_version",
    "/etc/gitconfig",
    "/etc/locale.alias",
    "/etc/magic",
    "/etc/shells",
    "/etc/ca-certificates.conf",
    "/etc/rpc",
};
constexpr std::array<const char*, 6> kDevices = {"null", "zero", "full", "random", "urandom", "tty"};

// A small file's content; empty where it cannot be read, or where not everybody may read it.
std::string ReadHostFile(const char* path) {
  std::string text;
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st {};
  if (!fd || fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & S_IROTH) == 0 ||
      st.st_size > static_cast<off_t>(limits::kMaxEtcFileBytes))
    return text;
  text.resize(static_cast<size_t>(st.st_size));
  const ssize_t n = read(fd.get(), text.data(), text.size());
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return text;
}

class GroundPlanner {
 public:
  GroundPlanner(const GroundRequest& request, Groundwork& ground, std::vector<std::string>& weaker)
      : request_(request), ground_(ground), weaker_(weaker) {}

  Result<Origins> Plan() {
    ground_.sources_by_path = request_.idmapper == nullptr;
    Fresh();
    RETURN_IF_ERROR(System());
    Etc();
    RETURN_IF_ERROR(Sockets());
    Add(Kind::kProc, "/proc");
    Add(Kind::kDirectory, "/sys");
    return std::move(origins_);
  }

 private:
  MountStep& Add(Kind kind, const std::string& target, const std::string& source = "", uint64_t attributes = 0) {
    MountStep& s = ground_.mounts.emplace_back(Step(kind, target, source));
    s.attributes = attributes;
    return s;
  }

  // Sizes are bounds, not reservations: without a memory cgroup nothing else bounds what an agent keeps in memory
  // files.
  void Fresh() {
    Add(Kind::kTmpfs, "/tmp", "mode=1777,size=1g");
    Add(Kind::kTmpfs, "/var/tmp", "mode=1777,size=256m");
    Add(Kind::kTmpfs, "/run", "mode=755,size=16m");
    Add(Kind::kTmpfs, "/run/hexr", "mode=755,size=64k");
    Add(Kind::kTmpfs, "/dev", "mode=755,size=64k", MOUNT_ATTR_NOEXEC);
    for (const char* name : kDevices) {
      const std::string path = std::string("/dev/") + name;
      Add(Kind::kBind, path, path).directory = false;
      origins_.Add(path, Origins::What::kPlace);
    }
    Add(Kind::kDevpts, "/dev/pts");
    Add(Kind::kSymlink, "/dev/ptmx", "pts/ptmx");
    Add(Kind::kTmpfs, "/dev/shm", "mode=1777,size=256m");
    Add(Kind::kSymlink, "/dev/fd", "/proc/self/fd");
    Add(Kind::kSymlink, "/dev/stdin", "/proc/self/fd/0");
    Add(Kind::kSymlink, "/dev/stdout", "/proc/self/fd/1");
    Add(Kind::kSymlink, "/dev/stderr", "/proc/self/fd/2");
  }

  // Root clones and maps here, since a child without rights over the file system could not; a plain user's child clones
  // by itself.
  Status System() {
    for (const char* path : SystemFolders()) {
      origins_.Add(path, Origins::What::kPlace);
      char link[PATH_MAX];
      const ssize_t n = readlink(path, link, sizeof link - 1);
      if (n > 0) {
        Add(Kind::kSymlink, path, std::string(link, static_cast<size_t>(n)));
      } else if (errno == ENOENT) {
        continue;
      } else if (request_.idmapper != nullptr) {
        UniqueFd tree(open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
        if (!tree && errno == ENOENT) continue;
        if (!tree) return ErrnoError(std::string("open_tree ") + path, errno);
        const OwnerMap nobody = OwnerMap::Nobody(request_.ids.uid, request_.ids.gid);
        MountStep& s = Add(Kind::kBind, path);
        Status mapped = AttachMapped(*request_.idmapper, std::move(tree), nobody, kGivenReadOnly, s);
        if (!mapped.ok()) {
          if (mapped.error().code() != ErrorCode::kUnimplemented) return mapped;
          weaker_.push_back(UnmappedNote(path));
        }
      } else {
        // Only root can put a socket below these, but for what packages do in /opt.
        const bool opt = std::string_view(path) == "/opt";
        MountStep& s = Add(opt ? Kind::kOverlay : Kind::kBind, path, path, kGivenReadOnly);
        s.recursive = true;
        s.optional = true;
      }
    }
    return Ok();
  }

  void Etc() {
    for (const char* path : kEtcFolders) {
      origins_.Add(path, Origins::What::kPlace);
      MountStep s = Step(Kind::kBind, path, path);
      s.attributes = kGivenReadOnly;
      s.optional = true;
      if (request_.idmapper != nullptr) {
        s.tree = UniqueFd(open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
        if (!s.tree) continue;
      } else {
        s.recursive = true;
        struct stat st {};
        if (stat(path, &st) != 0) continue;
      }
      ground_.mounts.push_back(std::move(s));
    }
    for (const char* path : kEtcFiles) {
      origins_.Add(path, Origins::What::kContent);
      std::string text = ReadHostFile(path);
      if (!text.empty()) Add(Kind::kText, path, text);
    }
    Add(Kind::kText, "/etc/group", "agent:x:" + std::to_string(ground_.gid) + ":\nnogroup:x:65534:\n");
    Add(Kind::kText, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n");
    Add(Kind::kText, "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nservices: "
        "files\nprotocols: files\n");
  }

  Status Sockets() {
    const std::pair<const std::string&, const char*> sockets[] = {{request_.api_socket, "/run/hexr/api.sock"},
                                                                  {request_.launch_socket, "/run/hexr/launch.sock"}};
    for (const auto& [source, target] : sockets) {
      if (source.empty()) continue;
      origins_.Add(source, Origins::What::kPlace);
      MountStep& s = Add(Kind::kBind, target, source);
      s.directory = false;
      if (request_.idmapper == nullptr) continue;
      s.tree = UniqueFd(open_tree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
      if (!s.tree) return ErrnoError("open " + source, errno);
    }
    return Ok();
  }

  const GroundRequest& request_;
  Groundwork& ground_;
  std::vector<std::string>& weaker_;
  Origins origins_;
};

}  // namespace

// ---- the machine, as it was

std::optional<Origins::Origin::Seen> Origins::Look(const std::string& path, What what) {
  struct stat st {};
  const int failed = what == What::kContent ? stat(path.c_str(), &st) : lstat(path.c_str(), &st);
  if (failed != 0) return std::nullopt;
  // Of folders, devices and sockets only which ones they are: a mount shows what they hold now.
  if (what == What::kPlace && !S_ISLNK(st.st_mode)) return Origin::Seen{st.st_dev, st.st_ino, 0, 0};
  return Origin::Seen{st.st_dev, st.st_ino, int64_t{st.st_ctim.tv_sec} * 1'000'000'000 + st.st_ctim.tv_nsec,
                      st.st_size};
}

void Origins::Add(std::string path, What what) {
  auto seen = Look(path, what);
  origins_.push_back({std::move(path), what, seen});
}

bool Origins::Unchanged() const {
  return std::all_of(origins_.begin(), origins_.end(), [](const Origin& o) { return Look(o.path, o.what) == o.seen; });
}

MountWatch::MountWatch() : mounts_(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {}

bool MountWatch::Changed() {
  pollfd p{mounts_.get(), POLLPRI, 0};
  return !mounts_ || poll(&p, 1, 0) != 0;
}

// ---- steps

MountStep Step(Kind kind, std::string target, std::string source) {
  MountStep s{};
  s.kind = kind;
  s.target = std::move(target);
  s.source = std::move(source);
  return s;
}

Status AttachMapped(Idmapper& idmapper, UniqueFd tree, const OwnerMap& owner, uint64_t attributes, MountStep& step) {
  step.recursive = true;
  Status mapped = idmapper.Apply(tree.get(), owner, attributes);
  if (!mapped.ok()) step.attributes = attributes;
  step.tree = std::move(tree);
  return mapped;
}

std::string UnmappedNote(const std::string& path) {
  return path + ": sockets of the host in it can be reached (no owner mapping on its file system)";
}

std::string PlainlyBoundNote(const std::string& path) {
  return path +
         ": sockets of the host in it can be reached (no overlay over it: other file systems are mounted inside, "
         "or this kernel has none for plain users)";
}

Result<Origins> PlanGround(const GroundRequest& request, Groundwork& ground, std::vector<std::string>& weaker) {
  return GroundPlanner(request, ground, weaker).Plan();
}

}  // namespace hexr::spawner
