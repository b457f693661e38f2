#include "identity/caller.h"

#include <algorithm>

namespace hexr::identity {
namespace {

// An adoption in the middle of the walk is rare, two in a row are rarer; a process that causes them on purpose gets
// nothing.
constexpr int kAncestryTries = 4;

}  // namespace

std::string CallerResolver::ProcessName(const ProcessKey& key) {
  if (key.pidfd_inode != 0) return "process:" + std::to_string(key.pidfd_inode);
  return "process:" + std::to_string(key.pid) + "." + std::to_string(key.start_time);
}

Result<std::vector<ProcessKey>> CallerResolver::Ancestors(const ProcessKey& key) const {
  for (int i = 1;; ++i) {
    auto chain = reader_.AncestorsOf(key);
    if (chain.ok() || chain.error().code() != ErrorCode::kAborted || i == kAncestryTries) return chain;
  }
}

Result<const Instance*> CallerResolver::InstanceAbove(const ProcessKey& key) const {
  ASSIGN_OR_RETURN(const auto chain, Ancestors(key));
  return registry_.FindByAncestry(chain);
}

Result<Caller> CallerResolver::FromInstance(const Instance& instance, const ProcessKey& key, bool own_process) const {
  if (instance.quarantined) return PermissionDenied("this instance is quarantined");
  if (instance.replacing_image()) return Unavailable("this instance is replacing its image: ask again");
  if (!own_process && !instance.facts.children_inherit) {
    return PermissionDenied("this is a child of instance " + instance.id().value() +
                            ": children have no identity unless their role says \"children: inherit\"");
  }
  if (!own_process) {
    ASSIGN_OR_RETURN(const ProcessBounds bounds, reader_.BoundsOf(key));
    if (!instance.MadeOne(bounds))
      return PermissionDenied("this process entered instance " + instance.id().value() +
                              " from outside: it is no part of it");
  }
  return Caller{own_process ? instance.id().value() : ProcessName(key),
                instance.id(),
                own_process,
                instance.images,
                {{instance.identity, ttls_.x509, ttls_.jwt}}};
}

Result<Caller> CallerResolver::Resolve(const ProcessEvidence& evidence) const {
  ASSIGN_OR_RETURN(const ProcessKey key, reader_.Identify(evidence));
  if (const Instance* instance = registry_.FindByProcess(key)) return FromInstance(*instance, key, true);

  // Whatever runs below an instance is that instance's: its uid or its path never make it a service of the host.
  ASSIGN_OR_RETURN(const auto chain, Ancestors(key));
  if (const Instance* instance = registry_.FindByAncestry(chain)) return FromInstance(*instance, key, false);
  if (registry_.IsLeftOver(chain))
    return PermissionDenied("the instance that this process is left over from has ended");
  // A process of root or of our own user can enter an instance's namespaces, and has its parent elsewhere then.
  if (!reader_.BornWhereItIs(chain)) {
    return PermissionDenied(
        "this process entered a PID namespace from outside (docker exec, nsenter): that it is in no "
        "instance is not proven");
  }

  ASSIGN_OR_RETURN(const ProcessFacts facts, reader_.Read(evidence));
  if (!SameProcess(facts.key, key)) return Unauthenticated("the process changed while it was looked at");
  SelectorSet selectors = selectors_.SelectorsOf(facts);
  if (entries_.DigestDecides(selectors, clock_.Wall())) RETURN_IF_ERROR(selectors_.AddDigest(facts, selectors));
  Caller caller{ProcessName(facts.key), {}, false, 0, {}};
  for (Entry& entry : entries_.Match(selectors, clock_.Wall())) {
    caller.grants.push_back({{std::move(entry.spiffe_id), Assurance::kMatched, {}, {}, {}, std::move(entry.hint)},
                             std::min(entry.x509_ttl.value_or(ttls_.x509), ttls_.x509),
                             std::min(entry.jwt_ttl.value_or(ttls_.jwt), ttls_.jwt)});
  }
  if (caller.grants.empty()) {
    return PermissionDenied("no identity: this process was not started with \"hexr run\", and no entry matches it");
  }
  return caller;
}

std::string CallerResolver::Explain(const ProcessEvidence& evidence) const {
  const auto caller = Resolve(evidence);
  if (caller.ok()) return "has " + caller->grants.front().identity.id.ToString();
  const auto facts = reader_.Read(evidence);
  if (!facts.ok() || caller.error().code() != ErrorCode::kPermissionDenied) return caller.error().message();
  const auto chain = Ancestors(facts->key);
  if (!chain.ok() || registry_.FindByAncestry(*chain) != nullptr || registry_.IsLeftOver(*chain) ||
      !reader_.BornWhereItIs(*chain)) {
    return caller.error().message();
  }
  SelectorSet selectors = selectors_.SelectorsOf(*facts);
  selectors_.AddKnownDigest(*facts, selectors);
  const auto miss = entries_.Explain(selectors, clock_.Wall());
  return miss.has_value() ? miss->ToString() : "there are no entries";
}

}  // namespace hexr::identity
