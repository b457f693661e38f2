// Which program a process runs, seen by a helper process for one that may not look itself: Landlock, which keeps a
// compromised keeper from other files, also forbids it /proc/PID/exe of every process outside its own domain.
//
// The helper is a fork that holds nothing but the right to look. Belongs to one thread; calls block for microseconds.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_function.h"
#include "identity/process.h"
#include "runtime/unique_fd.h"

namespace hexr::identity {

class ImageLookup {
 public:
  struct Image {
    std::string path;      // where /proc/PID/exe points
    runtime::UniqueFd fd;  // the image itself
    std::optional<FileIdentity> file = {};
    bool path_holds = false;  // ProcessFacts::exe_path_holds
  };
  using Look = Image (*)(int64_t pid);

  // Forks: call before there are threads or keys. `confine` runs in the helper, which ends when it fails. `look`: for
  // tests.
  static Result<std::unique_ptr<ImageLookup>> Start(UniqueFunction<Status()> confine, Look look = LookAt);
  ~ImageLookup();
  ImageLookup(const ImageLookup&) = delete;
  ImageLookup& operator=(const ImageLookup&) = delete;

  // Empty fields for what may not be seen, or not in time: a file system may hang (FUSE). That one thread of the helper
  // is then left to it, of limits::kMaxHungLooks. Of whichever process has this number now: INV-ID-01 is the caller's
  // to keep.
  Image At(int64_t pid);
  // Readable once the helper has ended: nothing is seen any more.
  int pidfd() const { return pidfd_.get(); }

 private:
  ImageLookup(runtime::UniqueFd control, runtime::UniqueFd pidfd)
      : control_(std::move(control)), pidfd_(std::move(pidfd)) {}
  static Image LookAt(int64_t pid);
  Status NewThread();

  runtime::UniqueFd control_;  // a socket sent here has a thread of the helper at its other end
  runtime::UniqueFd socket_;   // to the thread that is asked now
  runtime::UniqueFd pidfd_;
};

// /proc/PID/exe as this process may see it. `dir` is /proc/PID.
ImageLookup::Image ReadImageAt(int dir);

}  // namespace hexr::identity
