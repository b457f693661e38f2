#include "runtime/shared_counters.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace hexr::runtime {
namespace {

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

}  // namespace

Result<SharedCounters> SharedCounters::Create(size_t count) {
  const size_t bytes = count * sizeof(Number);
  UniqueFd memory(memfd_create("hexr-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory || ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0) return ErrnoError("shared counters", errno);
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (at == MAP_FAILED) return ErrnoError("shared counters", errno);
  SharedCounters made(std::move(memory), static_cast<Number*>(at), count);
  if (madvise(at, bytes, MADV_DONTFORK) != 0 || fcntl(made.memory_.get(), F_ADD_SEALS, kSeals) != 0)
    return ErrnoError("shared counters", errno);
  return made;
}

Result<SharedCounters> SharedCounters::Adopt(UniqueFd memory, size_t count) {
  const size_t bytes = count * sizeof(Number);
  struct stat st {};
  const int seals = fcntl(memory.get(), F_GET_SEALS);
  if (fstat(memory.get(), &st) != 0 || st.st_size != static_cast<off_t>(bytes) || seals < 0 ||
      (seals & kSeals) != kSeals)
    return DataLoss("not shared counters");
  void* at = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, memory.get(), 0);
  if (at == MAP_FAILED) return ErrnoError("shared counters", errno);
  return SharedCounters(std::move(memory), static_cast<Number*>(at), count);
}

SharedCounters::~SharedCounters() {
  if (at_ != nullptr) munmap(at_, count_ * sizeof(Number));
}

void SharedCounters::Raise(size_t i) {
  HEXR_CHECK(i < count_);
  at_[i].fetch_add(1);
}

uint64_t SharedCounters::value(size_t i) const {
  HEXR_CHECK(i < count_);
  return at_[i].load();
}

}  // namespace hexr::runtime
