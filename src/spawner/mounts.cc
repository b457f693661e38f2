#include "spawner/mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

// Where the new root is built. Nothing is looked up below the host's /tmp once this is covered: sources are open by
// then.
constexpr char kScaffold[] = "/tmp";
constexpr char kRoot[] = "/tmp/root";
constexpr char kEmpty[] = "/tmp/empty";  // a folder, the second layer of overlays
// Where what hides others is kept: once the root is entered, an empty folder of it for as long as it takes.
constexpr char kStaging[] = "/sys";
constexpr char kNothing[] = "nothing";  // an unreadable file, for hiding files
constexpr char kClosed[] = "closed";    // an unreadable folder, for hiding folders

// Of this child alone: what leads to the new root, nothing once it is the root.
const char* root = kRoot;
const char* staging = kScaffold;

struct Path {
  char text[PATH_MAX];
};

// The place of `target` in the root under construction. False: too long.
bool Place(const char* target, Path& out) {
  const int n = snprintf(out.text, sizeof out.text, "%s%s", root, target);
  return n > 0 && static_cast<size_t>(n) < sizeof out.text;
}

// mkdir -p for everything above the last component. A symlink on the way cannot be the agent's: nothing of it runs yet.
int MakeParents(Path& p) {
  for (char* c = p.text + strlen(root) + 1; *c != '\0'; ++c) {
    if (*c != '/') continue;
    *c = '\0';
    const int failed = mkdir(p.text, 0755) != 0 && errno != EEXIST ? errno : 0;
    *c = '/';
    if (failed != 0) return failed;
  }
  return 0;
}

// Most targets have their parents already: they are made only where `make` (errno or 0) misses them.
template <class Make>
int WithParents(Path& p, Make make) {
  const int e = make();
  if (e != ENOENT) return e;
  if (const int failed = MakeParents(p)) return failed;
  return make();
}

int MakeDirectory(Path& p) {
  return WithParents(p, [&] { return mkdir(p.text, 0755) == 0 || errno == EEXIST ? 0 : errno; });
}

// A path that the agent could not search (a 0700 folder of root on the way) is covered by an empty read-write tmpfs
// from the first such folder on, and made anew inside: it stays as the user typed it.
int MakeReachable(Path& p) {
  if (access(p.text, F_OK) == 0 || errno != EACCES) return 0;
  char* c = p.text + strlen(root) + 1;
  for (;;) {
    c = strchr(c, '/');
    if (c == nullptr) return 0;
    *c = '\0';
    int failed = 0;
    if (access(p.text, X_OK) != 0 && errno == EACCES) {
      failed = mount("cover", p.text, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") == 0 ? 0 : errno;
    }
    *c = '/';
    if (failed != 0) return failed;
    ++c;
  }
}

int MakeFile(const Path& p) { return open(p.text, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0444); }

// Makes what a bind needs to be put on: a folder or an empty file.
int MakeTarget(Path& p, bool directory) {
  if (const int e = MakeReachable(p)) return e;
  struct stat st {};
  if (stat(p.text, &st) == 0) return S_ISDIR(st.st_mode) == directory ? 0 : ENOTDIR;
  if (directory) return MakeDirectory(p);
  int fd = -1;
  if (const int e = WithParents(p, [&] { return (fd = MakeFile(p)) >= 0 ? 0 : errno; })) return e;
  close(fd);
  return 0;
}

bool Is(int fd, const std::optional<FileId>& wanted) {
  if (!wanted) return true;
  struct stat st {};
  return fstat(fd, &st) == 0 && st.st_dev == wanted->first && st.st_ino == wanted->second;
}

// Puts the detached `tree` on what is at `p`, by a descriptor: whoever can rename things there meanwhile moves neither
// the mount nor what is below it. ENOENT and the like where nothing is; ESTALE where it is not `wanted`.
int PutOn(int tree, const Path& p, const std::optional<FileId>& wanted) {
  const int at = open(p.text, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (at < 0) return errno;
  int e = Is(at, wanted) ? 0 : ESTALE;
  if (e == 0 && move_mount(tree, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) e = errno;
  close(at);
  return e;
}

// The source of a step that names it by path, open before anything of the host is covered.
int OpenSource(SharedStep& step) {
  if (step.brings_tree) return 0;
  int fd = -1;
  if (step.kind == MountStep::Kind::kBind) {
    fd = open_tree(AT_FDCWD, step.source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (step.recursive ? AT_RECURSIVE : 0));
  } else if (step.kind == MountStep::Kind::kOverlay) {
    fd = open(step.source, O_PATH | O_DIRECTORY | O_CLOEXEC);
  } else {
    return 0;
  }
  if (fd < 0) return errno;
  if (!Is(fd, step.expect)) {
    close(fd);
    return ESTALE;
  }
  step.opened = fd;
  return 0;
}

int Bind(const SharedStep& step, int tree, Path& p) {
  if (const int e = MakeTarget(p, step.directory)) return e;
  if (step.attributes != 0) {
    mount_attr attributes{};
    attributes.attr_set = step.attributes;
    if (mount_setattr(tree, "", AT_EMPTY_PATH | (step.recursive ? AT_RECURSIVE : 0), &attributes, sizeof attributes) !=
        0)
      return errno;
  }
  if (step.over) return PutOn(tree, p, step.over);
  return move_mount(tree, "", AT_FDCWD, p.text, MOVE_MOUNT_F_EMPTY_PATH) == 0 ? 0 : errno;
}

// The sockets of an overlay are not the sockets of its layers: connect() finds nobody behind them.
int Overlay(SharedStep& step, Path& p) {
  if (const int e = MakeTarget(p, true)) return e;
  char options[96];
  snprintf(options, sizeof options, "lowerdir=/proc/self/fd/%d:%s", step.opened, kEmpty);
  if (mount("overlay", p.text, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options) == 0) return 0;
  // No overlay in this kernel, or other file systems are mounted inside: a plain bind, which the parent counts as
  // weaker.
  step.bound_plainly = true;
  const int tree = open_tree(step.opened, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (tree < 0) return errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  int e = mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) == 0 ? 0 : errno;
  if (e == 0) e = move_mount(tree, "", AT_FDCWD, p.text, MOVE_MOUNT_F_EMPTY_PATH) == 0 ? 0 : errno;
  close(tree);
  return e;
}

int WriteText(const SharedStep& step, Path& p) {
  int fd = -1;
  if (const int e = WithParents(p, [&] { return (fd = MakeFile(p)) >= 0 ? 0 : errno; })) return e;
  const ssize_t n = write(fd, step.source, step.source_bytes);
  const int e = n == static_cast<ssize_t>(step.source_bytes) ? 0 : (n < 0 ? errno : ENOSPC);
  close(fd);
  return e;
}

int Pin(Path& p) {
  struct stat st {};
  if (lstat(p.text, &st) != 0) return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : errno;
  if (S_ISLNK(st.st_mode)) return ELOOP;
  if (!S_ISDIR(st.st_mode)) return 0;
  const int tree = open_tree(AT_FDCWD, p.text, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (tree < 0) return errno;
  const int e = PutOn(tree, p, FileId{st.st_dev, st.st_ino});
  close(tree);
  return e;
}

int Hide(const SharedStep& step, Path& p) {
  struct stat st {};
  if (lstat(p.text, &st) != 0)
    return step.optional && (errno == ENOENT || errno == ENOTDIR || errno == EACCES) ? 0 : errno;
  Path source;
  snprintf(source.text, sizeof source.text, "%s/%s", staging, S_ISDIR(st.st_mode) ? kClosed : kNothing);
  const int tree = open_tree(AT_FDCWD, source.text, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  int e = mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0 ? 0 : errno;
  if (e == 0) e = PutOn(tree, p, step.expect);
  close(tree);
  return e;
}

int MakeReadOnly(Path& p) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  return mount_setattr(AT_FDCWD, p.text, 0, &attributes, sizeof attributes) == 0 ? 0 : errno;
}

unsigned long MountFlags(uint64_t attributes) {
  unsigned long flags = MS_NOSUID | MS_NODEV;
  if ((attributes & MOUNT_ATTR_NOEXEC) != 0) flags |= MS_NOEXEC;
  return flags;
}

int Take(SharedStep& step) {
  Path p;
  if (!Place(step.target, p)) return ENAMETOOLONG;
  switch (step.kind) {
    case MountStep::Kind::kDirectory: return MakeDirectory(p);
    case MountStep::Kind::kSymlink:
      return WithParents(p, [&] { return symlink(step.source, p.text) == 0 ? 0 : errno; });
    case MountStep::Kind::kText: return WriteText(step, p);
    case MountStep::Kind::kTmpfs:
      if (const int e = MakeTarget(p, true)) return e;
      return mount("tmpfs", p.text, "tmpfs", MountFlags(step.attributes), step.source) == 0 ? 0 : errno;
    case MountStep::Kind::kBind: return Bind(step, step.opened, p);
    case MountStep::Kind::kOverlay: return Overlay(step, p);
    case MountStep::Kind::kDevpts:
      if (const int e = MakeDirectory(p)) return e;
      return mount("devpts", p.text, "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620") == 0
                 ? 0
                 : errno;
    case MountStep::Kind::kProc:
      if (const int e = MakeDirectory(p)) return e;
      return mount("proc", p.text, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=invisible") == 0 ? 0 : errno;
    case MountStep::Kind::kPin: return Pin(p);
    case MountStep::Kind::kHide: return Hide(step, p);
    case MountStep::Kind::kReadOnly: return MakeReadOnly(p);
  }
  return EINVAL;
}

int FillStaging() {
  Path p;
  snprintf(p.text, sizeof p.text, "%s/%s", staging, kClosed);
  if (mkdir(p.text, 0) != 0) return errno;
  snprintf(p.text, sizeof p.text, "%s/%s", staging, kNothing);
  const int fd = open(p.text, O_CREAT | O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

int Scaffold() {
  if (mount("scaffold", kScaffold, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64k") != 0) return errno;
  if (mkdir(kRoot, 0755) != 0 || mkdir(kEmpty, 0755) != 0) return errno;
  if (const int e = FillStaging()) return e;
  // pivot_root wants a mount of its own; 4 MiB hold the small files written here and nothing of the agent's.
  return mount("root", kRoot, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=4m") == 0 ? 0 : errno;
}

}  // namespace

int KeepMountsHere() { return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ? 0 : errno; }

int OpenSources(std::span<SharedStep> steps, size_t& index) {
  for (index = 0; index < steps.size(); ++index) {
    SharedStep& step = steps[index];
    const int e = OpenSource(step);
    if (e != 0 && !(step.optional && e == ENOENT)) return e;
    if (e != 0) step.opened = kMissing;
  }
  return 0;
}

int BeginRoot() {
  umask(0);
  return Scaffold();
}

int TakeSteps(std::span<SharedStep> steps, size_t& index) {
  index = 0;
  bool filled = staging != kStaging;
  for (index = 0; index < steps.size(); ++index) {
    SharedStep& step = steps[index];
    if (step.opened == kMissing) continue;
    int e = 0;
    if (!filled && step.kind == MountStep::Kind::kHide) {
      e = mount("staging", kStaging, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64k") == 0 ? FillStaging() : errno;
      filled = true;
    }
    if (e == 0) e = Take(step);
    if (step.opened >= 0) close(step.opened);
    if (e != 0) return e;
  }
  // What was hidden with it keeps its own mounts.
  return staging == kStaging && filled && umount2(kStaging, MNT_DETACH) != 0 ? errno : 0;
}

int EnterRoot() {
  if (chdir(kRoot) != 0 || PivotRoot(".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) return errno;
  root = "";
  staging = kStaging;
  return 0;
}

}  // namespace hexr::spawner
