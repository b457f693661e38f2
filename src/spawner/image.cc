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

// One file, some of it at a time.
struct ImageDigests::Job {
  Job(UniqueFd file, Done answer) : fd(std::move(file)), done(std::move(answer)) {}
  Status Begin();
  // The next kMeasuredBytesPerTurn. Nullopt: there is more.
  std::optional<Result<Sha256Digest>> Turn(std::vector<uint8_t>& buffer);

  UniqueFd fd;
  Done done;
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
  ASSIGN_OR_RETURN(before, KeyOf(fd.get()));
  // The hole of a sparse file costs its maker nothing and us as much as any bytes.
  if (static_cast<uint64_t>(before->size) > limits::kMaxMeasuredFileBytes)
    return ResourceExhausted("the program is larger than is measured");
  return Ok();
}

std::optional<Result<Sha256Digest>> ImageDigests::Job::Turn(std::vector<uint8_t>& buffer) {
  if (!before) {
    if (const Status s = Begin(); !s.ok()) return Result<Sha256Digest>(s.error());
  }
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
    const Result<FileKey> after = KeyOf(fd.get());
    if (!after.ok()) return Result<Sha256Digest>(after.error());
    if (*before != *after || at != after->size)
      return Result<Sha256Digest>(FailedPrecondition("the program changed while it was measured"));
    return Result<Sha256Digest>(hasher.Finish());
  }
  return std::nullopt;
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

void ImageDigests::Measure(const std::string& party, UniqueFd fd, Done done) {
  if (const auto known = Known(fd.get())) {
    loop_.Post([self = std::weak_ptr<ImageDigests*>(self_), digest = *known, done = std::move(done)]() mutable {
      if (self.lock()) done(digest);
    });
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& own = jobs_[party];
    const size_t bound = waiting_ < limits::kMaxQueuedMeasurements ? limits::kMaxQueuedMeasurementsOfOne : 1;
    if (own.size() < bound) {
      if (own.empty()) ring_.push_back(party);
      own.push_back(std::make_unique<Job>(std::move(fd), std::move(done)));
      ++waiting_;
      wake_.notify_one();
      return;
    }
  }
  loop_.Post([self = std::weak_ptr<ImageDigests*>(self_), done = std::move(done)]() mutable {
    if (self.lock()) done(ResourceExhausted("too many programs wait to be measured"));
  });
}

void ImageDigests::MeasureImage(const std::string& party, RunningProgram program, RunningProgram script,
                                UniqueFunction<void(Image)> done) {
  Image image{std::move(program.path), std::nullopt, std::move(script.path), std::nullopt};
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

// Waits for one. Null: the end. The job in work stays its party's first, as an empty place, so that it counts.
std::unique_ptr<ImageDigests::Job> ImageDigests::NextJob(std::string& party) {
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [this] { return stop_ || !ring_.empty(); });
  if (stop_) return nullptr;
  party = std::move(ring_.front());
  ring_.pop_front();
  return std::move(jobs_[party].front());
}

void ImageDigests::Work() {
  const std::weak_ptr<ImageDigests*> self = self_;
  std::vector<uint8_t> buffer(256 * 1024);
  std::string party;
  while (std::unique_ptr<Job> job = NextJob(party)) {
    std::optional<Result<Sha256Digest>> hashed = job->Turn(buffer);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto own = jobs_.find(party);
      if (!hashed) {
        own->second.front() = std::move(job);
      } else {
        own->second.pop_front();
        --waiting_;
      }
      if (own->second.empty())
        jobs_.erase(own);
      else
        ring_.push_back(party);
    }
    if (!hashed) continue;
    loop_.Post([self, hashed = std::move(*hashed), job = std::move(job)]() mutable {
      const auto alive = self.lock();
      if (!alive) return;
      if (hashed.ok()) {
        auto& known = (*alive)->known_;
        if (known.size() >= limits::kMaxKnownImages) known.clear();
        known[*job->before] = *hashed;
      }
      job->done(std::move(hashed));
    });
  }
}

Result<RunningProgram> OpenRunningProgram(pid_t pid) {
  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  RunningProgram p{LinkTarget(link), UniqueFd(open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))};
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
