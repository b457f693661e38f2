// A bundle of OPA: policies and data with a manifest that says which part of the document tree they are. Snapshots
// hold all of it, deltas change the data of the bundle before. Values; one thread while they are made.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/bundle/archive.h"
#include "policy/documents.h"

namespace hexr::policy {

struct Manifest {
  std::string revision;
  std::vector<std::string> roots = {""};  // "a/b"; "": everything
  rego::Version version = rego::Version::kV1;
  std::map<std::string, rego::Version> file_versions;  // by path or glob pattern
  std::string metadata_json;                           // an object; "": none
};

struct PatchStep {
  enum class Op : uint8_t { kUpsert, kReplace, kRemove } op;
  std::vector<std::string> path;
  rego::Value value;
};

struct Bundle {
  Manifest manifest;
  Documents documents;  // sources are named by their path in the bundle
  bool delta = false;
  std::vector<PatchStep> patch;  // of a delta; values live in documents.arena
  std::string digest;            // SHA-256 over all files, hexadecimal
};

// INVALID_ARGUMENT: a manifest, document or patch that does not parse, a policy or data outside of the roots, roots
// that overlap, a delta with policies.
Result<Bundle> ParseBundle(std::vector<BundleFile> files, rego::Version version = rego::Version::kV1);
Result<Manifest> ParseManifest(std::string_view json);
std::string ManifestJson(const Manifest& manifest);

// Whether two bundles claim a part of the tree both. INVALID_ARGUMENT names it.
Status CheckRootsApart(const std::vector<const Manifest*>& manifests);

// `base` with the steps of `delta`, a bundle of the same roots. Neither is changed; values are shared with both.
// INVALID_ARGUMENT: a path that does not exist, or lies outside of the roots.
Result<rego::Value> ApplyPatch(rego::Arena& arena, const rego::Value& base, const Bundle& delta);

}  // namespace hexr::policy
