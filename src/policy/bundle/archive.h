// Bundles as files in memory: folders and .tar.gz (gzip, RFC 1952; tar as POSIX 1003.1-1988 and its pax extension).
// Archives come from anywhere: every size is bounded, and a path that leaves the bundle is refused. Stateless.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/limits/rego.h"
#include "base/result.h"

namespace hexr::policy {

struct BundleFile {
  std::string path;  // relative, parts joined by /, no . and ..
  std::string bytes;
};

struct ArchiveLimits {
  uint64_t unpacked_bytes = limits::kMaxBundleBytes;
  size_t files = limits::kMaxPolicyFiles;
};

// INVALID_ARGUMENT: not gzip, not tar, a path that leaves the bundle, a link or a device, a name twice.
// RESOURCE_EXHAUSTED: more bytes or files than the limits; nothing beyond them is unpacked.
Result<std::vector<BundleFile>> ReadTarGz(std::string_view archive, const ArchiveLimits& limits = {});
// Files in the order given; the same files give the same bytes.
Result<std::string> WriteTarGz(const std::vector<BundleFile>& files);
// Every regular file below `folder`; links are not followed.
Result<std::vector<BundleFile>> ReadBundleFolder(const std::string& folder, const ArchiveLimits& limits = {});
// A folder, or a file that is a .tar.gz.
Result<std::vector<BundleFile>> ReadBundlePath(const std::string& path, const ArchiveLimits& limits = {});

}  // namespace hexr::policy
