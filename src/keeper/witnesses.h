// Offers the logs' checkpoints to the configured witnesses and keeps what they sign. Belongs to the ledger's thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "config/config.h"
#include "ledger/ledger.h"
#include "ledger/witness.h"

namespace hexr::keeper {

struct WitnessAnswerText {
  int status = 0;
  std::string body;
};

// What a witness has made of one log.
struct WitnessState {
  std::string tenant;  // empty: the node's log
  std::string name;    // of its key
  uint64_t size = 0;   // how many records it has cosigned, as far as we know
  std::optional<WallTime> last;
  std::string error;  // empty after a success
};

class Witnesses {
 public:
  using OnAnswer = UniqueFunction<void(Result<WitnessAnswerText>)>;
  // POSTs `body` to `url`. `done` runs once on the ledger's thread, unless everything ends first.
  using Post = std::function<void(const std::string& url, std::string body, OnAnswer done)>;

  // INVALID_ARGUMENT: a key that is none of a witness.
  static Result<std::unique_ptr<Witnesses>> Create(const std::vector<config::Witness>& witnesses, const Clock& clock,
                                                   Post post);

  // Asks those whose turn it is about this log's published checkpoint. Call it about once a second for each log. `log`
  // lives until Forget.
  void Tick(const std::string& tenant, ledger::TenantLedger& log);
  // Before a log goes. What is still asked about it is answered to nobody, also when there is a log of this name again.
  void Forget(const std::string& tenant) { logs_.erase(tenant); }
  std::vector<WitnessState> States() const;

 private:
  struct Known {
    std::string url;
    ledger::VerifierKey key;
  };
  // One witness and one log.
  struct Pair {
    ledger::WitnessClient client;
    std::string url;
    bool asking = false;
    MonoTime due{};
    int failures = 0;
    std::optional<WallTime> last = {};
    std::string error = {};
  };

  struct Asked {
    uint64_t number = 0;  // no two logs have the same
    ledger::TenantLedger* log = nullptr;
    std::vector<Pair> pairs;  // as many as known_, in its order
  };

  Witnesses(const Clock& clock, Post post) : clock_(clock), post_(std::move(post)) {}
  void Ask(const std::string& tenant, Asked& of, size_t which);
  void Answered(const std::string& tenant, uint64_t number, size_t which, Result<WitnessAnswerText> answer);
  void Failed(const std::string& tenant, Pair& pair, const Error& why);

  const Clock& clock_;
  Post post_;
  std::vector<Known> known_;
  std::map<std::string, Asked> logs_;  // by tenant
  uint64_t numbered_ = 0;
};

}  // namespace hexr::keeper
