#include "identity/file_hasher.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "base/limits/identity.h"

namespace hexr::identity {

struct FileHasher::Shared {
  struct Job {
    runtime::UniqueFd file;
    FileIdentity identity;
    WallTime now;
    Done done;
  };
  HashFunction hash;
  std::mutex mutex;
  std::condition_variable news;
  runtime::Loop* loop = nullptr;  // null: the hasher has gone
  std::deque<Job> jobs;
  size_t threads = 0, idle = 0;
};

FileHasher::FileHasher(runtime::Loop& loop, HashFunction hash) : shared_(std::make_shared<Shared>()) {
  shared_->loop = &loop;
  shared_->hash = std::move(hash);
}

FileHasher::~FileHasher() {
  const std::lock_guard lock(shared_->mutex);
  shared_->loop = nullptr;
  shared_->jobs.clear();
  shared_->news.notify_all();
}

void FileHasher::Hash(runtime::UniqueFd file, const FileIdentity& identity, WallTime now, Done done) {
  const std::lock_guard lock(shared_->mutex);
  shared_->jobs.push_back({std::move(file), identity, now, std::move(done)});
  if (shared_->idle < shared_->jobs.size() && shared_->threads < limits::kMaxHashingThreads) {
    ++shared_->threads;
    std::thread([shared = shared_] { Work(shared); }).detach();
  }
  shared_->news.notify_one();
}

void FileHasher::Work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    ++shared->idle;
    shared->news.wait(lock, [&] { return shared->loop == nullptr || !shared->jobs.empty(); });
    --shared->idle;
    if (shared->loop == nullptr) return;
    Shared::Job job = std::move(shared->jobs.front());
    shared->jobs.pop_front();
    lock.unlock();
    auto digest = shared->hash(job.file.get(), job.identity, job.now);
    job.file.reset();
    lock.lock();
    if (shared->loop == nullptr) return;
    shared->loop->Post([done = std::move(job.done), digest = std::move(digest)]() mutable { done(std::move(digest)); });
  }
}

}  // namespace hexr::identity
