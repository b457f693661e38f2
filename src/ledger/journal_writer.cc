#include "ledger/journal_writer.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/limits/ledger.h"
#include "ledger/big_endian.h"
#include "ledger/record_scan.h"

namespace hexr::ledger {

namespace {

void AppendTexts(const std::vector<SaltedText>& texts, Bytes& out) {
  size_t kept = 0;
  for (const SaltedText& text : texts) {
    const size_t size = text.text().size();
    if (size > limits::kMaxStoredTextBytes || kept + size > limits::kMaxFrameTextBytes) continue;
    kept += size;
    out.insert(out.end(), text.salt().begin(), text.salt().end());
    AppendBig(out, static_cast<uint32_t>(size));
    out.insert(out.end(), text.text().begin(), text.text().end());
  }
}

}  // namespace

Result<DiskSpace> DiskSpaceOf(int fd) {
  struct statvfs disk = {};
  if (::fstatvfs(fd, &disk) != 0) return ErrnoError("ask for the space of a disk", errno);
  return DiskSpace{.free = uint64_t{disk.f_bavail} * disk.f_frsize, .total = uint64_t{disk.f_blocks} * disk.f_frsize};
}

Result<JournalWriter::File> JournalWriter::MakeFile(runtime::UniqueFd fd, JournalTicket ticket) {
  ASSIGN_OR_RETURN(crypto::AeadStream stream, crypto::AeadStream::ForSealing(ticket.key));
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoError("open journal", errno);
  return File{.fd = std::move(fd),
              .writer = std::move(ticket.writer),
              .stream = std::move(stream),
              .chain = ticket.chain,
              .counter = 0,
              .size = static_cast<uint64_t>(info.st_size),
              .counts = {}};
}

Result<std::unique_ptr<JournalWriter>> JournalWriter::Open(runtime::UniqueFd fd, JournalTicket ticket,
                                                           SyncPolicy policy, SpaceProbe space, SyncFile sync) {
  ASSIGN_OR_RETURN(File file, MakeFile(std::move(fd), std::move(ticket)));
  if (!sync) sync = ::fdatasync;
  return std::unique_ptr<JournalWriter>(new JournalWriter(std::move(file), policy, std::move(space), std::move(sync)));
}

JournalWriter::JournalWriter(File file, SyncPolicy policy, SpaceProbe space, SyncFile sync)
    : policy_(policy),
      space_(std::move(space)),
      sync_(std::move(sync)),
      file_(std::move(file)),
      nearly_full_(space_ != nullptr) {
  syncer_ = std::thread([this] { SyncLoop(); });
}

JournalWriter::~JournalWriter() {
  stopping_ = true;
  stop_.release();
  work_.release();
  syncer_.join();
}

Status JournalWriter::Break(Error error) {
  broken_ = Unavailable("this journal is broken: " + error.message());
  return *broken_;
}

bool JournalWriter::IsNearlyFull(int fd) const {
  const Result<DiskSpace> space = space_(fd);
  return !space.ok() || space->free <= std::min(limits::kDiskKeptBack, space->total / limits::kDiskKeptBackPart);
}

Status JournalWriter::CheckFile() {
  struct stat info = {};
  if (::fstat(file_.fd.get(), &info) != 0) return Break(ErrnoError("stat journal", errno));
  if (!S_ISREG(info.st_mode)) return Ok();
  if ((info.st_mode & S_IWUSR) == 0) return Break(Unavailable("the keeper could not read it and has given it up"));
  if (info.st_nlink == 0) return Break(Unavailable("its file was taken away"));
  if (static_cast<uint64_t>(info.st_size) != file_.size) return Break(Unavailable("somebody else has changed it"));
  return Ok();
}

Status JournalWriter::WriteFrame(ByteView plaintext) {
  if (broken_) return *broken_;
  RETURN_IF_ERROR(CheckFile());
  frame_.resize(plaintext.size() + kFrameOverheadBytes);
  const uint64_t counter = ++file_.counter;
  WriteBig(frame_.data(), static_cast<uint32_t>(frame_.size() - 4));
  WriteBig(frame_.data() + 4, counter);
  std::array<uint8_t, kChainBytes + kFramePrefixBytes> aad;
  std::copy(file_.chain.begin(), file_.chain.end(), aad.begin());
  std::copy_n(frame_.begin(), kFramePrefixBytes, aad.begin() + kChainBytes);
  file_.stream.Seal(counter, aad, plaintext, std::span(frame_).subspan(kFramePrefixBytes));

  const ssize_t n = ::write(file_.fd.get(), frame_.data(), frame_.size());
  if (n != static_cast<ssize_t>(frame_.size())) {
    Error error =
        n < 0 ? ErrnoError("write journal", errno) : ResourceExhausted("write journal: cut by a full disk or a limit");
    // What got in of a cut frame is taken back, or everything after it would be unreadable. A process that may not
    // truncate asks for a new journal instead.
    if (n > 0 && ::ftruncate(file_.fd.get(), static_cast<off_t>(file_.size)) != 0)
      return Break(ErrnoError("take back a cut frame", errno));
    return error;
  }
  std::copy_n(frame_.end() - kChainBytes, kChainBytes, file_.chain.begin());
  file_.size += frame_.size();
  ++written_;
  if (!sync_asked_) {
    sync_asked_ = true;
    work_.release();
  }
  return Ok();
}

Status JournalWriter::WriteRecord(const Event& event) {
  if (broken_) return *broken_;
  if (nearly_full_) nearly_full_ = IsNearlyFull(file_.fd.get());
  if (nearly_full_) return ResourceExhausted("the disk with the evidence is nearly full: what is left is the keeper's");
  const std::string_view instance = event.instance ? std::string_view(event.instance->value()) : std::string_view();
  auto count = file_.counts.find(instance);
  if (count == file_.counts.end()) {
    if (file_.counts.size() >= limits::kMaxJournalInstances)
      return ResourceExhausted("too many instances in one journal");
    count = file_.counts.emplace(instance, 0).first;
  }
  json_.clear();
  AppendUnsequenced(event, file_.writer, count->second + 1, json_);
  if (json_.size() + kSeqFieldBytes > limits::kMaxRecordBytes) return ResourceExhausted("this record is too large");
  plaintext_.clear();
  plaintext_.push_back(static_cast<uint8_t>(FrameType::kRecord));
  AppendBig(plaintext_, static_cast<uint32_t>(json_.size()));
  plaintext_.insert(plaintext_.end(), json_.begin(), json_.end());
  AppendTexts(event.body.texts(), plaintext_);
  RETURN_IF_ERROR(WriteFrame(plaintext_));
  ++count->second;
  return Ok();
}

void JournalWriter::Append(const Event& event, Done done) {
  Status status;
  {
    const MutexLock lock(mutex_);
    status = WriteRecord(event);
    if (status.ok() && policy_ == SyncPolicy::kDurable) {
      waiters_.push_back({.frame = written_, .done = std::move(done)});
      return;
    }
  }
  done(std::move(status));
}

Status JournalWriter::Append(const Event& event) {
  if (policy_ == SyncPolicy::kWritten) {
    const MutexLock lock(mutex_);
    return WriteRecord(event);
  }
  Status result;
  std::binary_semaphore finished{0};
  Append(event, [&](Status status) {
    result = std::move(status);
    finished.release();
  });
  finished.acquire();
  return result;
}

Status JournalWriter::EndInstance(const InstanceId& instance) {
  const MutexLock lock(mutex_);
  const auto count = file_.counts.find(instance.value());
  if (count == file_.counts.end()) return Ok();
  plaintext_.clear();
  plaintext_.push_back(static_cast<uint8_t>(FrameType::kInstanceEnded));
  AppendBig(plaintext_, count->second);
  plaintext_.insert(plaintext_.end(), count->first.begin(), count->first.end());
  RETURN_IF_ERROR(WriteFrame(plaintext_));
  file_.counts.erase(count);
  return Ok();
}

bool JournalWriter::WantsRotation() const {
  const MutexLock lock(mutex_);
  return broken_.has_value() || file_.size >= limits::kRotateJournalBytes;
}

bool JournalWriter::broken() const {
  const MutexLock lock(mutex_);
  return broken_.has_value();
}

Status JournalWriter::Rotate(runtime::UniqueFd fd, JournalTicket ticket) {
  ASSIGN_OR_RETURN(File next, MakeFile(std::move(fd), std::move(ticket)));
  Status ended;
  {
    const MutexLock lock(mutex_);
    const uint8_t end = static_cast<uint8_t>(FrameType::kEnd);
    ended = WriteFrame(ByteView(&end, 1));
    retired_.push_back({std::move(file_.fd), std::exchange(waiters_, {}), ended});
    // A broken file keeps its end open, and the reader will say so. It must not keep the next one from being used.
    broken_.reset();
    file_ = std::move(next);
    ++rotations_;
  }
  work_.release();
  return ended;
}

Status JournalWriter::Close() {
  // Both locks are held across the sync: nothing may be written after the end frame.
  const MutexLock one(sync_mutex_);
  SyncRetired();
  std::vector<Waiter> done;
  Status ended;
  {
    const MutexLock lock(mutex_);
    const uint8_t end = static_cast<uint8_t>(FrameType::kEnd);
    ended = WriteFrame(ByteView(&end, 1));
    if (ended.ok() && sync_(file_.fd.get()) != 0) ended = Break(ErrnoError("sync journal", errno));
    done.swap(waiters_);
    broken_ = Unavailable("this journal is closed");
  }
  for (Waiter& waiter : done) waiter.done(ended);
  return ended;
}

void JournalWriter::SyncRetired() {
  std::vector<Retired> retired;
  {
    const MutexLock lock(mutex_);
    retired.swap(retired_);
  }
  for (Retired& r : retired) {
    if (r.status.ok() && sync_(r.fd.get()) != 0) r.status = Unavailable(ErrnoError("sync journal", errno).message());
    r.fd.reset();
    for (Waiter& waiter : r.waiters) waiter.done(r.status);
  }
}

void JournalWriter::SyncOnce() {
  const MutexLock one(sync_mutex_);
  SyncRetired();
  int fd = -1;
  uint64_t covered = 0, rotations = 0;
  {
    const MutexLock lock(mutex_);
    fd = file_.fd.get();
    covered = written_;
    rotations = rotations_;
    sync_asked_ = false;
  }
  const int failed = sync_(fd) == 0 ? 0 : errno;
  const bool nearly_full = space_ && IsNearlyFull(fd);
  std::vector<Waiter> done;
  Status status;
  {
    const MutexLock lock(mutex_);
    nearly_full_ = nearly_full;
    if (rotations != rotations_) {
      // It is a retired file by now, and its waiters are with it. A failure is told once: by no later sync.
      for (Retired& r : retired_) {
        if (failed != 0 && r.fd.get() == fd) r.status = Unavailable(ErrnoError("sync journal", failed).message());
      }
      return;
    }
    // After a failed sync the kernel may have dropped the pages: nothing says what is on disk, so nothing is trusted.
    if (failed != 0) status = Break(ErrnoError("sync journal", failed));
    std::vector<Waiter> later;
    for (Waiter& waiter : waiters_) {
      (waiter.frame <= covered || failed != 0 ? done : later).push_back(std::move(waiter));
    }
    waiters_ = std::move(later);
  }
  for (Waiter& waiter : done) waiter.done(status);
}

void JournalWriter::SyncLoop() {
  for (;;) {
    work_.acquire();
    if (policy_ == SyncPolicy::kWritten && !stopping_) (void)stop_.try_acquire_for(kSyncDelay);
    SyncOnce();
    if (stopping_) return;
  }
}

}  // namespace hexr::ledger
