#include "spawner/writable_folders.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "base/limits/agents.h"

namespace hexr::spawner {
namespace {

template <class Key>
void Take(std::map<Key, std::set<std::string>>& from, const Key& key, const std::string& instance) {
  const auto it = from.find(key);
  if (it == from.end()) return;
  it->second.erase(instance);
  if (it->second.empty()) from.erase(it);
}

}  // namespace

void WritableFolders::Add(const std::string& instance, const std::vector<Given>& folders) {
  for (const Given& g : folders) {
    if (!g.writable) continue;
    by_path_[g.path].insert(instance);
    if (g.id) by_file_[*g.id].insert(instance);
  }
}

void WritableFolders::Remove(const std::string& instance, const std::vector<Given>& folders) {
  for (const Given& g : folders) {
    if (!g.writable) continue;
    Take(by_path_, g.path, instance);
    if (g.id) Take(by_file_, *g.id, instance);
  }
}

Shares WritableFolders::SharedWith(const std::vector<Given>& folders) const {
  std::unordered_set<std::string_view> all;
  const auto add = [&](const auto& map, const auto& key) {
    if (const auto it = map.find(key); it != map.end()) all.insert(it->second.begin(), it->second.end());
  };
  for (const Given& g : folders) {
    if (!g.writable) continue;
    if (g.id) add(by_file_, *g.id);
    for (std::string around = g.path; !around.empty(); around.resize(around.rfind('/'))) add(by_path_, around);
    const std::string inside = g.path + "/";
    for (auto it = by_path_.lower_bound(inside); it != by_path_.end() && it->first.starts_with(inside); ++it)
      all.insert(it->second.begin(), it->second.end());
  }
  Shares out{{all.begin(), all.end()}, 0};
  const size_t named = std::min(out.named.size(), limits::kMaxSharesNamed);
  out.more = static_cast<uint32_t>(out.named.size() - named);
  std::partial_sort(out.named.begin(), out.named.begin() + static_cast<ptrdiff_t>(named), out.named.end());
  out.named.resize(named);
  return out;
}

}  // namespace hexr::spawner
