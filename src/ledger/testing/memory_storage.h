// A disk in memory whose power can be cut between any two steps, and that can be full. Everything that was not synced
// may be lost or torn: what a test sees after PowerLoss is the worst that a disk may do.
#pragma once

#include <cerrno>
#include <map>
#include <optional>
#include <string>

#include "base/random.h"
#include "ledger/storage.h"

namespace hexr::ledger::testing {

class MemoryStorage final : public Storage {
 public:
  enum class Fault : uint8_t {
    kNone,
    kFull,   // this write is cut, and every later one fails until SetFault(kNone)
    kCrash,  // nothing works any more until PowerLoss or Restart
  };

  // The fault happens at step `after` from now; a step is one write, sync, rename or removal.
  void SetFault(Fault fault, uint64_t after = 0) {
    fault_ = fault;
    left_ = after;
    happened_ = false;
  }
  bool fault_happened() const { return happened_; }
  // What was not synced is gone, kept or cut, as `random` says for each file.
  void PowerLoss(Random& random) {
    SetFault(Fault::kNone);
    for (auto at = files_.begin(); at != files_.end();) {
      Entry& file = at->second;
      if (file.dirty) {
        switch (random.Below(3)) {
          case 0: file.now = file.durable; break;
          case 1:
            if (file.now) file.now->resize(random.Below(file.now->size() + 1));
            break;
          default: break;
        }
        file.durable = file.now;
        file.dirty = false;
      }
      at = file.now ? std::next(at) : files_.erase(at);
    }
  }
  // The process dies, the machine does not: all that was written is there.
  void Restart() { SetFault(Fault::kNone); }

  std::map<std::string, Bytes> Files() const {
    std::map<std::string, Bytes> out;
    for (const auto& [path, file] : files_)
      if (file.now) out[path] = *file.now;
    return out;
  }
  Bytes& Edit(const std::string& path) { return *files_.at(path).now; }
  void Put(const std::string& path, Bytes bytes) { files_[path] = {.now = bytes, .durable = bytes, .dirty = false}; }
  void Erase(const std::string& path) { files_.erase(path); }

  Result<Bytes> Read(const std::string& path, size_t max_bytes) const override {
    const auto at = files_.find(path);
    if (at == files_.end() || !at->second.now) return NotFound("open " + path);
    if (at->second.now->size() > max_bytes) return ResourceExhausted(path);
    return *at->second.now;
  }
  Status Write(const std::vector<File>& files) override {
    RETURN_IF_ERROR(Dead());
    for (const File& file : files) {
      Entry& entry = files_[file.path];
      entry.dirty = true;
      RETURN_IF_ERROR(Step(&entry, file.bytes));
      entry.now = file.bytes;
    }
    for (const File& file : files) RETURN_IF_ERROR(SyncStep(files_[file.path]));
    return Ok();
  }
  Status Replace(const std::string& path, ByteView bytes) override {
    RETURN_IF_ERROR(Write({{.path = path + ".new", .bytes = Bytes(bytes.begin(), bytes.end())}}));
    RETURN_IF_ERROR(Step(nullptr, {}));
    // A rename is atomic; until the folder is synced either name may come back.
    Entry& entry = files_[path];
    entry.now = Bytes(bytes.begin(), bytes.end());
    RETURN_IF_ERROR(Step(nullptr, {}));
    entry.durable = entry.now;
    files_.erase(path + ".new");
    return Ok();
  }
  Status Append(const std::string& path, ByteView bytes) override {
    RETURN_IF_ERROR(Dead());
    Entry& entry = files_[path];
    Bytes whole = entry.now.value_or(Bytes());
    const size_t had = whole.size();
    whole.insert(whole.end(), bytes.begin(), bytes.end());
    entry.dirty = true;
    if (Status s = Step(nullptr, {}); !s.ok()) {
      if (fault_ == Fault::kFull) {
        whole.resize(had + bytes.size() / 2);
        entry.now = whole;
      }
      return s;
    }
    entry.now = std::move(whole);
    return SyncStep(entry);
  }
  Status Remove(const std::string& path) override {
    RETURN_IF_ERROR(Step(nullptr, {}));
    std::erase_if(files_, [&](const auto& file) { return file.first == path || file.first.starts_with(path + "/"); });
    return Ok();
  }
  Result<std::vector<std::string>> List(const std::string& path) const override {
    std::vector<std::string> names;
    for (const auto& [name, file] : files_) {
      if (!file.now || !name.starts_with(path + "/")) continue;
      const std::string rest = name.substr(path.size() + 1);
      const std::string first = rest.substr(0, rest.find('/'));
      if (names.empty() || names.back() != first) names.push_back(first);
    }
    return names;
  }

 private:
  struct Entry {
    std::optional<Bytes> now;
    std::optional<Bytes> durable;
    bool dirty = false;
  };

  Status Dead() const {
    if (fault_ == Fault::kCrash && happened_) return ErrnoError("write", EIO);
    return Ok();
  }
  Status Step(Entry* target, ByteView bytes) {
    if (fault_ == Fault::kNone) return Ok();
    if (left_ > 0) {
      --left_;
      return Ok();
    }
    happened_ = true;
    if (target != nullptr)
      target->now = Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2));
    return fault_ == Fault::kFull ? ErrnoError("write", ENOSPC) : ErrnoError("write", EIO);
  }
  Status SyncStep(Entry& entry) {
    RETURN_IF_ERROR(Step(nullptr, {}));
    entry.durable = entry.now;
    entry.dirty = false;
    return Ok();
  }

  std::map<std::string, Entry> files_;
  Fault fault_ = Fault::kNone;
  uint64_t left_ = 0;
  bool happened_ = false;
};

}  // namespace hexr::ledger::testing
