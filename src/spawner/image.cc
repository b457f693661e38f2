#include "spawner/image.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "base/limits/agents.h"

namespace hexr::spawner {
namespace {

using crypto::Sha256Digest;
using runtime::UniqueFd;

Result<FileKey> KeyOf(int fd) {
  struct stat st {};
  if (fstat(fd, &st) != 0) return ErrnoError("stat program", errno);
  if (!S_ISREG(st.st_mode)) return InvalidArgument("a program is a regular file");
  return FileKey{st.st_dev, st.st_ino, int64_t{st.st_ctim.tv_sec} * 1'000'000'000 + st.st_ctim.tv_nsec, st.st_size};
}

std::string LinkTarget(const std::string& path) {
  char buffer[PATH_MAX];
  const ssize_t n = readlink(path.c_str(), buffer, sizeof buffer);
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
}

}  // namespace

Result<std::pair<FileKey, Sha256Digest>> HashFile(int fd) {
  // A descriptor that only names the file (O_PATH) is opened anew, which root may do even where the agent may not read.
  UniqueFd readable;
  if ((fcntl(fd, F_GETFL) & O_PATH) != 0) {
    readable = UniqueFd(open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC));
    if (!readable) return ErrnoError("read program", errno);
    fd = readable.get();
  }
  ASSIGN_OR_RETURN(const FileKey before, KeyOf(fd));
  crypto::Sha256Hasher hasher;
  std::vector<uint8_t> buffer(256 * 1024);
  off_t at = 0;
  for (;;) {
    const ssize_t n = pread(fd, buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read program", errno);
    if (n == 0) break;
    hasher.Update(ByteView(buffer.data(), static_cast<size_t>(n)));
    at += n;
  }
  ASSIGN_OR_RETURN(const FileKey after, KeyOf(fd));
  if (before != after || at != after.size) return FailedPrecondition("the program changed while it was measured");
  return std::make_pair(after, hasher.Finish());
}

ImageDigests::ImageDigests(runtime::Loop& loop)
    : loop_(loop), self_(std::make_shared<ImageDigests*>(this)), worker_([this] { Work(); }) {}

ImageDigests::~ImageDigests() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  worker_.join();
}

std::optional<Sha256Digest> ImageDigests::Known(int fd) const {
  const Result<FileKey> key = KeyOf(fd);
  if (!key.ok()) return std::nullopt;
  const auto it = known_.find(*key);
  return it == known_.end() ? std::nullopt : std::optional<Sha256Digest>(it->second);
}

void ImageDigests::Measure(UniqueFd fd, Done done) {
  if (const auto known = Known(fd.get())) {
    loop_.Post([self = std::weak_ptr<ImageDigests*>(self_), digest = *known, done = std::move(done)]() mutable {
      if (self.lock()) done(digest);
    });
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (jobs_.size() < limits::kMaxQueuedMeasurements) {
      jobs_.push_back({std::move(fd), std::move(done)});
      wake_.notify_one();
      return;
    }
  }
  loop_.Post([self = std::weak_ptr<ImageDigests*>(self_), done = std::move(done)]() mutable {
    if (self.lock()) done(ResourceExhausted("too many programs wait to be measured"));
  });
}

void ImageDigests::MeasureImage(RunningProgram program, RunningProgram script, UniqueFunction<void(Image)> done) {
  Image image{std::move(program.path), std::nullopt, std::move(script.path), std::nullopt};
  Measure(std::move(program.fd), [this, image = std::move(image), script_fd = std::move(script.fd),
                                  done = std::move(done)](Result<Sha256Digest> d) mutable {
    if (d.ok()) image.exe_sha256 = *d;
    if (!script_fd) return done(std::move(image));
    Measure(std::move(script_fd), [image = std::move(image), done = std::move(done)](Result<Sha256Digest> s) mutable {
      if (s.ok()) image.script_sha256 = *s;
      done(std::move(image));
    });
  });
}

void ImageDigests::Work() {
  const std::weak_ptr<ImageDigests*> self = self_;
  for (;;) {
    Job job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    Result<std::pair<FileKey, Sha256Digest>> hashed = HashFile(job.fd.get());
    loop_.Post([self, hashed = std::move(hashed), done = std::move(job.done)]() mutable {
      const auto alive = self.lock();
      if (!alive) return;
      if (!hashed.ok()) return done(hashed.error());
      auto& known = (*alive)->known_;
      if (known.size() >= limits::kMaxKnownImages) known.clear();
      known[hashed->first] = hashed->second;
      done(hashed->second);
    });
  }
}

Result<RunningProgram> OpenRunningProgram(pid_t pid) {
  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  RunningProgram p{LinkTarget(link), UniqueFd(open(link.c_str(), O_RDONLY | O_CLOEXEC))};
  if (!p.fd) p.fd = UniqueFd(open(link.c_str(), O_PATH | O_CLOEXEC));
  if (!p.fd) return ErrnoError("open " + link, errno);
  return p;
}

RunningProgram OpenRunningScript(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const UniqueFd cmdline(open((folder + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  const ssize_t n = cmdline ? read(cmdline.get(), buffer, sizeof buffer) : -1;
  if (n <= 0) return {};
  const std::string_view all(buffer, static_cast<size_t>(n));
  size_t begin = all.find('\0');
  while (begin != std::string_view::npos && begin + 1 < all.size()) {
    const size_t end = all.find('\0', begin + 1);
    const std::string argument(all.substr(begin + 1, end == std::string_view::npos ? end : end - begin - 1));
    begin = end;
    if (argument.empty() || argument[0] == '-') continue;
    // Looked up in the agent's own root, from its working folder: no link leads out of there.
    const std::string cwd = LinkTarget(folder + "/cwd");
    const std::string path = argument[0] == '/' ? argument : cwd + "/" + argument;
    const UniqueFd root(open((folder + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    UniqueFd fd(root ? static_cast<int>(syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)) : -1);
    struct stat st {};
    if (fd && fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode)) return {path, std::move(fd)};
    return {};
  }
  return {};
}

}  // namespace hexr::spawner
