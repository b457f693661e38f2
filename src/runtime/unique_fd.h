// A file descriptor with one owner. Move-only value.
#pragma once

#include <unistd.h>

#include <utility>

namespace hexr::runtime {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    UniqueFd old(std::move(*this));  // swap first, close after: never without an owner in between
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(fd_);  // EINTR still closes on Linux: never retried
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

}  // namespace hexr::runtime
