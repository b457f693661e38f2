// All the logs of a node: the node's own and one for each tenant, each with its journals and texts. What the keeper
// holds. Belongs to one thread.
//
//   ROOT/logs/node, ROOT/logs/tenants/T            tiles and checkpoints: plain, for everyone to check
//   ROOT/journals/node, ROOT/journals/tenants/T    sealed
//   ROOT/texts/node.db, ROOT/texts/tenants/T.db    sealed, erasable
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "crypto/secret.h"
#include "ledger/sequencer.h"
#include "ledger/text_store.h"
#include "ledger/witness.h"

namespace hexr::ledger {

struct LedgerOptions {
  std::string root;  // a folder of ours alone
  TrustDomain trust_domain;
  std::string node;  // names the logs: "{trust domain}/ledger/{node}" and ".../{tenant}"
  std::chrono::milliseconds commit_interval{1000};
  uint64_t commit_records = 4096;
  // What a tenant's texts are sealed under besides the master key: whoever forgets it has destroyed them, wherever a
  // copy of their file lies. Asked once a log. Absent: the master key alone.
  std::function<Result<crypto::Secret>(const IdSegment& tenant)> text_secret = {};
};

// Which texts are to go: one, those of an instance, or all before a time.
using TextSelection = std::variant<crypto::Sha256Digest, InstanceId, WallTime>;

// One log with everything that belongs to it.
class TenantLedger {
 public:
  Sequencer& sequencer() { return *sequencer_; }
  const Storage& storage() const { return *storage_; }
  TextStore& texts() { return *texts_; }
  const VerifierKey& key() const { return signer_->verifier(); }
  // Everything that was recorded before is found, also what is only in a journal yet; how many there were.
  Result<uint64_t> Erase(const TextSelection& which);

 private:
  friend class Ledger;
  std::unique_ptr<NoteSigner> signer_;
  std::unique_ptr<DirectoryStorage> storage_;
  std::unique_ptr<TextStore> texts_;
  std::unique_ptr<Sequencer> sequencer_;
  bool again_ = false;  // the last reading left something, or failed
  std::optional<MonoTime> due_;
  std::optional<MonoTime> retry_at_;  // of a commit that failed
};

class Ledger {
 public:
  // `master` has 32 bytes; every key of the ledger is derived from it (signing keys of the logs included), so that a
  // backup of one secret and the folder is a backup of the ledger.
  static Result<Ledger> Open(LedgerOptions options, crypto::Secret master, const Clock& clock, Random& random);

  // The log of a tenant, or the node's own. Made when it is not there. The pointer is valid while the ledger is.
  Result<TenantLedger*> Of(const std::optional<IdSegment>& tenant);

  // One log that fails does not keep the others waiting: `progress` is theirs, `status` the first error.
  struct Turn {
    Sequencer::Progress progress;
    Status status;
    std::vector<std::string> committed = {};  // the logs that have a new checkpoint
  };
  // Reads every log, and publishes what is due.
  Turn Poll();
  // Reads the logs of these tenants ("" for the node's), where something has happened to a journal, and those that have
  // a checkpoint due or something left from the last time. Then publishes one checkpoint, the one that is due the
  // longest: whose journals are to be read waits for one log's disk, not for those of all.
  Turn Poll(const std::set<std::string>& changed);
  Status Flush();

  // Ends a tenant's log. What its journals hold is sequenced first, and tiles and checkpoints stay, for others to
  // check; journals and texts are gone. An error: nothing was destroyed. Whoever writes to one of its journals still
  // writes to nobody. The log goes on where it ended when it is opened again.
  Status Destroy(const IdSegment& tenant);
  // Erases the texts of every log that are older. One that fails does not keep the others.
  Result<uint64_t> EraseBefore(WallTime time);

  // Where a log's files are: for `verify`, `export` and the like on a node's own state. `tenant` empty: the node's.
  static std::string LogFolder(const std::string& root, std::string_view tenant);
  static std::string LogOrigin(const TrustDomain& trust_domain, std::string_view node, std::string_view tenant);

 private:
  Ledger(LedgerOptions options, crypto::Secret master, const Clock& clock, Random& random)
      : options_(std::move(options)), master_(std::move(master)), clock_(&clock), random_(&random) {}
  static void ReadOne(const std::string& name, TenantLedger& log, Turn& turn);
  void CommitDue(size_t most, Turn& turn);
  crypto::Secret Derive(std::string_view origin, std::string_view purpose) const;

  LedgerOptions options_;
  crypto::Secret master_;
  const Clock* clock_;
  Random* random_;
  std::shared_ptr<Bytes> read_buffer_ = std::make_shared<Bytes>();  // one for all journals: they are read in turn
  std::map<std::string, std::unique_ptr<TenantLedger>> logs_;       // by tenant, "" for the node's
};

}  // namespace hexr::ledger
