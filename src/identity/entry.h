// Registration entries for processes that hexr did not start: SPIRE's model on one node. Belongs to one thread.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/limits/identity.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "identity/selector.h"

namespace hexr::identity {

struct Entry {
  std::string entry_id;  // names the entry for people: "service/db"
  SpiffeId spiffe_id;
  std::vector<Selector> selectors;  // all of them have to hold
  std::optional<WallTime> expires_at;
  std::string hint;
  std::optional<std::chrono::seconds> x509_ttl;  // shorter than the node's, never longer
  std::optional<std::chrono::seconds> jwt_ttl;
};

// The entry that came nearest, for a message that says what to change.
struct NearestMiss {
  std::string entry_id;
  std::vector<Selector> missing;  // what the entry asks for and the process has not
  std::vector<Selector> actual;   // what the process has of the same kinds
  bool expired = false;           // everything fits, but the entry has run out
  std::string ToString() const;
};

class EntryTable {
 public:
  explicit EntryTable(TrustDomain trust_domain) : trust_domain_(std::move(trust_domain)) {}

  // Adds, or replaces the entry with that entry_id. INVALID_ARGUMENT: no selector, an ID of another trust domain or
  // without a path, a hint over its bound. RESOURCE_EXHAUSTED over limits::kMaxEntries.
  Status Set(Entry entry);
  // NOT_FOUND when there is none.
  Status Remove(std::string_view entry_id);

  // Entries whose selectors are all in `process`, oldest first, without those that have expired. Where two carry the
  // same hint, the older one alone keeps it (a client takes the first, SPIFFE_Workload_API.md 5.2.1).
  std::vector<Entry> Match(const SelectorSet& process, WallTime now) const;
  // Nothing when the table is empty.
  std::optional<NearestMiss> Explain(const SelectorSet& process, WallTime now) const;

  // Whether an entry that is in force misses nothing of `process` but a digest: hashing is wasted otherwise.
  bool DigestDecides(const SelectorSet& process, WallTime now) const;
  std::vector<const Entry*> All() const;
  size_t size() const { return by_age_.size(); }

 private:
  TrustDomain trust_domain_;
  std::map<uint64_t, Entry> by_age_;
  std::map<std::string, uint64_t, std::less<>> by_id_;
  uint64_t next_age_ = 0;
  size_t wants_sha256_ = 0;
};

}  // namespace hexr::identity
