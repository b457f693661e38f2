// What a program file is: its SHA-256, remembered by what the file system says of it.
#pragma once

#include <sys/types.h>

#include <array>
#include <compare>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/unique_function.h"
#include "crypto/digest.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {

// What a process image is. Empty digests: the file could not be read by us (executable only), or there is no script.
struct Image {
  std::string exe;
  std::optional<crypto::Sha256Digest> exe_sha256;
  std::string script;
  std::optional<crypto::Sha256Digest> script_sha256;
  bool operator==(const Image&) const = default;
};

// A file that is or would be run, and where it lies. An empty path: there is none.
struct RunningProgram {
  std::string path;
  runtime::UniqueFd fd;
};

// One file's identity while its content stays: any write moves ctime, any replacement the inode. The mount is left out
// on purpose, since every agent has mounts of its own over the same files.
struct FileKey {
  dev_t dev;
  ino_t ino;
  int64_t ctime_ns;
  off_t size;
  auto operator<=>(const FileKey&) const = default;
};

// Hashes files on one thread of its own, since a large interpreter takes longer than the loop may wait. Those for whom
// files are hashed take turns (INV-SPAWN-15). Public functions belong to the loop's thread.
class ImageDigests {
 public:
  explicit ImageDigests(runtime::Loop& loop);
  ~ImageDigests();
  ImageDigests(const ImageDigests&) = delete;
  ImageDigests& operator=(const ImageDigests&) = delete;

  // What is known without reading the file.
  std::optional<crypto::Sha256Digest> Known(int fd) const;
  // `party`: for whom, an instance or a user; it waits for its own files, and for one turn of each other party.
  // `done` runs on the loop, never inside this call: the digest, RESOURCE_EXHAUSTED when too many of the party's wait
  // already or the file is larger than limits::kMaxMeasuredFileBytes, FAILED_PRECONDITION when it changed while it was
  // read, or why it could not be read.
  using Done = UniqueFunction<void(Result<crypto::Sha256Digest>)>;
  void Measure(const std::string& party, runtime::UniqueFd fd, Done done);
  // Both files of an image. A file that cannot be measured is there without its digest.
  void MeasureImage(const std::string& party, RunningProgram program, RunningProgram script,
                    UniqueFunction<void(Image)> done);

 private:
  struct Job;
  std::unique_ptr<Job> NextJob(std::string& party);
  void Work();

  runtime::Loop& loop_;
  std::map<FileKey, crypto::Sha256Digest> known_;
  std::shared_ptr<ImageDigests*> self_;  // results that arrive after our end are dropped
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, std::deque<std::unique_ptr<Job>>> jobs_;  // by party
  std::deque<std::string> ring_;                                  // parties with jobs; the first is next
  size_t waiting_ = 0;                                            // jobs of all, the one in work among them
  bool stop_ = false;
  std::thread worker_;
};

// The program of a running process: /proc/PID/exe, open for reading (or O_PATH where it may not be read), and its path.
Result<RunningProgram> OpenRunningProgram(pid_t pid);
// The first argument of a running process that is a file of its own view, other than an option. None: an empty path.
RunningProgram OpenRunningScript(pid_t pid);

}  // namespace hexr::spawner
