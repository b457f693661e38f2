// Policies and data that are in force together: compiled once, immutable, shared by every thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/documents.h"
#include "policy/rego/engine.h"

namespace hexr::policy {

class PolicySet {
 public:
  // `data_json` is the base document, an object ("" for none). INVALID_ARGUMENT lists every error of every file.
  static Result<std::shared_ptr<const PolicySet>> Compile(std::vector<rego::Source> sources, std::string_view data_json,
                                                          std::string revision);
  static Result<std::shared_ptr<const PolicySet>> Compile(Documents documents);
  // Every .rego below `folder`, and data.json and data.yaml under the path of the folder they lie in, as OPA loads
  // them.
  static Result<std::shared_ptr<const PolicySet>> LoadFolder(const std::string& folder);

  const rego::Policy& policy() const { return *policy_; }
  const rego::Value& data() const { return documents_.data; }
  const std::string& revision() const { return documents_.revision; }
  const std::string& digest() const { return documents_.digest; }
  // What it was compiled from.
  const Documents& documents() const { return documents_; }
  // The paths of input that any rule reads: "input.role", "input.tool.args".
  const std::vector<std::string>& read_set() const { return read_set_; }

 private:
  PolicySet() = default;
  void CollectReadSet();

  std::unique_ptr<rego::Policy> policy_;
  Documents documents_;
  std::vector<std::string> read_set_;
};

}  // namespace hexr::policy
