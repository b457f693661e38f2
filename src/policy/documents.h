// Policies and data as they are read from files, before they are compiled together.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/rego/engine.h"
#include "policy/rego/value/arena.h"
#include "policy/rego/value/value.h"

namespace hexr::policy {

struct Documents {
  std::vector<rego::Source> sources;
  std::shared_ptr<rego::Arena> arena = std::make_shared<rego::Arena>();  // what `data` lives in
  rego::Value data;                                                      // an object once something was merged
  std::string revision;
  std::string digest;  // of a bundle: SHA-256 over its files
  // Memory of older documents that `data` shares.
  std::vector<std::shared_ptr<const rego::Arena>> shared;

  // Merges `value` into data at `path`. INVALID_ARGUMENT where both have a value that is no object.
  Status Merge(const std::vector<std::string>& path, const rego::Value& value);
};

struct LoadOptions {
  bool bundles = false;             // folders hold data in data.json and data.yaml alone, and a .manifest
  std::vector<std::string> ignore;  // glob patterns of names
};

// As `opa eval -d`: each path is a .rego, .json or .yaml file, a folder of them, or a .tar.gz bundle; "a.b:file" puts
// data at a path. Data of a folder lies under the names of its sub-folders. Errors name the file.
Result<Documents> LoadPaths(const std::vector<std::string>& paths, const LoadOptions& options);

Result<std::string> ReadPolicyFile(const std::string& path);

}  // namespace hexr::policy
