#include "spawner/image.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <vector>

#include "base/limits/agents.h"
#include "spawner/script.h"

namespace hexr::spawner {
namespace {

using crypto::Sha256Digest;
using runtime::UniqueFd;

constexpr size_t kBufferBytes = size_t{256} * 1024;

std::string LinkTarget(const std::string& path) {
  char buffer[PATH_MAX];
  const ssize_t n = readlink(path.c_str(), buffer, sizeof buffer);
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
}

// Looked up in the agent's own root: no link leads out of there.
UniqueFd OpenInRoot(pid_t pid, const std::string& path) {
  const UniqueFd root(open(("/proc/" + std::to_string(pid) + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(root ? static_cast<int>(syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)) : -1);
}

}  // namespace

std::string PathOf(int fd) { return LinkTarget("/proc/self/fd/" + std::to_string(fd)); }

Result<FileKey> FileKeyOf(int fd, bool cached) {
  struct statx st {};
  const int flags = AT_EMPTY_PATH | (cached ? AT_STATX_DONT_SYNC : AT_STATX_SYNC_AS_STAT);
  if (statx(fd, "", flags, STATX_BASIC_STATS, &st) != 0) return ErrnoError("stat program", errno);
  if (!S_ISREG(st.stx_mode)) return InvalidArgument("a program is a regular file");
  return FileKey{makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino,
                 st.stx_ctime.tv_sec * 1'000'000'000 + st.stx_ctime.tv_nsec, static_cast<off_t>(st.stx_size)};
}

// One file, some of it at a time.
struct ImageDigests::Job {
  Job(UniqueFd file, WallTime now, Lasts check) : fd(std::move(file)), asked(now), may_last(check) {}
  Status Begin();
  // The next kMeasuredBytesPerTurn. Nullopt: there is more.
  std::optional<Result<Sha256Digest>> Turn();
  // True: `result` is there. The file is closed here as well, which may ask its file system too.
  bool Work() {
    auto turn = Turn();
    if (!turn) return false;
    result = std::move(*turn);
    fd.reset();
    return true;
  }

  UniqueFd fd;
  const WallTime asked;
  const Lasts may_last;
  bool lasts = false;
  Result<Sha256Digest> result = Internal("not measured");
  std::optional<FileKey> before;  // once begun
  crypto::Sha256Hasher hasher;
  off_t at = 0;
};

Status ImageDigests::Job::Begin() {
  // A descriptor that only names the file (O_PATH) is opened anew, which root may do even where the agent may not read.
  if ((fcntl(fd.get(), F_GETFL) & O_PATH) != 0) {
    fd = UniqueFd(open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return ErrnoError("read program", errno);
  }
  ASSIGN_OR_RETURN(before, FileKeyOf(fd.get()));
  // The hole of a sparse file costs its maker nothing and us as much as any bytes.
  if (static_cast<uint64_t>(before->size) > limits::kMaxMeasuredFileBytes)
    return ResourceExhausted("the program is larger than is measured");
  lasts = may_last(fd.get(), asked);
  return Ok();
}

std::optional<Result<Sha256Digest>> ImageDigests::Job::Turn() {
  if (!before) {
    if (const Status s = Begin(); !s.ok()) return Result<Sha256Digest>(s.error());
  }
  static thread_local std::vector<uint8_t> buffer(kBufferBytes);
  const off_t stop = at + static_cast<off_t>(limits::kMeasuredBytesPerTurn);
  while (at < stop) {
    const ssize_t n = pread(fd.get(), buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Result<Sha256Digest>(ErrnoError("read program", errno));
    at += n;
    if (n > 0 && at <= before->size) {
      hasher.Update(ByteView(buffer.data(), static_cast<size_t>(n)));
      continue;
    }
    const Result<FileKey> after = FileKeyOf(fd.get());
    if (!after.ok()) return Result<Sha256Digest>(after.error());
    if (*before != *after || at != after->size)
      return Result<Sha256Digest>(FailedPrecondition("the program changed while it was measured"));
    return Result<Sha256Digest>(hasher.Finish());
  }
  return std::nullopt;
}

ImageDigests::ImageDigests(runtime::Loop& loop, const Clock& clock, Lasts lasts)
    : loop_(loop), clock_(clock), lasts_(lasts), self_(std::make_shared<ImageDigests*>(this)), files_(loop) {}

std::optional<Sha256Digest> ImageDigests::Known(int fd) const {
  const Result<FileKey> key = FileKeyOf(fd, /*cached=*/true);
  if (!key.ok()) return std::nullopt;
  const auto it = known_.find(*key);
  return it == known_.end() ? std::nullopt : std::optional<Sha256Digest>(it->second);
}

void ImageDigests::Measure(const std::string& party, UniqueFd fd, Done done) {
  if (const auto known = Known(fd.get())) {
    loop_.Post([self = std::weak_ptr<ImageDigests*>(self_), digest = *known, done = std::move(done)]() mutable {
      if (self.lock()) done(digest);
    });
    return;
  }
  const auto job = std::make_shared<Job>(std::move(fd), clock_.Wall(), lasts_);
  const auto tell = std::make_shared<Done>(std::move(done));
  const size_t most = files_.waiting() < limits::kMaxQueuedMeasurements ? limits::kMaxQueuedMeasurementsOfOne : 1;
  const Status s = files_.Add(
      party, most, [job] { return job->Work(); },
      [this, job, tell] {
        if (job->result.ok() && job->lasts) {
          if (known_.size() >= limits::kMaxKnownImages) known_.clear();
          known_[*job->before] = *job->result;
        }
        (*tell)(std::move(job->result));
      });
  if (s.ok()) return;
  loop_.Post([self = std::weak_ptr<ImageDigests*>(self_), tell, error = s.error()] {
    if (self.lock()) (*tell)(error);
  });
}

void ImageDigests::MeasureImage(const std::string& party, RunningProgram program, RunningProgram script,
                                UniqueFunction<void(Image)> done) {
  Image image{std::move(program.path), std::nullopt, std::move(script.path), std::nullopt};
  if (const auto key = FileKeyOf(program.fd.get(), /*cached=*/true); key.ok()) image.key = *key;
  Measure(party, std::move(program.fd),
          [this, party, image = std::move(image), script_fd = std::move(script.fd),
           done = std::move(done)](Result<Sha256Digest> d) mutable {
            if (d.ok()) image.exe_sha256 = *d;
            if (!script_fd) return done(std::move(image));
            Measure(party, std::move(script_fd),
                    [image = std::move(image), done = std::move(done)](Result<Sha256Digest> s) mutable {
                      if (s.ok()) image.script_sha256 = *s;
                      done(std::move(image));
                    });
          });
}

Result<RunningProgram> OpenRunningProgram(pid_t pid) {
  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  RunningProgram p{LinkTarget(link), UniqueFd(open(link.c_str(), O_PATH | O_CLOEXEC))};
  if (!p.fd) return ErrnoError("open " + link, errno);
  return p;
}

ScriptLook LookForScript(pid_t pid, const std::string& exe) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const UniqueFd cmdline(open((folder + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  const ssize_t n = cmdline ? read(cmdline.get(), buffer, sizeof buffer) : -1;
  if (n <= 0) return {.too_early = n == 0};
  const std::vector<std::string> argv = ArgumentsOf(std::string_view(buffer, static_cast<size_t>(n)));
  const std::optional<size_t> at = ScriptArgument(exe, argv);
  if (!at) return {};
  const std::string& script = argv[*at];
  std::string path = script[0] == '/' ? script : LinkTarget(folder + "/cwd") + "/" + script;
  UniqueFd fd = OpenInRoot(pid, path);
  struct stat st {};
  if (!fd || fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return {};
  return {.script = {std::move(path), std::move(fd)}};
}

// A process between its new memory and its new arguments.
struct ImageDigests::Search {
  std::string party, exe;
  pid_t pid;
  UniqueFunction<void(RunningProgram, size_t)> done;
  size_t looks = 0;
  std::chrono::microseconds wait{100};
  runtime::Timer again = {};
};

void ImageDigests::FindScript(const std::string& party, pid_t pid, const std::string& exe,
                              UniqueFunction<void(RunningProgram, size_t)> done) {
  if (!IsKnownInterpreter(exe)) return done({}, 0);
  const auto search = std::make_shared<Search>(Search{party, exe, pid, std::move(done)});
  searches_.insert(search);
  Look(search);
}

void ImageDigests::Look(const std::shared_ptr<Search>& search) {
  ++search->looks;
  // Beside the loop: the arguments, like the script, may lie in a file system of the agent's.
  files_.Run<ScriptLook>(
      search->party, [pid = search->pid, exe = search->exe] { return LookForScript(pid, exe); },
      [this, search](Result<ScriptLook> found) {
        if (found.ok() && found->too_early && search->looks < limits::kMaxLooksForArguments) {
          search->again = loop_.After(search->wait, [this, weak = std::weak_ptr<Search>(search)] {
            if (const auto waiting = weak.lock()) Look(waiting);
          });
          search->wait *= 2;
          return;
        }
        searches_.erase(search);
        search->done(found.ok() ? std::move(found->script) : RunningProgram(), search->looks);
      });
}

namespace {

// The kernel follows no more of them.
constexpr int kInterpretersFollowed = 5;

}  // namespace

Status CheckRuns(pid_t pid, const Launched& launched) {
  const Result<RunningProgram> runs = OpenRunningProgram(pid);
  if (!runs.ok()) return Ok();
  const Error other = PermissionDenied(launched.path + " is not what was measured: " + runs->path + " runs instead");
  const Result<FileKey> key = FileKeyOf(runs->fd.get());
  if (!key.ok()) return other;
  if (*key == launched.key) return Ok();
  std::string interpreter = InterpreterOf(launched.head);
  if (interpreter.empty()) return other;
  const UniqueFd script = OpenInRoot(pid, launched.path);
  const Result<FileKey> lies_there = FileKeyOf(script.get());
  if (!lies_there.ok() || *lies_there != launched.key)
    return PermissionDenied(launched.path + " is not what was measured: it has been replaced or changed since");
  for (int i = 0; i < kInterpretersFollowed; ++i) {
    const UniqueFd file = OpenInRoot(pid, interpreter);
    const Result<FileKey> expected = FileKeyOf(file.get());
    if (!expected.ok()) return other;
    if (*expected == *key) return Ok();
    char head[256];
    const ssize_t n = pread(file.get(), head, sizeof head, 0);
    interpreter = InterpreterOf(std::string_view(head, n > 0 ? static_cast<size_t>(n) : 0));
    if (interpreter.empty()) return other;
  }
  return other;
}

}  // namespace hexr::spawner
