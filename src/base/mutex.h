// A mutex that clang's -Wthread-safety can follow; std::mutex of libstdc++ carries no annotations.
#pragma once

#include <mutex>

#if defined(__clang__)
#define HEXR_TSA(x) __attribute__((x))
#else
#define HEXR_TSA(x)
#endif
#define HEXR_GUARDED_BY(m) HEXR_TSA(guarded_by(m))
#define HEXR_REQUIRES(m) HEXR_TSA(requires_capability(m))
#define HEXR_EXCLUDES(m) HEXR_TSA(locks_excluded(m))

namespace hexr {

class HEXR_TSA(capability("mutex")) Mutex {
 public:
  void Lock() HEXR_TSA(acquire_capability()) { m_.lock(); }
  void Unlock() HEXR_TSA(release_capability()) { m_.unlock(); }

 private:
  std::mutex m_;
};

class HEXR_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& m) HEXR_TSA(acquire_capability(m)) : m_(m) { m_.Lock(); }
  ~MutexLock() HEXR_TSA(release_capability()) { m_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& m_;
};

}  // namespace hexr
