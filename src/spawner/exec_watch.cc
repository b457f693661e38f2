#include "spawner/exec_watch.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

using runtime::UniqueFd;

// How soon after CONTINUE the first look, and how far apart looks grow: an exec takes some hundred microseconds; one
// that waits for a slow disk, or a thread that spins after a failed one, must not cost a core.
constexpr int64_t kFirstCheckUs = 100;
constexpr int64_t kLongestCheckUs = 100'000;

// _IOW('!', 4, __u64) of 6.6: the answering CPU hands over to the waiting task at once.
constexpr unsigned long kNotifSetFlags = _IOW('!', 4, uint64_t);

}  // namespace

Result<ExecJournal> ExecJournal::Map(UniqueFd memory) {
  void* at = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (at == MAP_FAILED) return ErrnoError("map exec journal", errno);
  ExecJournal mapped(std::move(memory), static_cast<Shared*>(at));
  // The next agent's PID 1 begins as a copy of this process, and never execs.
  if (madvise(at, sizeof(Shared), MADV_DONTFORK) != 0) return ErrnoError("map exec journal", errno);
  return mapped;
}

Result<ExecJournal> ExecJournal::Create() {
  UniqueFd memory(memfd_create("hexr-execs", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory || ftruncate(memory.get(), sizeof(Shared)) != 0) return ErrnoError("exec journal", errno);
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return ErrnoError("exec journal", errno);
  return Map(std::move(memory));
}

Result<ExecJournal> ExecJournal::Adopt(UniqueFd memory) {
  struct stat st {};
  const int seals = fcntl(memory.get(), F_GET_SEALS);
  if (fstat(memory.get(), &st) != 0 || st.st_size != sizeof(Shared) || seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return DataLoss("not an exec journal");
  }
  ASSIGN_OR_RETURN(ExecJournal adopted, Map(std::move(memory)));
  adopted.Keep();
  return adopted;
}

ExecJournal::ExecJournal(ExecJournal&& o) noexcept
    : memory_(std::move(o.memory_)), shared_(std::exchange(o.shared_, nullptr)) {}

ExecJournal::~ExecJournal() {
  if (shared_ != nullptr) munmap(shared_, sizeof(Shared));
}

ExecJournal::Slot* ExecJournal::Free() {
  for (Slot& slot : shared_->slots) {
    if (slot.state == kFree) return &slot;
  }
  return nullptr;
}

bool ExecJournal::Receive(int listener) {
  return ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &shared_->received) == 0;  // ENOENT: that task has died meanwhile
}

// Each step may be the last of this process; a successor begins here again.
ExecJournal::Slot* ExecJournal::Keep() {
  Slot* slot = nullptr;
  if (shared_->received.id != 0) {
    const auto known = std::ranges::find_if(
        shared_->slots, [&](const Slot& s) { return s.state != kFree && s.id == shared_->received.id; });
    slot = known != std::end(shared_->slots) ? known : Free();
    if (slot == nullptr) return nullptr;
    slot->id = shared_->received.id;
    slot->tid = static_cast<int32_t>(shared_->received.pid);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (slot->state == kFree) slot->state = kTaken;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  std::memset(&shared_->received, 0, sizeof shared_->received);
  return slot;
}

// An exec of the registered process under way.
struct ExecWatch::Pending {
  ExecJournal::Slot* slot;
  // Of the image that calls exec, opened before it continues: reads as end of file once that image is gone.
  UniqueFd old_memory;
};

ExecWatch::ExecWatch(runtime::Loop& loop, pid_t registered, int listener, ExecJournal& journal, bool launching,
                     Events events)
    : loop_(loop),
      registered_(registered),
      listener_(listener),
      journal_(journal),
      launching_(launching),
      events_(std::move(events)),
      self_(std::make_shared<ExecWatch*>(this)) {
  (void)ioctl(listener_, kNotifSetFlags,
              static_cast<unsigned long>(kSeccompFdSyncWakeUp));  // before 6.6: EINVAL, only slower
  watch_ = loop_.Watch(listener_, [this] { Readable(); });
  loop_.Post([weak = std::weak_ptr<ExecWatch*>(self_)] {
    const auto alive = weak.lock();
    if (!alive) return;
    ExecJournal& taken = (*alive)->journal_;
    for (size_t i = 0; i < ExecJournal::kSlots; ++i) {
      if (taken.slots()[i].state != ExecJournal::kFree) (*alive)->Inherit(taken.slots()[i]);
    }
  });
}

ExecWatch::~ExecWatch() = default;

bool ExecWatch::IsRegisteredThread(pid_t tid) const {
  if (tid == registered_) return true;
  const std::string path = "/proc/" + std::to_string(registered_) + "/task/" + std::to_string(tid);
  return access(path.c_str(), F_OK) == 0;
}

void ExecWatch::Readable() {
  seen_ = MonotonicNanos();
  pollfd p{listener_, POLLIN, 0};
  if (poll(&p, 1, 0) != 1) return;
  if ((p.revents & POLLIN) == 0) {
    // POLLHUP: nobody is under the filter any more. POLLERR alone only says that the kernel could not look just now.
    if ((p.revents & POLLHUP) != 0) watch_ = runtime::FdWatch();
    return;
  }
  if (journal_.Free() == nullptr) {
    watch_.WantRead(false);  // until one is answered
    return;
  }
  if (!journal_.Receive(listener_)) return;
  if (ExecJournal::Slot* const slot = journal_.Keep()) TakeUp(*slot);
}

void ExecWatch::Inherit(ExecJournal::Slot& slot) {
  if (slot.state == ExecJournal::kTaken) return TakeUp(slot);
  auto pending = std::make_unique<Pending>();
  pending->slot = &slot;
  pending_.push_back(std::move(pending));
  slot.state = ExecJournal::kContinued;
  CheckSoon();
}

void ExecWatch::TakeUp(ExecJournal::Slot& slot) {
  if (!IsRegisteredThread(slot.tid) || launching_) {
    launching_ = launching_ && !IsRegisteredThread(slot.tid);
    Answer(slot, 0);
    return Free(slot);
  }
  held_.from = seen_;
  Supersede(slot.tid);
  auto pending = std::make_unique<Pending>();
  pending->slot = &slot;
  pending->old_memory = UniqueFd(open(("/proc/" + std::to_string(registered_) + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  pending_.push_back(std::move(pending));
  events_.starting([weak = std::weak_ptr<ExecWatch*>(self_), id = slot.id](bool go) {
    if (const auto alive = weak.lock()) (*alive)->Answered(id, go);
  });
}

// A thread that calls exec has left every earlier one: a program that looks along PATH fails in one after the other.
// What is over and not attested yet is covered by the attestation that follows the new one.
void ExecWatch::Supersede(pid_t tid) {
  std::erase_if(pending_, [&](const auto& p) {
    if (p->slot->state != ExecJournal::kContinued || ThreadOf(*p) != tid) return false;
    p->slot->state = ExecJournal::kOver;
    return true;
  });
  for (size_t i = 0; i < ExecJournal::kSlots; ++i) {
    if (journal_.slots()[i].state == ExecJournal::kOver) Free(journal_.slots()[i]);
  }
}

// A thread other than the first takes the first one's number on its way through a successful exec.
pid_t ExecWatch::ThreadOf(const Pending& p) const {
  const std::string path = "/proc/" + std::to_string(registered_) + "/task/" + std::to_string(p.slot->tid);
  return access(path.c_str(), F_OK) == 0 ? p.slot->tid : registered_;
}

void ExecWatch::Answered(uint64_t id, bool go) {
  const auto it = std::find_if(pending_.begin(), pending_.end(), [&](const auto& p) {
    return p->slot->id == id && p->slot->state == ExecJournal::kTaken;
  });
  if (it == pending_.end()) return;
  ExecJournal::Slot& slot = *(*it)->slot;
  // In this order: a successor answers again what is not known to be answered, and would wait for the rest for ever.
  Answer(slot, go ? 0 : EAGAIN);
  slot.state = ExecJournal::kContinued;
  held_.to = MonotonicNanos();
  CheckSoon();
}

void ExecWatch::CheckSoon() {
  next_check_us_ = kFirstCheckUs;
  check_ = loop_.After(std::chrono::microseconds(next_check_us_), [this] { Check(); });
}

void ExecWatch::Answer(const ExecJournal::Slot& slot, int error) {
  seccomp_notif_resp r{};
  r.id = slot.id;
  if (error == 0)
    r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  else
    r.error = -error;
  (void)ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &r);  // ENOENT: the task has died, or was answered by a predecessor
}

void ExecWatch::Free(ExecJournal::Slot& slot) {
  slot.state = ExecJournal::kFree;
  if (watch_) watch_.WantRead(true);
}

bool ExecWatch::IsOver(const Pending& p) const {
  char byte = 0;
  // Nothing is ever mapped at address 0: EIO while the memory lives, end of file when its last user has let go.
  if (p.old_memory && pread(p.old_memory.get(), &byte, 1, 0) == 0) return true;
  // Or the thread is seen outside of execve, which includes a failed one. One that has the first thread's number by now
  // has it before its memory is exchanged: it is then looked for there.
  const std::string process = "/proc/" + std::to_string(registered_);
  UniqueFd fd(open((process + "/task/" + std::to_string(p.slot->tid) + "/syscall").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    fd = UniqueFd(open((process + "/task/" + std::to_string(registered_) + "/syscall").c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!fd) return errno == ENOENT;  // the process has ended
  char text[256];
  const ssize_t n = read(fd.get(), text, sizeof text);
  if (n <= 0) return n < 0 && errno == ESRCH;
  long call = -2;
  const auto parsed = std::from_chars(text, text + n, call);
  if (parsed.ec != std::errc()) return false;  // "running": nothing is known
  return call != SYS_execve && call != SYS_execveat;
}

void ExecWatch::Check() {
  const auto continued = [](const auto& p) { return p->slot->state == ExecJournal::kContinued; };
  std::erase_if(pending_, [&](const auto& p) {
    if (!continued(p) || !IsOver(*p)) return false;
    p->slot->state = ExecJournal::kOver;
    return true;
  });
  const bool waiting = std::any_of(pending_.begin(), pending_.end(), continued);
  if (waiting) {
    next_check_us_ = std::min(next_check_us_ * 2, kLongestCheckUs);
    check_ = loop_.After(std::chrono::microseconds(next_check_us_), [this] { Check(); });
  } else if (pending_.empty()) {
    events_.settled();
  }
}

void ExecWatch::Attested() {
  if (busy()) return;
  for (size_t i = 0; i < ExecJournal::kSlots; ++i) {
    if (journal_.slots()[i].state == ExecJournal::kOver) Free(journal_.slots()[i]);
  }
}

}  // namespace hexr::spawner
