#include "identity/selector.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/limits/identity.h"

namespace hexr::identity {
namespace {

// For as long as what was found is told to those who waited for it.
constexpr std::chrono::seconds kJustRead{2};

// The name in field 1 of the line whose field 3 is `number` (passwd(5), group(5)).
std::optional<std::string> NameOf(const std::string& file, uint32_t number) {
  std::ifstream in(file);
  const std::string wanted = std::to_string(number);
  std::string line;
  while (std::getline(in, line)) {
    const size_t first = line.find(':');
    if (first == std::string::npos || first == 0) continue;
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const size_t third = std::min(line.find(':', second + 1), line.size());
    if (line.compare(second + 1, third - second - 1, wanted) == 0) return line.substr(0, first);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> FileAccountNames::UserName(uint32_t uid) const { return NameOf(passwd_, uid); }
std::optional<std::string> FileAccountNames::GroupName(uint32_t gid) const { return NameOf(group_, gid); }

FileCgroupOwners::FileCgroupOwners(std::string root) : root_(std::move(root)) {}

FileCgroupOwners FileCgroupOwners::Detect() {
  const bool unified = ::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
  return FileCgroupOwners(unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified");
}

std::optional<uint32_t> FileCgroupOwners::OwnerOf(const std::string& path) const {
  struct stat st {};
  if (::lstat((root_ + path).c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) return std::nullopt;
  // Group or world writable is as good as owned by somebody else.
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) return std::nullopt;
  return st.st_uid;
}

std::vector<std::string> SelectorSource::TrustedCgroups(const std::string& path) const {
  std::vector<std::string> trusted;
  if (!path.starts_with('/') || path.find("/../") != std::string::npos || path.ends_with("/..")) return trusted;
  std::string parent = "/";
  for (size_t at = 1; at < path.size();) {
    if (cgroups_.OwnerOf(parent) != uint32_t{0}) break;
    const size_t end = std::min(path.find('/', at), path.size());
    parent = path.substr(0, end);
    trusted.push_back(parent);
    at = end + 1;
  }
  return trusted;
}

SelectorSet SelectorSource::SelectorsOf(const ProcessFacts& facts) const {
  SelectorSet set;
  const auto add = [&set](SelectorKind kind, std::string value) { set.insert(Selector::Of(kind, std::move(value))); };
  add(SelectorKind::kUnixUid, std::to_string(facts.uid));
  if (auto name = names_.UserName(facts.uid)) add(SelectorKind::kUnixUser, std::move(*name));
  add(SelectorKind::kUnixGid, std::to_string(facts.gid));
  if (auto name = names_.GroupName(facts.gid)) add(SelectorKind::kUnixGroup, std::move(*name));
  for (const uint32_t gid : facts.groups) {
    add(SelectorKind::kUnixSupplementaryGid, std::to_string(gid));
    if (auto name = names_.GroupName(gid)) add(SelectorKind::kUnixSupplementaryGroup, std::move(*name));
  }
  if (facts.exe_path_holds) add(SelectorKind::kUnixPath, facts.exe);
  bool unit_seen = false;
  for (const std::string& cgroup : TrustedCgroups(facts.cgroup)) {
    add(SelectorKind::kCgroup, cgroup);
    // systemd puts a unit's processes below slices; the first thing below them that is no slice is the unit.
    if (!unit_seen && !cgroup.ends_with(".slice")) {
      unit_seen = true;
      const std::string name = cgroup.substr(cgroup.rfind('/') + 1);
      if (name.ends_with(".service") || name.ends_with(".scope")) add(SelectorKind::kSystemdId, name);
    }
  }
  return set;
}

Status SelectorSource::AddDigest(const ProcessFacts& facts, SelectorSet& set) {
  if (!facts.exe_fd || !facts.exe_file.has_value()) return Ok();
  if (hasher_ != nullptr) return ReadElsewhere(facts, set);
  if (digests_.Find(*facts.exe_file) == nullptr && !hashing_.Admit(std::to_string(facts.uid))) {
    return ResourceExhausted("too many new executables of this user: ask again in a second");
  }
  const auto digest = digests_.DigestOf(facts.exe_fd.get(), *facts.exe_file);
  if (digest.ok()) set.insert(Selector::Of(SelectorKind::kUnixSha256, HexEncode(*digest)));
  return Ok();
}

void SelectorSource::ReadOn(FileHasher& hasher, std::function<void()> on_read) {
  hasher_ = &hasher;
  on_read_ = std::move(on_read);
}

Status SelectorSource::ReadElsewhere(const ProcessFacts& facts, SelectorSet& set) {
  const FileIdentity file = *facts.exe_file;
  const ReadFor key{file, facts.key.pid, facts.key.start_time};
  std::erase_if(read_, [now = clock_.Mono()](const auto& r) { return now - r.second.at >= kJustRead; });
  std::optional<crypto::Sha256Digest> digest;
  if (const auto just = read_.find(key); just != read_.end()) {
    digest = just->second.digest;
    if (!digest) return Ok();  // it cannot be read: left out
  } else if (const auto* known = digests_.Find(file)) {
    digest = *known;
  }
  if (digest) {
    set.insert(Selector::Of(SelectorKind::kUnixSha256, HexEncode(*digest)));
    return Ok();
  }
  const Error being_read = Unavailable("the program is being read: ask again");
  const bool busy = std::ranges::any_of(reading_, [&](const auto& r) { return r.second == facts.uid; });
  if (busy || reading_.contains(file)) return being_read;
  if (reading_.size() >= limits::kMaxPendingDigests || !hashing_.Admit(std::to_string(facts.uid)))
    return ResourceExhausted("too many new executables of this user: ask again in a second");
  runtime::UniqueFd copy(::fcntl(facts.exe_fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return Ok();
  reading_.emplace(file, facts.uid);
  hasher_->Hash(std::move(copy), file, clock_.Wall(),
                [weak = std::weak_ptr<SelectorSource*>(self_), file, key](const Result<FileDigest>& found) {
                  const auto self = weak.lock();
                  if (self == nullptr) return;
                  SelectorSource& s = **self;
                  s.reading_.erase(file);
                  if (found.ok()) s.digests_.Remember(file, *found);
                  s.read_[key] = {found.ok() ? std::optional(found->sha256) : std::nullopt, s.clock_.Mono()};
                  s.on_read_();
                });
  return being_read;
}

void SelectorSource::AddKnownDigest(const ProcessFacts& facts, SelectorSet& set) const {
  const auto* digest = facts.exe_file.has_value() ? digests_.Find(*facts.exe_file) : nullptr;
  if (digest != nullptr) set.insert(Selector::Of(SelectorKind::kUnixSha256, HexEncode(*digest)));
}

}  // namespace hexr::identity
