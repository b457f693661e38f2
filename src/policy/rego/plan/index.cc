#include "policy/rego/plan/index.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "policy/rego/value/arena.h"

namespace hexr::rego {
namespace {

struct ByValue {
  bool operator()(const Value& a, const Value& b) const { return Compare(a, b) < 0; }
};

}  // namespace

struct Index::Found {
  Arena& arena;
  uint32_t* data = nullptr;
  uint32_t size = 0;
  uint32_t capacity = 0;

  void Add(const std::vector<uint32_t>& rules) {
    if (size + rules.size() > capacity) {
      capacity = std::max<uint32_t>(16, 2 * (size + static_cast<uint32_t>(rules.size())));
      auto* grown = arena.New<uint32_t>(capacity);
      if (size > 0) std::memcpy(grown, data, size * sizeof(uint32_t));
      data = grown;
    }
    std::copy(rules.begin(), rules.end(), data + size);
    size += static_cast<uint32_t>(rules.size());
  }
};

bool Index::Source::operator==(const Source& o) const {
  return argument == o.argument && std::equal(path.begin(), path.end(), o.path.begin(), o.path.end(),
                                              [](const Value& a, const Value& b) { return Equal(a, b); });
}

void Index::Build(std::vector<Source> sources, std::vector<Rule> rules) {
  sources_ = std::move(sources);
  rules_ = std::move(rules);
  std::vector<uint32_t> all(rules_.size());
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  root_ = Grow(std::move(all), 0, 0);
  useful_ = branches_[static_cast<size_t>(root_)].source >= 0;
}

// A branch for `rules`: on the document that most of them test.
int Index::Grow(std::vector<uint32_t> rules, uint64_t used, size_t depth) {
  auto id = static_cast<int>(branches_.size());
  branches_.emplace_back();
  int best = -1;
  size_t best_count = 0;
  auto guard_on = [&](uint32_t rule, int source) -> const Guard* {
    for (const Guard& g : rules_[rule].guards) {
      if (g.source == source) return &g;
    }
    return nullptr;
  };
  for (size_t s = 0; s < sources_.size() && s < 64; ++s) {
    if (used >> s & 1) continue;
    auto count = static_cast<size_t>(
        std::count_if(rules.begin(), rules.end(), [&](uint32_t r) { return guard_on(r, static_cast<int>(s)); }));
    if (count > best_count) {
      best = static_cast<int>(s);
      best_count = count;
    }
  }
  if (best < 0 || rules.size() < 2 || depth > 8) {
    branches_[static_cast<size_t>(id)].rules = std::move(rules);
    return id;
  }
  std::map<Value, std::vector<uint32_t>, ByValue> equal, prefix;
  std::vector<uint32_t> rest;
  for (uint32_t r : rules) {
    const Guard* g = guard_on(r, best);
    if (g == nullptr) {
      rest.push_back(r);
      continue;
    }
    for (const Value& v : g->values) {
      auto& list = (g->kind == Guard::Kind::kPrefix ? prefix : equal)[v];
      if (list.empty() || list.back() != r) list.push_back(r);
    }
  }
  uint64_t now = used | uint64_t{1} << best;
  Branch b;
  b.source = best;
  b.slots = std::bit_ceil(static_cast<uint32_t>(2 * (equal.size() + prefix.size()) + 1));
  std::vector<Slot> table(b.slots);
  auto insert = [&](const Value& key, bool is_prefix, std::vector<uint32_t> list) {
    uint32_t slot = Hash(key) & (b.slots - 1);
    while (table[slot].branch >= 0) slot = (slot + 1) & (b.slots - 1);
    table[slot] = {key, Grow(std::move(list), now, depth + 1), is_prefix};
  };
  for (auto& [key, list] : equal) insert(key, false, std::move(list));
  for (auto& [key, list] : prefix) {
    b.lengths.push_back(static_cast<uint32_t>(key.text().size()));
    insert(key, true, std::move(list));
  }
  std::sort(b.lengths.begin(), b.lengths.end());
  b.lengths.erase(std::unique(b.lengths.begin(), b.lengths.end()), b.lengths.end());
  if (!rest.empty()) b.otherwise = Grow(std::move(rest), now, depth + 1);
  b.table = static_cast<uint32_t>(slots_.size());
  slots_.insert(slots_.end(), table.begin(), table.end());
  branches_[static_cast<size_t>(id)] = std::move(b);
  return id;
}

Value Index::Load(const Source& s, const Value& input, const Value* arguments) const {
  Value v = s.argument >= 0 ? arguments[s.argument] : input;
  for (const Value& k : s.path) {
    v = Lookup(v, k);
    if (!v.defined()) break;
  }
  return v;
}

int Index::FindSlot(const Branch& b, uint32_t hash, const Value* key, std::string_view prefix) const {
  uint32_t mask = b.slots - 1;
  for (uint32_t slot = hash & mask;; slot = (slot + 1) & mask) {
    const Slot& s = slots_[b.table + slot];
    if (s.branch < 0) return -1;
    if (key != nullptr ? !s.prefix && Equal(s.key, *key) : s.prefix && s.key.tag == hash && s.key.text() == prefix)
      return s.branch;
  }
}

void Index::Ask(int branch, const Value& input, const Value* arguments, Found& found) const {
  while (branch >= 0) {
    const Branch& b = branches_[static_cast<size_t>(branch)];
    if (b.source < 0) {
      found.Add(b.rules);
      return;
    }
    Value v = Load(sources_[static_cast<size_t>(b.source)], input, arguments);
    if (v.defined()) {
      if (int next = FindSlot(b, Hash(v), &v, {}); next >= 0) Ask(next, input, arguments, found);
      if (v.is_string()) {
        std::string_view text = v.text();
        for (uint32_t length : b.lengths) {
          if (length > text.size()) break;
          std::string_view head = text.substr(0, length);
          if (int next = FindSlot(b, HashText(head), nullptr, head); next >= 0) Ask(next, input, arguments, found);
        }
      }
    }
    branch = b.otherwise;
  }
}

uint32_t Index::Candidates(Arena& arena, const Value& input, const Value* arguments, const uint32_t** out) const {
  Found found{arena};
  Ask(root_, input, arguments, found);
  if (found.size > 1) std::sort(found.data, found.data + found.size);
  // A rule whose guard offers several values or prefixes may be found twice.
  uint32_t n = found.size > 1 ? static_cast<uint32_t>(std::unique(found.data, found.data + found.size) - found.data)
                              : found.size;
  *out = found.data;
  return n;
}

}  // namespace hexr::rego
