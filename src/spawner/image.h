// What a program file is: its SHA-256, remembered by what the file system says of it.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "crypto/digest.h"
#include "runtime/file_changes.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"
#include "spawner/file_work.h"

namespace hexr::spawner {

// One file's identity, and while its changes show (runtime/file_changes.h) that of its content. The mount is left out
// on purpose, since every agent has mounts of its own over the same files.
struct FileKey {
  dev_t dev;
  ino_t ino;
  int64_t ctime_ns;
  off_t size;
  auto operator<=>(const FileKey&) const = default;
};

// What a process image is. Empty digests: the file could not be read by us (executable only), or there is no script.
struct Image {
  std::string exe;
  std::optional<crypto::Sha256Digest> exe_sha256;
  std::string script;
  std::optional<crypto::Sha256Digest> script_sha256;
  std::optional<FileKey> key = {};  // of the executable
  bool operator==(const Image&) const = default;
};

// A file that is or would be run, and where it lies. An empty path: there is none.
struct RunningProgram {
  std::string path;
  runtime::UniqueFd fd;
};

// Where an open file lies, as whoever opened it sees it. Asks no file system.
std::string PathOf(int fd);
// Of a regular file. On the loop's thread with `cached`: as the kernel remembers it, no file system is asked.
Result<FileKey> FileKeyOf(int fd, bool cached = false);

// Hashes files beside the loop, since a large interpreter takes longer than that may wait. Those for whom files are
// hashed take turns (INV-SPAWN-15). Public functions belong to the loop's thread.
class ImageDigests {
 public:
  // Whether a digest may be remembered: ChangesShow, or a test's.
  using Lasts = bool (*)(int fd, WallTime now);
  ImageDigests(runtime::Loop& loop, const Clock& clock, Lasts lasts = runtime::ChangesShow);
  ImageDigests(const ImageDigests&) = delete;
  ImageDigests& operator=(const ImageDigests&) = delete;

  // For whatever else asks a file system that is not the machine's own.
  FileWork& files() { return files_; }

  // What is known without asking the file's file system.
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
  // The script that a process runs, and how often it was looked for: an exec gives a process its new memory before its
  // new arguments. `done` may run inside this call.
  void FindScript(const std::string& party, pid_t pid, const std::string& exe,
                  UniqueFunction<void(RunningProgram, size_t looks)> done);

 private:
  struct Job;
  struct Search;
  void Look(const std::shared_ptr<Search>& search);

  runtime::Loop& loop_;
  const Clock& clock_;
  Lasts lasts_;
  std::map<FileKey, crypto::Sha256Digest> known_;
  std::shared_ptr<ImageDigests*> self_;  // results that arrive after our end are dropped
  std::set<std::shared_ptr<Search>> searches_;
  FileWork files_;
};

// The program of a running process, /proc/PID/exe, as a name (O_PATH), and its path. Asks no file system.
Result<RunningProgram> OpenRunningProgram(pid_t pid);
// The script of a process that runs `exe`, as its command line stands in its memory (script.h), and as a file of its
// own view. None: an empty path. Asks whatever file systems these lie in.
struct ScriptLook {
  RunningProgram script;
  bool too_early = false;  // it has no arguments yet
};
ScriptLook LookForScript(pid_t pid, const std::string& exe);

// A launched program as it was before it was measured.
struct Launched {
  std::string path;  // as the agent sees it
  std::string head;  // its first bytes
  FileKey key;
};
// Whether the process runs it now: the file itself, or the interpreter of its "#!" line (then it has to lie at its path
// still), or the shell for a text without one. A process that has ended is not held to it. Asks whatever file systems
// these lie in.
Status CheckRuns(pid_t pid, const Launched& launched);

}  // namespace hexr::spawner
