// Rego: policy texts and the documents they read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hexr::limits {

inline constexpr size_t kMaxRegoParseDepth = 1000;                      // nesting of terms, bodies and else
inline constexpr size_t kMaxRegoParseStepsPerToken = 100;               // what ambiguity may cost
inline constexpr size_t kMaxRegoDocumentDepth = 1000;                   // JSON and YAML
inline constexpr uint64_t kMaxPolicyFileBytes = 1024ULL * 1024 * 1024;  // one .rego or data file
inline constexpr size_t kMaxPolicyFiles = 100'000;                      // in one folder
inline constexpr uint64_t kMaxBundleBytes = 1024ULL * 1024 * 1024;      // packed, and unpacked
inline constexpr size_t kMaxRegoTypeDepth = 100;                        // rules whose types hang on one another
inline constexpr size_t kMaxRegoTypeChoices = 64;  // alternatives of a type; with more it is anything
inline constexpr int kMaxRegoSchemaDepth = 1000;   // JSON Schema: document and references together
inline constexpr size_t kMaxRegoPathNodes = 5000;  // of one path that graph.reachable_paths finds
inline constexpr size_t kMaxBundlePathBytes = 4096;
inline constexpr size_t kMaxRegoYamlNodes = 4'000'000;  // aliases counted as what they stand for

}  // namespace hexr::limits
