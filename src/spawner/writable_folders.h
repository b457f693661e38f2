// Which instances may write to which folders, so that those whom a new one shares with are found without a look at all
// others. One loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "spawner/folders.h"

namespace hexr::spawner {

// Instances that had a writable folder in common with one when it started.
struct Shares {
  std::vector<std::string> named;  // in order, limits::kMaxSharesNamed at most
  uint32_t more = 0;               // beside those
};

class WritableFolders {
 public:
  void Add(const std::string& instance, const std::vector<Given>& folders);
  void Remove(const std::string& instance, const std::vector<Given>& folders);
  // Those with a writable folder that is one of these, lies in one or around it, by path or by what lies there.
  Shares SharedWith(const std::vector<Given>& folders) const;

 private:
  std::map<std::string, std::set<std::string>> by_path_;
  std::map<FileId, std::set<std::string>> by_file_;
};

}  // namespace hexr::spawner
