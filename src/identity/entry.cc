#include "identity/entry.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/limits/identity.h"

namespace hexr::identity {
namespace {

bool AsksForDigest(const Entry& entry) {
  return std::any_of(entry.selectors.begin(), entry.selectors.end(),
                     [](const Selector& s) { return s.kind() == SelectorKind::kUnixSha256; });
}

bool Expired(const Entry& entry, WallTime now) { return entry.expires_at.has_value() && *entry.expires_at <= now; }

std::vector<Selector> Missing(const Entry& entry, const SelectorSet& process) {
  std::vector<Selector> missing;
  for (const Selector& s : entry.selectors) {
    if (!process.contains(s)) missing.push_back(s);
  }
  return missing;
}

std::string Join(const std::vector<Selector>& selectors) {
  std::string out;
  for (const Selector& s : selectors) out += (out.empty() ? "" : ", ") + s.ToString();
  return out;
}

}  // namespace

std::string NearestMiss::ToString() const {
  if (expired) return "entry " + entry_id + " has expired";
  return "nearest entry " + entry_id + " asks for " + Join(missing) +
         (actual.empty() ? "; this process has nothing of that kind" : "; this process has " + Join(actual));
}

Status EntryTable::Set(Entry entry) {
  const std::string where = "entry " + entry.entry_id + ": ";
  if (entry.entry_id.empty()) return InvalidArgument("an entry needs an id");
  if (entry.selectors.empty()) return InvalidArgument(where + "without selectors it would match every process");
  if (entry.selectors.size() > limits::kMaxSelectorsPerEntry) return InvalidArgument(where + "too many selectors");
  if (!entry.spiffe_id.has_path()) return InvalidArgument(where + "a workload's SPIFFE ID has a path");
  if (entry.spiffe_id.trust_domain() != trust_domain_) {
    return InvalidArgument(where + "its SPIFFE ID belongs to another trust domain than " + trust_domain_.name());
  }
  if (entry.hint.size() > limits::kMaxHintBytes) return InvalidArgument(where + "the hint is too long");
  std::sort(entry.selectors.begin(), entry.selectors.end());
  entry.selectors.erase(std::unique(entry.selectors.begin(), entry.selectors.end()), entry.selectors.end());

  const auto it = by_id_.find(entry.entry_id);
  if (it != by_id_.end()) {
    Entry& old = by_age_.at(it->second);
    wants_sha256_ -= AsksForDigest(old) ? 1 : 0;
    wants_sha256_ += AsksForDigest(entry) ? 1 : 0;
    old = std::move(entry);
    return Ok();
  }
  if (by_age_.size() >= limits::kMaxEntries) return ResourceExhausted("too many entries");
  wants_sha256_ += AsksForDigest(entry) ? 1 : 0;
  by_id_.emplace(entry.entry_id, next_age_);
  by_age_.emplace(next_age_++, std::move(entry));
  return Ok();
}

Status EntryTable::Remove(std::string_view entry_id) {
  const auto it = by_id_.find(entry_id);
  if (it == by_id_.end()) return NotFound("no entry " + std::string(entry_id));
  const auto entry = by_age_.find(it->second);
  wants_sha256_ -= AsksForDigest(entry->second) ? 1 : 0;
  by_age_.erase(entry);
  by_id_.erase(it);
  return Ok();
}

std::vector<Entry> EntryTable::Match(const SelectorSet& process, WallTime now) const {
  std::vector<Entry> out;
  std::set<std::string> hints;
  for (const auto& [age, entry] : by_age_) {
    if (Expired(entry, now) || !Missing(entry, process).empty()) continue;
    Entry copy = entry;
    if (!copy.hint.empty() && !hints.insert(copy.hint).second) copy.hint.clear();
    out.push_back(std::move(copy));
  }
  return out;
}

std::optional<NearestMiss> EntryTable::Explain(const SelectorSet& process, WallTime now) const {
  const Entry* nearest = nullptr;
  std::vector<Selector> missing;
  size_t best_held = 0;
  for (const auto& [age, entry] : by_age_) {
    std::vector<Selector> m = Missing(entry, process);
    const size_t held = entry.selectors.size() - m.size();
    if (nearest == nullptr || m.size() < missing.size() || (m.size() == missing.size() && held > best_held)) {
      nearest = &entry;
      missing = std::move(m);
      best_held = held;
    }
  }
  if (nearest == nullptr) return std::nullopt;
  NearestMiss miss{nearest->entry_id, std::move(missing), {}, false};
  miss.expired = miss.missing.empty() && Expired(*nearest, now);
  std::set<SelectorKind> kinds;
  for (const Selector& s : miss.missing) kinds.insert(s.kind());
  for (const Selector& s : process) {
    if (kinds.contains(s.kind())) miss.actual.push_back(s);
  }
  return miss;
}

bool EntryTable::DigestDecides(const SelectorSet& process, WallTime now) const {
  if (wants_sha256_ == 0) return false;
  return std::any_of(by_age_.begin(), by_age_.end(), [&](const auto& item) {
    const Entry& entry = item.second;
    if (!AsksForDigest(entry) || Expired(entry, now)) return false;
    const std::vector<Selector> missing = Missing(entry, process);
    return std::all_of(missing.begin(), missing.end(),
                       [](const Selector& s) { return s.kind() == SelectorKind::kUnixSha256; });
  });
}

std::vector<const Entry*> EntryTable::All() const {
  std::vector<const Entry*> out;
  for (const auto& [age, entry] : by_age_) out.push_back(&entry);
  return out;
}

}  // namespace hexr::identity
