#include "spawner/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <memory>
#include <utility>

#include "base/limits/agents.h"

namespace hexr::spawner {
namespace {

// Beside the leaves: the node's own processes, where controllers are to be shared out.
constexpr char kNodeGroup[] = "hexr-node";
constexpr char kLeavesPrefix[] = "hexr-agents-";
constexpr int kEmptyWaitMs = 100, kEmptyRounds = 8;
constexpr size_t kMaxFileBytes = 1024 * 1024;

bool Write(const std::string& path, std::string_view text) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string ReadText(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; fd && text.size() < kMaxFileBytes && (n = read(fd.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

std::vector<std::string_view> Split(std::string_view text, char by) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(by), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::vector<pid_t> Pids(std::string_view text) {
  std::vector<pid_t> out;
  for (const std::string_view line : Split(text, '\n')) {
    pid_t pid = 0;
    // 0: a process outside of our PID namespace, which is none of ours.
    if (std::from_chars(line.data(), line.data() + line.size(), pid).ec == std::errc()) out.push_back(pid);
  }
  return out;
}

bool Has(std::string_view words, std::string_view word) {
  for (const std::string_view line : Split(words, '\n')) {
    const auto found = Split(line, ' ');
    if (std::find(found.begin(), found.end(), word) != found.end()) return true;
  }
  return false;
}

bool MakeFolder(const std::string& path) { return mkdir(path.c_str(), 0755) == 0 || errno == EEXIST; }

// The node's group: where we are, or the group above when a predecessor has moved the node into one of its own.
CgroupPlace NodePlace(CgroupPlace place) {
  const std::string suffix = std::string("/") + kNodeGroup;
  for (std::string* path : {&place.path, &place.name}) {
    if (!path->ends_with(suffix)) continue;
    path->resize(path->size() - suffix.size());
    if (path->empty()) *path = "/";
  }
  return place;
}

// The parent of a process and the name of its program, from outside of it.
pid_t ParentOf(pid_t pid) {
  const std::string stat = ReadText("/proc/" + std::to_string(pid) + "/stat");
  const auto fields = Split(std::string_view(stat).substr(std::min(stat.rfind(')') + 1, stat.size())), ' ');
  pid_t parent = 0;
  if (fields.size() > 1) std::from_chars(fields[1].data(), fields[1].data() + fields[1].size(), parent);
  return parent;
}

bool IsStarter(pid_t pid) {
  char link[PATH_MAX];
  const ssize_t n = readlink(("/proc/" + std::to_string(pid) + "/exe").c_str(), link, sizeof link);
  const std::string_view path(link, n > 0 ? static_cast<size_t>(n) : 0);
  return path.substr(path.rfind('/') + 1).starts_with("hexr");
}

// Moves the node's processes out of `folder`, into a group below. False when others are in there: they are not ours to
// move.
bool MoveNode(const std::string& folder, pid_t supervisor) {
  const auto ours = [&](pid_t pid) {
    return pid == supervisor || ParentOf(pid) == supervisor ||
           (pid == ParentOf(supervisor) && IsStarter(pid));  // `hexr up`
  };
  const std::string own = folder + "/" + kNodeGroup;
  // Twice: a child that the supervisor starts meanwhile is born where the supervisor still was.
  for (int round = 0; round < 2; ++round) {
    const std::vector<pid_t> pids = Pids(ReadText(folder + "/cgroup.procs"));
    if (!std::all_of(pids.begin(), pids.end(), ours) || !MakeFolder(own)) return false;
    for (const pid_t pid : pids) {
      if (!Write(own + "/cgroup.procs", std::to_string(pid)) && kill(pid, 0) == 0) return false;
    }
  }
  return true;
}

// By the kernel's own notice, and not for long. Version 1 has none, and lets go at the same moment.
bool WaitUntilEmpty(const std::string& leaf) {
  const UniqueFd events(open((leaf + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
  char text[256];
  for (int round = 0; events && round < kEmptyRounds; ++round) {
    const ssize_t n = pread(events.get(), text, sizeof text, 0);
    if (n <= 0 || std::string_view(text, static_cast<size_t>(n)).find("populated 0") != std::string_view::npos)
      return true;
    pollfd p{events.get(), POLLPRI, 0};
    if (poll(&p, 1, kEmptyWaitMs) == 0) return false;
  }
  return true;
}

bool Enable(const std::string& folder, std::string_view controller) {
  return Has(ReadText(folder + "/cgroup.subtree_control"), controller) ||
         Write(folder + "/cgroup.subtree_control", "+" + std::string(controller));
}

}  // namespace

CgroupLimits DefaultCgroupLimits() {
  const auto pages = static_cast<uint64_t>(std::max(sysconf(_SC_PHYS_PAGES), 1L));
  const auto page = static_cast<uint64_t>(std::max(sysconf(_SC_PAGESIZE), 1L));
  return {limits::kMaxAgentProcesses, pages * page / 100 * limits::kAgentMemoryPercent};
}

std::vector<CgroupPlace> ParseCgroupPlaces(std::string_view cgroup, std::string_view mountinfo) {
  std::vector<CgroupPlace> out;
  for (const std::string_view line : Split(cgroup, '\n')) {
    // "4:memory:/a/b", "0::/a/b"
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    CgroupPlace place;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    place.unified = names.empty();
    for (const std::string_view c : Split(names, ',')) place.controllers.emplace_back(c);
    const std::string_view path = line.substr(second + 1);
    if (!path.starts_with('/') || path.starts_with("/..")) continue;
    for (const std::string_view mount : Split(mountinfo, '\n')) {
      // "36 35 0:30 /root /mount/point opts [tags] - type source superopts"
      const size_t dash = mount.find(" - ");
      if (dash == std::string_view::npos) continue;
      const auto before = Split(mount.substr(0, dash), ' '), after = Split(mount.substr(dash + 3), ' ');
      if (before.size() < 6 || after.size() < 3 || after[0] != (place.unified ? "cgroup2" : "cgroup")) continue;
      const auto options = Split(after[2], ',');
      const bool same =
          place.unified || (!place.controllers.empty() &&
                            std::find(options.begin(), options.end(), place.controllers[0]) != options.end());
      const std::string_view root = before[3];
      if (!same || before[4].find('\\') != std::string_view::npos) continue;
      std::string_view rest = path;
      if (root != "/") {
        if (!rest.starts_with(root)) continue;
        rest.remove_prefix(root.size());
        if (!rest.empty() && rest[0] != '/') continue;
      }
      place.mount = before[4];
      place.name = path;
      place.path = rest.empty() ? "/" : std::string(rest);
      out.push_back(std::move(place));
      break;
    }
  }
  return out;
}

Result<std::vector<CgroupPlace>> CgroupPlacesOf(pid_t pid) {
  const std::string cgroup = ReadText("/proc/" + std::to_string(pid) + "/cgroup");
  if (cgroup.empty()) return NotFound("no control groups, or no such process");
  return ParseCgroupPlaces(cgroup, ReadText("/proc/self/mountinfo"));
}

// ---- one leaf

CgroupLeaf& CgroupLeaf::operator=(CgroupLeaf&& o) noexcept {
  Remove();
  folder_ = std::move(o.folder_);
  tasks_ = std::move(o.tasks_);
  path_ = std::move(o.path_);
  folders_ = std::exchange(o.folders_, {});
  refused_ = std::move(o.refused_);
  return *this;
}

Status CgroupLeaf::Kill() const {
  if (!folder_) return Unimplemented("no control group of its own");
  const UniqueFd kill(openat(folder_.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
  if (!kill) return errno == ENOENT ? Unimplemented("no cgroup.kill in this kernel") : ErrnoError("cgroup.kill", errno);
  if (write(kill.get(), "1", 1) != 1) return ErrnoError("cgroup.kill", errno);
  return Ok();
}

void CgroupLeaf::Remove() {
  folder_.reset();
  tasks_.clear();
  for (std::string& f : folders_) {
    if (rmdir(f.c_str()) != 0 && errno == EBUSY) refused_->push_back(std::move(f));
  }
  folders_.clear();
}

// ---- all of them

std::vector<std::string> ShareControllers(const std::string& folder, const std::string& leaves,
                                          std::vector<std::string> wanted, pid_t supervisor) {
  const std::string available = ReadText(folder + "/cgroup.controllers");
  std::erase_if(wanted, [&](const std::string& c) { return !Has(available, c); });
  if (wanted.empty()) return wanted;
  // Only the root group of all has no type, and may share controllers out while processes are in it.
  const bool root = access((folder + "/cgroup.type").c_str(), F_OK) != 0;
  if (!root && !MoveNode(folder, supervisor)) return {};
  std::erase_if(wanted, [&](const std::string& c) { return !Enable(folder, c) || !Enable(leaves, c); });
  return wanted;
}

std::unique_ptr<Cgroups> Cgroups::Make(const std::vector<CgroupPlace>& places, const std::string& node_key,
                                       pid_t supervisor) {
  auto out = std::make_unique<Cgroups>();
  const std::string name = kLeavesPrefix + node_key;
  // Version 2 first: a controller that it has is in no version 1 hierarchy.
  for (const CgroupPlace& p : places) {
    if (p.unified) out->MakeUnified(NodePlace(p), name, supervisor);
  }
  for (const CgroupPlace& p : places) {
    if (!p.unified) out->MakeLegacy(p, name);
  }
  return out;
}

void Cgroups::MakeUnified(const CgroupPlace& place, const std::string& name, pid_t supervisor) {
  const std::string folder = place.Folder(), leaves = folder + "/" + name;
  if (!MakeFolder(leaves)) return;
  unified_ = leaves;
  unified_path_ = (place.name == "/" ? "" : place.name) + "/" + name;
  const std::vector<std::string> shared = ShareControllers(folder, leaves, {"pids", "memory"}, supervisor);
  const auto has = [&](const char* c) { return std::find(shared.begin(), shared.end(), c) != shared.end(); };
  unified_processes_ = has("pids");
  unified_memory_ = has("memory");
  limits_processes_ |= unified_processes_;
  limits_memory_ |= unified_memory_;
}

void Cgroups::MakeLegacy(const CgroupPlace& place, const std::string& name) {
  const auto has = [&](const char* c) {
    return std::find(place.controllers.begin(), place.controllers.end(), c) != place.controllers.end();
  };
  Legacy l{place.Folder() + "/" + name, has("pids"), has("memory")};
  if (!l.processes && !l.memory) return;
  if (!MakeFolder(l.folder)) return;
  limits_processes_ |= l.processes;
  limits_memory_ |= l.memory;
  legacy_.push_back(std::move(l));
}

void Cgroups::Tidy() const {
  std::erase_if(*refused_, [](const std::string& folder) { return rmdir(folder.c_str()) == 0 || errno != EBUSY; });
}

Cgroups::~Cgroups() {
  // A short wait for the last ones; a leaf whose agent outlives this process is a successor's.
  for (const std::string& folder : *refused_) {
    if (!unified_.empty() && folder.starts_with(unified_) && !WaitUntilEmpty(folder)) break;
  }
  Tidy();
  if (!unified_.empty()) (void)rmdir(unified_.c_str());
  for (const Legacy& l : legacy_) (void)rmdir(l.folder.c_str());
}

Result<CgroupLeaf> Cgroups::NewLeaf(const InstanceId& id, const CgroupLimits& limits) const {
  Tidy();
  CgroupLeaf leaf;
  leaf.refused_ = refused_;
  if (!unified_.empty()) {
    const std::string folder = unified_ + "/" + id.value();
    if (mkdir(folder.c_str(), 0755) != 0) return ErrnoError("make control group " + folder, errno);
    leaf.folders_.push_back(folder);
    if (unified_processes_ && !Write(folder + "/pids.max", std::to_string(limits.processes)))
      return ErrnoError("pids.max", errno);
    if (unified_memory_) {
      if (!Write(folder + "/memory.max", std::to_string(limits.memory_bytes))) return ErrnoError("memory.max", errno);
      // An agent that has lost one process to the kernel's choice is in a state nobody has foreseen: all or none.
      (void)Write(folder + "/memory.oom.group", "1");
    }
    leaf.folder_ = UniqueFd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!leaf.folder_) return ErrnoError("open control group " + folder, errno);
    leaf.path_ = unified_path_ + "/" + id.value();
  }
  for (const Legacy& l : legacy_) {
    const std::string folder = l.folder + "/" + id.value();
    if (mkdir(folder.c_str(), 0755) != 0) return ErrnoError("make control group " + folder, errno);
    leaf.folders_.push_back(folder);
    if (l.processes && !Write(folder + "/pids.max", std::to_string(limits.processes)))
      return ErrnoError("pids.max", errno);
    if (l.memory && !Write(folder + "/memory.limit_in_bytes", std::to_string(limits.memory_bytes))) {
      return ErrnoError("memory.limit_in_bytes", errno);
    }
    UniqueFd tasks(open((folder + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
    if (!tasks) return ErrnoError("open control group " + folder, errno);
    leaf.tasks_.push_back(std::move(tasks));
  }
  return leaf;
}

CgroupLeaf Cgroups::Reopen(const InstanceId& id) const {
  CgroupLeaf leaf;
  leaf.refused_ = refused_;
  if (!unified_.empty()) {
    const std::string folder = unified_ + "/" + id.value();
    leaf.folder_ = UniqueFd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (leaf.folder_) leaf.path_ = unified_path_ + "/" + id.value();
    leaf.folders_.push_back(folder);
  }
  for (const Legacy& l : legacy_) leaf.folders_.push_back(l.folder + "/" + id.value());
  return leaf;
}

void Cgroups::Sweep() const {
  std::vector<std::string> folders;
  if (!unified_.empty()) folders.push_back(unified_);
  for (const Legacy& l : legacy_) folders.push_back(l.folder);
  for (const std::string& folder : folders) {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), &closedir);
    while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
      if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
        (void)unlinkat(dirfd(dir.get()), entry->d_name, AT_REMOVEDIR);
    }
  }
}

std::vector<std::string> Cgroups::Weaker() const {
  std::vector<std::string> out;
  if (!limits_processes_ && !limits_memory_) {
    out.push_back("no control group with limits: processes and memory are bounded by rlimits alone");
  } else if (!limits_memory_) {
    out.push_back("no memory controller: the agent's memory is bounded by rlimits alone");
  } else if (!limits_processes_) {
    out.push_back("no pids controller: the agent's processes are bounded by an rlimit alone");
  }
  return out;
}

CgroupFindings FindCgroups(const std::vector<CgroupPlace>& places) {
  CgroupFindings out;
  for (CgroupPlace p : places) {
    if (p.unified) p = NodePlace(p);
    if (access(p.Folder().c_str(), W_OK) != 0) continue;
    if (p.unified) out.unified = p.Folder();
    const std::string available = p.unified ? ReadText(p.Folder() + "/cgroup.controllers") : std::string();
    const auto has = [&](const char* c) {
      return p.unified ? Has(available, c)
                       : std::find(p.controllers.begin(), p.controllers.end(), c) != p.controllers.end();
    };
    out.processes |= has("pids");
    out.memory |= has("memory");
  }
  return out;
}

}  // namespace hexr::spawner
