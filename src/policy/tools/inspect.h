// What a bundle or a policy file holds, as `opa inspect` says it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "policy/bundle/bundle.h"
#include "policy/bundle/signature.h"

namespace hexr::policy {

struct Inspection {
  bool has_manifest = false;
  Manifest manifest;
  std::string digest;
  std::map<std::string, std::vector<std::string>> namespaces;  // "data.a.b": files
  std::vector<std::string> annotations;                        // JSON: {annotations, location, path}
  bool is_signed = false;
  std::string signature;  // "" not checked, "good", or why not
};

// `path`: a bundle, or one .rego file. `verification` null: the signature is not checked.
Result<Inspection> Inspect(const std::string& path, const Verification* verification, rego::Version version);
std::string InspectionText(const Inspection& i, bool annotations);
std::string InspectionJson(const Inspection& i, bool annotations);

}  // namespace hexr::policy
