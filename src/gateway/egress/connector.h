// From an admitted call to a connected socket: resolve, check every address, record, dial. The address that was checked
// is the address that is dialled; nothing is resolved twice. Belongs to the loop's thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/host.h"
#include "base/result.h"
#include "config/config.h"
#include "gateway/egress/address.h"
#include "gateway/pipeline.h"
#include "gateway/recorder.h"
#include "runtime/loop.h"

namespace hexr::gateway {

// The node's own resolver. `done` runs on the loop, never from inside Resolve; not at all once the handle is dropped.
// No asker's names hold up another's.
class Resolver {
 public:
  using Done = UniqueFunction<void(Result<std::vector<IpAddress>>)>;
  virtual ~Resolver() = default;
  [[nodiscard]] virtual std::shared_ptr<void> Resolve(const InstanceId& asker, const HostName& name, Done done) = 0;
};

// `egress.resolve`: names that are dialled at a fixed place.
class Overrides {
 public:
  explicit Overrides(std::map<HostName, config::DialPlace> places) : places_(std::move(places)) {}
  // Where `destination` is dialled instead; nullopt: nowhere else.
  std::optional<Endpoint> Find(const HostPort& destination) const;

 private:
  std::map<HostName, config::DialPlace> places_;
};

class Connector {
 public:
  // All outlive it.
  Connector(runtime::Loop& loop, Resolver& resolver, Recorder& recorder, AddressPolicy policy, Overrides overrides)
      : loop_(loop),
        resolver_(resolver),
        recorder_(recorder),
        policy_(std::move(policy)),
        overrides_(std::move(overrides)) {}

  // NOT_FOUND: no such name. PERMISSION_DENIED: no address of it may be dialled. ABORTED: none answers.
  // Any other: the record before dialling failed.
  std::shared_ptr<void> Connect(const Admitted& admitted, ConnectDone done);
  ConnectStep AsStep();

 private:
  class Attempt;
  runtime::Loop& loop_;
  Resolver& resolver_;
  Recorder& recorder_;
  AddressPolicy policy_;
  Overrides overrides_;
};

}  // namespace hexr::gateway
