#include "spawner/roles.h"

#include <algorithm>

#include "base/exe_pattern.h"

namespace hexr::spawner {
namespace {

std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// A word of a "#!" line, taken off its front.
std::string_view TakeWord(std::string_view& line) {
  const size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  const size_t end = std::min(line.find_first_of(" \t", begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

void AddField(std::string& out, std::string_view field) {
  out += std::to_string(field.size());
  out += ':';
  out += field;
}

void AddFields(std::string& out, const std::vector<std::string>& fields) {
  AddField(out, std::to_string(fields.size()));
  for (const std::string& f : fields) AddField(out, f);
}

// The entries of `target` that name `user`.
Result<std::vector<config::Role>> EntriesFor(const std::vector<config::Role>& roles, const RoleName& target,
                                             const std::string& user) {
  std::vector<config::Role> found;
  bool named = false;
  for (const config::Role& r : roles) {
    if (!Names(r, target)) continue;
    named = true;
    const auto& u = r.users;
    if (std::find(u.begin(), u.end(), "*") != u.end() || std::find(u.begin(), u.end(), user) != u.end()) {
      found.push_back(r);
    }
  }
  if (!found.empty()) return found;
  if (named)
    return PermissionDenied("user " + user + " may not start " + target.ToString() +
                            "; its entry in `roles` lists who may");
  return PermissionDenied("no entry in `roles` names " + target.ToString() + " of tenant " + target.tenant.value() +
                          "; add one to the node's configuration (with `tenant:` where it is not the node's own)");
}

}  // namespace

bool Names(const config::Role& entry, const RoleName& name) {
  return entry.tenant.Matches(name.tenant) && entry.agent.Matches(name.agent) && entry.role.Matches(name.role);
}

Result<std::vector<config::Role>> RolesFor(const std::vector<config::Role>& roles, const RoleName& target,
                                           const std::string& user, bool owner) {
  if (roles.empty()) {
    if (!owner)
      return PermissionDenied(
          "no roles are configured: only the node's own user may start agents; add an entry to `roles`");
    return std::vector<config::Role>{config::Role{.exe = {"*"}}};
  }
  return EntriesFor(roles, target, user);
}

Result<std::vector<config::Role>> RolesForSubAgent(const std::vector<config::Role>& roles, const RoleName& target,
                                                   const RoleName& parent,
                                                   const std::vector<config::SpawnTarget>& allowed,
                                                   const std::string& user) {
  const bool listed =
      target.tenant == parent.tenant && std::any_of(allowed.begin(), allowed.end(), [&](const config::SpawnTarget& s) {
        return s.agent.Matches(target.agent) && s.role.Matches(target.role);
      });
  if (!listed) {
    return PermissionDenied(parent.ToString() + " may not start " + target.ToString() +
                            "; its entry in `roles` lists what it may under `spawn`");
  }
  return EntriesFor(roles, target, user);
}

Result<config::Role> FindByProgram(const std::vector<config::Role>& candidates, const RoleName& target,
                                   const std::string& program) {
  for (const config::Role& r : candidates) {
    if (MatchesAnyExePattern(r.exe, program)) return r;
  }
  return PermissionDenied(target.ToString() + " may not run " + program +
                          "; its entry in `roles` names its programs under `exe`");
}

crypto::Sha256Digest EntryDigest(const config::Role& entry) {
  // By name, so that a field which is added does not compile here until it counts.
  const auto& [tenant, agent, role, exe, users, children, spawn, sub_identities] = entry;
  std::vector<std::string> targets;
  targets.reserve(spawn.size());
  for (const config::SpawnTarget& s : spawn) targets.push_back(s.agent.ToString() + "/" + s.role.ToString());
  std::string text;
  for (const config::NamePattern* name : {&tenant, &agent, &role}) AddField(text, name->ToString());
  AddFields(text, exe);
  AddFields(text, users);
  AddFields(text, targets);
  AddField(text, std::to_string(static_cast<int>(children)));
  AddField(text, sub_identities ? "1" : "0");
  return crypto::Sha256(AsBytes(text));
}

const config::Role* FindEntry(const std::vector<config::Role>& roles, ByteView digest) {
  for (const config::Role& r : roles) {
    const crypto::Sha256Digest own = EntryDigest(r);
    if (std::ranges::equal(own, digest)) return &r;
  }
  return nullptr;
}

std::string EffectiveProgram(const std::string& path, std::string_view first_bytes) {
  if (!first_bytes.starts_with("#!")) return path;
  std::string_view line = first_bytes.substr(2, first_bytes.find('\n') - 2);
  const std::string_view interpreter = TakeWord(line);
  if (BaseName(interpreter) != "env") return std::string(interpreter);
  for (std::string_view word = TakeWord(line); !word.empty(); word = TakeWord(line)) {
    if (word[0] != '-' && word.find('=') == std::string_view::npos) return std::string(word);
  }
  return std::string(interpreter);
}

}  // namespace hexr::spawner
