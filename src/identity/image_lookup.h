// Which program a process runs, seen by a helper process for one that may not look itself: Landlock, which keeps a
// compromised keeper from other files, also forbids it /proc/PID/exe of every process outside its own domain.
//
// The helper is a fork that holds nothing but the right to look. Belongs to one thread; calls block for microseconds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/unique_fd.h"

namespace hexr::identity {

class ImageLookup {
 public:
  struct Image {
    std::string path;      // where /proc/PID/exe points
    runtime::UniqueFd fd;  // the image itself
  };

  // Forks: call before there are threads or keys. `confine` runs in the helper, which ends when it fails.
  static Result<std::unique_ptr<ImageLookup>> Start(UniqueFunction<Status()> confine);
  ~ImageLookup();
  ImageLookup(const ImageLookup&) = delete;
  ImageLookup& operator=(const ImageLookup&) = delete;

  // Empty fields for what may not be seen. Of whichever process has this number now: INV-ID-01 is the caller's to keep.
  Image At(int64_t pid);
  // Readable once the helper has ended: nothing is seen any more.
  int pidfd() const { return pidfd_.get(); }

 private:
  ImageLookup(runtime::UniqueFd socket, runtime::UniqueFd pidfd)
      : socket_(std::move(socket)), pidfd_(std::move(pidfd)) {}

  runtime::UniqueFd socket_, pidfd_;
};

// /proc/PID/exe as this process may see it. `dir` is /proc/PID.
ImageLookup::Image ReadImageAt(int dir);

}  // namespace hexr::identity
