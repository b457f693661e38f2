#include "keeper/witnesses.h"

#include <algorithm>

#include "base/log.h"

namespace hexr::keeper {
namespace {

using std::chrono::seconds;

// Every cosigned checkpoint is kept in the log's history: not each second of a busy node is worth one.
constexpr seconds kInterval{5};
constexpr seconds kFirstRetry{1};
constexpr seconds kLongestRetry{300};

}  // namespace

Result<std::unique_ptr<Witnesses>> Witnesses::Create(const std::vector<config::Witness>& witnesses, const Clock& clock,
                                                     Post post) {
  std::unique_ptr<Witnesses> out(new Witnesses(clock, std::move(post)));
  for (const config::Witness& w : witnesses) {
    auto key = ledger::VerifierKey::Parse(w.key);
    if (!key.ok()) return key.error().WithContext("ledger.witnesses: " + w.url);
    if (key->type() != ledger::NoteKeyType::kCosignatureV1) {
      return InvalidArgument("ledger.witnesses: " + w.url + ": the key is not one of a witness");
    }
    out->known_.push_back({w.url + (w.url.ends_with('/') ? "" : "/") + "add-checkpoint", std::move(*key)});
  }
  return out;
}

void Witnesses::Tick(const std::string& tenant, ledger::TenantLedger& log) {
  Asked& of = logs_[tenant];
  if (of.log == nullptr) {
    of = {++numbered_, &log, {}};
    for (const Known& w : known_) of.pairs.push_back({.client = ledger::WitnessClient(w.key), .url = w.url});
  }
  const uint64_t size = log.sequencer().log().committed().size;
  for (size_t which = 0; which < of.pairs.size(); ++which) {
    const Pair& pair = of.pairs[which];
    if (!pair.asking && pair.due <= clock_.Mono() && size > pair.client.cosigned_size()) Ask(tenant, of, which);
  }
}

void Witnesses::Ask(const std::string& tenant, Asked& of, size_t which) {
  Pair& pair = of.pairs[which];
  auto body = pair.client.NextRequest(of.log->sequencer().log(), of.log->storage());
  if (!body.ok()) return Failed(tenant, pair, body.error());
  if (body->empty()) return;  // it has this one: the cosignature was in the log when we started
  pair.asking = true;
  post_(pair.url, std::move(*body), [this, tenant, number = of.number, which](Result<WitnessAnswerText> answer) {
    Answered(tenant, number, which, std::move(answer));
  });
}

// Whoever answers takes its time: the log may have gone, and another of its name may have come.
void Witnesses::Answered(const std::string& tenant, uint64_t number, size_t which, Result<WitnessAnswerText> answer) {
  const auto of = logs_.find(tenant);
  if (of == logs_.end() || of->second.number != number) return;
  Pair& pair = of->second.pairs[which];
  pair.asking = false;
  if (!answer.ok()) return Failed(tenant, pair, answer.error());
  const auto taken = pair.client.TakeAnswer(of->second.log->sequencer().log(), answer->status, answer->body);
  if (!taken.ok()) return Failed(tenant, pair, taken.error());
  if (!*taken) return Ask(tenant, of->second, which);  // it has seen more, or less, than we knew
  pair.failures = 0;
  pair.error.clear();
  pair.last = clock_.Wall();
  pair.due = clock_.Mono() + kInterval;
}

void Witnesses::Failed(const std::string& tenant, Pair& pair, const Error& why) {
  const seconds wait = kFirstRetry * (1 << std::min(pair.failures++, 10));
  pair.due = clock_.Mono() + std::min(wait, kLongestRetry);
  const std::string text = why.ToString();
  if (text == pair.error) return;  // said already
  pair.error = text;
  // One that refuses has seen another log under this name: somebody has to look, here and there.
  const bool refused = why.code() == ErrorCode::kPermissionDenied;
  Log(refused ? LogLevel::kError : LogLevel::kWarn, refused ? "witness.refused" : "witness.unreachable",
      {{"witness", pair.client.witness().name()}, {"tenant", tenant}, {"error", why}});
}

std::vector<WitnessState> Witnesses::States() const {
  std::vector<WitnessState> out;
  for (const auto& [tenant, of] : logs_) {
    for (const Pair& p : of.pairs) {
      out.push_back({tenant, p.client.witness().name(), p.client.cosigned_size(), p.last, p.error});
    }
  }
  return out;
}

}  // namespace hexr::keeper
