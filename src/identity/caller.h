// Who is asking: from the kernel's evidence to the identities that a process may use. Belongs to one loop.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/entry.h"
#include "identity/process.h"
#include "identity/registry.h"
#include "identity/selector.h"
#include "identity/types.h"

namespace hexr::identity {

// One identity and how long what is issued for it may live.
struct Grant {
  Identity identity;
  std::chrono::seconds x509_ttl;
  std::chrono::seconds jwt_ttl;
};

struct Caller {
  std::string process;                 // SvidKeeper's name for the holder: no two processes have the same
  std::optional<InstanceId> instance;  // the caller is this instance's own process, or inherits from it
  bool own_process = false;            // …the former
  uint64_t images = 0;                 // of the instance: what one image opened is not for the next
  std::vector<Grant> grants;           // at least one
  std::string account = {};            // whose rate its request counts for; empty where nothing was asked
};

class CallerResolver {
 public:
  struct Ttls {
    std::chrono::seconds x509;
    std::chrono::seconds jwt;
  };
  // All references outlive the resolver.
  CallerResolver(const ProcessReader& reader, const Registry& registry, const EntryTable& entries,
                 SelectorSource& selectors, const Clock& clock, Ttls ttls)
      : reader_(reader), registry_(registry), entries_(entries), selectors_(selectors), clock_(clock), ttls_(ttls) {}

  // PERMISSION_DENIED: no identity; the message is for the caller and names no entry. UNAVAILABLE: the instance is
  // replacing its image. NOT_FOUND, UNAUTHENTICATED: as ProcessReader.
  Result<Caller> Resolve(const ProcessEvidence& evidence) const;

  // The instance that a process is a descendant of, or its own; null when there is none. Errors as
  // ProcessReader::AncestorsOf: it cannot be told.
  Result<const Instance*> InstanceAbove(const ProcessKey& key) const;

  // For operators: why this process has no identity, down to the selector that missed.
  std::string Explain(const ProcessEvidence& evidence) const;

  // Names a process that is no instance.
  static std::string ProcessName(const ProcessKey& key);

 private:
  Result<std::vector<ProcessKey>> Ancestors(const ProcessKey& key) const;
  Result<Caller> FromInstance(const Instance& instance, const ProcessKey& key, bool own_process) const;

  const ProcessReader& reader_;
  const Registry& registry_;
  const EntryTable& entries_;
  SelectorSource& selectors_;
  const Clock& clock_;
  Ttls ttls_;
};

}  // namespace hexr::identity
