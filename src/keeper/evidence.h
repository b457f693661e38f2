// The ledger's place in the keeper: one log per tenant and one for the node, sequenced on a thread of their own, so
// that no disk ever holds up an identity.
//
// Record, OpenJournal and the tenant calls belong to the keeper's loop. What Record has acknowledged is with the
// kernel.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/limits/ledger.h"
#include "base/random.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "base/unique_function.h"
#include "keeper/state.h"
#include "keeper/witnesses.h"
#include "ledger/journal_writer.h"
#include "ledger/ledger.h"
#include "ledger/repeats.h"
#include "ledger/types.h"
#include "runtime/loop.h"

namespace hexr::keeper {

struct EvidenceOptions {
  TrustDomain trust_domain;
  std::string state_dir;
  ledger::SyncPolicy sync = ledger::SyncPolicy::kWritten;
  std::chrono::milliseconds checkpoint_interval{1000};
  std::vector<config::Witness> witnesses = {};
  std::optional<std::chrono::milliseconds> text_retention = {};  // texts that are older are erased
  // POST to a witness, called and answered on the keeper's loop. Needed where there are witnesses.
  Witnesses::Post post = {};
  ledger::JournalWriter::SyncFile sync_file = {};  // for tests: a disk that hangs
};

class Evidence {
 public:
  using OnJournal = UniqueFunction<void(Result<ledger::NewJournal>)>;
  using Done = UniqueFunction<void(Status)>;

  // Opens the node's log and those of `tenants`, and starts the thread. `state` keeps the logs' keys, and is used
  // inside this call, AddTenant and DestroyTenant only. `loop` is the keeper's. A tenant's log that does not open is
  // reported and left out: nothing of that tenant can be recorded, and so nothing of it is allowed. DATA_LOSS: the
  // node's own log on disk does not fit; nothing is changed.
  static Result<std::unique_ptr<Evidence>> Start(EvidenceOptions options, const std::vector<IdSegment>& tenants,
                                                 State& state, runtime::Loop& loop, const Clock& clock, Random& random);
  ~Evidence();
  Evidence(const Evidence&) = delete;
  Evidence& operator=(const Evidence&) = delete;

  // A record of the keeper's own. To the tenant's log where the event names a tenant, else to the node's. A journal
  // that is broken is replaced first. `done` runs once, on the keeper's loop: inside this call, or later where `sync`
  // is durable or the journal has to be replaced, so that nobody else waits for that log's disk. An error means that
  // what was to be recorded may not happen.
  void Record(const ledger::Event& event, Done done);
  // The same, waiting for the disk: before anybody is served, and at the end.
  Status Record(const ledger::Event& event);
  // For what has happened whether or not it can be recorded: an error is logged. What one instance repeats beyond
  // limits::kNotesPerSecond is counted (ledger::Repeats).
  void Note(const ledger::Event& event);
  void EndInstance(const std::optional<IdSegment>& tenant, const InstanceId& instance);

  // A journal for another process. `done` runs on the keeper's loop.
  void OpenJournal(const IdSegment& tenant, const std::string& label, OnJournal done);

  // Opens the log of a tenant, also of one whose log did not open before. OK when it is open.
  Status AddTenant(const IdSegment& tenant);
  bool Has(const IdSegment& tenant) const { return logs_.contains(tenant.value()); }
  // Ends the log of a tenant and destroys its journals and texts, the key of the texts with them
  // (ledger::Ledger::Destroy). Nobody else may be writing to it. Waits for the ledger's thread.
  Status DestroyTenant(const IdSegment& tenant);
  // Erases texts, and the copies of them that are in the keeper's own journal; `done`, on the keeper's loop, with how
  // many. NOT_FOUND: no such log.
  void EraseTexts(const std::optional<IdSegment>& tenant, ledger::TextSelection which,
                  UniqueFunction<void(Result<uint64_t>)> done);
  // Writes what is left, with a last checkpoint, and ends the thread. Nothing can be recorded after it.
  void Finish();

  // Where a log lies and who signs it: for `hexr ledger` and exports.
  struct LogInfo {
    std::string tenant;  // empty: the node's
    std::string folder;
    std::string verifier_key;  // C2SP vkey
    uint64_t size = 0;         // of the last checkpoint
    WallTime checkpoint_at{};  // when it was seen
    std::vector<WitnessState> witnesses = {};
  };
  // As the ledger's thread last told it.
  std::vector<LogInfo> logs() const;

 private:
  struct Waiting {
    ledger::Event event;
    Done done;
  };
  // The keeper's own end of a log.
  struct Log {
    std::string folder;
    std::string verifier_key;
    std::unique_ptr<ledger::JournalWriter> writer;
    bool rotating = false;
    std::optional<MonoTime> retry_at = {};  // after a journal that could not be replaced
    std::vector<Waiting> waiting = {};      // for another journal
  };

  struct Told {
    std::map<std::string, std::pair<uint64_t, WallTime>> sizes = {};  // those that have changed
    std::optional<std::vector<WitnessState>> witnesses = {};
  };

  Evidence(EvidenceOptions options, State& state, runtime::Loop& loop, const Clock& clock);
  Status Open(const std::optional<IdSegment>& tenant);
  Log* Find(const std::optional<IdSegment>& tenant);
  // On the ledger thread.
  Result<ledger::NewJournal> NewJournalFor(const std::optional<IdSegment>& tenant, const std::string& label);
  void OpenJournalOn(const std::optional<IdSegment>& tenant, const std::string& label, OnJournal done);
  void Rotate(const std::optional<IdSegment>& tenant, Log& log);
  void Append(Log& log, const ledger::Event& event, Done done);
  void Write(const ledger::Event& note);
  void WriteRepeats();
  // Waits for the ledger thread: for a journal that takes nothing any more.
  Status RotateNow(const std::optional<IdSegment>& tenant, Log& log);
  void ReadSoon(std::chrono::milliseconds delay);
  // Something has happened in a log's folder of journals.
  void Changed(const std::string& log);
  void OnInotify();
  void DrainInotify();
  void Poll();
  void AskWitnesses();
  void EraseExpired();
  // From the ledger's thread to a witness, by way of the keeper's loop, and back.
  void PostFromLedger(const std::string& url, std::string body, Witnesses::OnAnswer done);
  // Tells the keeper's loop how far logs are: these, or all of them and the witnesses.
  void Tell(const std::vector<std::string>& names);
  void TellAll();
  void SendTold(Told now);

  EvidenceOptions options_;
  State& state_;
  runtime::Loop& keeper_loop_;
  const Clock& clock_;
  std::map<std::string, Log> logs_;  // by tenant, "" for the node's; references to elements stay valid
  ledger::Repeats repeats_{limits::kNotesPerSecond};
  runtime::Timer repeats_timer_;
  std::shared_ptr<bool> alive_;  // answers that come after the end are dropped
  Told told_;
  // The ledger thread's, once it runs.
  std::optional<ledger::Ledger> ledger_;
  std::unique_ptr<Witnesses> witnesses_;  // null: none is configured
  std::map<std::string, std::pair<uint64_t, WallTime>> sizes_;
  runtime::Loop loop_;
  runtime::UniqueFd inotify_;
  runtime::FdWatch watch_;
  std::map<int, std::string> watched_;  // a log's name by its watch descriptor
  std::set<std::string> changed_;       // logs that have to be looked at
  runtime::Timer witness_timer_;
  runtime::Timer read_timer_;
  runtime::Timer commit_timer_;
  runtime::Timer retention_timer_;
  std::thread thread_;
};

}  // namespace hexr::keeper
