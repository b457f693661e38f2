// The writing end of a journal. What Append has acknowledged is with the kernel, in the file, whatever becomes of the
// process; an error means that the caller must not do what it wanted to record.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "base/limits/ledger.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "crypto/aead_stream.h"
#include "ledger/journal.h"
#include "ledger/types.h"

namespace hexr::ledger {

// `ledger.sync` of docs/configuration.md.
enum class SyncPolicy : uint8_t {
  kWritten,  // acknowledged when the kernel has it, on disk within 50 ms: survives the process, not the power
  kDurable,  // acknowledged when it is on disk; appends that wait at the same time share one fdatasync
};

struct DiskSpace {
  uint64_t free = 0;  // bytes that this process could still fill
  uint64_t total = 0;
};
// Of the disk behind an open file.
Result<DiskSpace> DiskSpaceOf(int fd);

// Thread-safe. Owns one thread, which syncs.
class JournalWriter {
 public:
  using Done = UniqueFunction<void(Status)>;
  using SpaceProbe = std::function<Result<DiskSpace>(int fd)>;  // called on any thread
  using SyncFile = std::function<int(int fd)>;                  // as fdatasync(2)

  // How long what is written may wait for company before it is synced (kWritten); the rest of the 50 ms is the disk's.
  static constexpr std::chrono::milliseconds kSyncDelay{20};

  // `fd` and `ticket` as CreateJournal made them, not used before. Where `space` is given (DiskSpaceOf), records are
  // refused while the disk has no more than limits::kDiskKeptBack free: the keeper's own come in after that.
  static Result<std::unique_ptr<JournalWriter>> Open(runtime::UniqueFd fd, JournalTicket ticket, SyncPolicy policy,
                                                     SpaceProbe space = {}, SyncFile sync = {});
  // Syncs what is written; the journal then looks like that of a process that was killed. See Close.
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  // One sealed frame, one write(2). Returns when the policy is satisfied.
  // RESOURCE_EXHAUSTED: disk (nearly) full, or a record over limits::kMaxRecordBytes; nothing of it stays in the file
  // and a later Append may succeed. UNAVAILABLE: this journal is broken (a sync failed, a cut frame could not be taken
  // back, somebody else changed the file, or nobody reads it any longer) and stays so: ask for another one and Rotate.
  // Texts over limits::kMaxStoredTextBytes, or beyond kMaxFrameTextBytes together, are not kept: their digests are.
  Status Append(const Event& event);
  // The same without waiting for the disk: `done` runs once, here for kWritten and for errors of the write, on the
  // syncing thread for kDurable.
  void Append(const Event& event, Done done);
  // The instance will not be heard of again: its counter is closed in the file and forgotten.
  Status EndInstance(const InstanceId& instance);

  // True when the file has grown beyond limits::kRotateJournalBytes or is broken: time to ask for a new one.
  bool WantsRotation() const;
  bool broken() const;
  // Ends this file and goes on in a new one, whatever the answer: an error is the old file's, whose end stays open.
  // Waits for no disk: the old file is synced, and closed, by the syncing thread. Counters begin again at 1 under the
  // new writer's name.
  Status Rotate(runtime::UniqueFd fd, JournalTicket ticket);
  // Ends the file, synced: nothing follows. Later calls fail.
  Status Close();

 private:
  struct Waiter {
    uint64_t frame;
    Done done;
  };
  // A file and its place in it.
  struct File {
    runtime::UniqueFd fd;
    std::string writer;
    crypto::AeadStream stream;
    Chain chain;
    uint64_t counter = 0;  // of the last frame that was tried: nonces are never used twice
    uint64_t size = 0;
    std::map<std::string, uint64_t, std::less<>> counts;  // instance → its records
  };

  // A file that Rotate has ended, until it is synced.
  struct Retired {
    runtime::UniqueFd fd;
    std::vector<Waiter> waiters;
    Status status;  // an error: nothing says what of it is on disk
  };

  JournalWriter(File file, SyncPolicy policy, SpaceProbe space, SyncFile sync);
  static Result<File> MakeFile(runtime::UniqueFd fd, JournalTicket ticket);
  Status WriteRecord(const Event& event) HEXR_REQUIRES(mutex_);
  Status WriteFrame(ByteView plaintext) HEXR_REQUIRES(mutex_);
  // Whether the file is as this writer left it and still read.
  Status CheckFile() HEXR_REQUIRES(mutex_);
  Status Break(Error error) HEXR_REQUIRES(mutex_);
  bool IsNearlyFull(int fd) const;
  void SyncLoop();
  void SyncOnce();
  void SyncRetired() HEXR_REQUIRES(sync_mutex_);

  const SyncPolicy policy_;
  const SpaceProbe space_;
  const SyncFile sync_;
  mutable Mutex mutex_;
  File file_ HEXR_GUARDED_BY(mutex_);
  uint64_t written_ HEXR_GUARDED_BY(mutex_) = 0;  // frames, over all files
  std::optional<Error> broken_ HEXR_GUARDED_BY(mutex_);
  std::vector<Waiter> waiters_ HEXR_GUARDED_BY(mutex_);
  std::vector<Retired> retired_ HEXR_GUARDED_BY(mutex_);
  uint64_t rotations_ HEXR_GUARDED_BY(mutex_) = 0;
  bool sync_asked_ HEXR_GUARDED_BY(mutex_) = false;
  bool nearly_full_ HEXR_GUARDED_BY(mutex_);  // as of the last sync; looked at again before a record is refused
  Bytes plaintext_ HEXR_GUARDED_BY(mutex_);
  Bytes frame_ HEXR_GUARDED_BY(mutex_);
  std::string json_ HEXR_GUARDED_BY(mutex_);

  Mutex sync_mutex_;  // one sync at a time, so that no descriptor is closed under one
  std::atomic<bool> stopping_ = false;
  std::counting_semaphore<> work_{0};
  std::binary_semaphore stop_{0};
  std::thread syncer_;
};

}  // namespace hexr::ledger
