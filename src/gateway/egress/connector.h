// From an admitted call to a connected socket: resolve, check every address, record, dial. The address that was checked
// is the address that is dialled; nothing is resolved twice. Belongs to the loop's thread.
#pragma once

#include <chrono>
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
#include "net/resolver.h"
#include "runtime/loop.h"

namespace hexr::gateway {

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
  Connector(runtime::Loop& loop, net::Resolver& resolver, Recorder& recorder, AddressPolicy policy, Overrides overrides,
            std::chrono::milliseconds attempt_deadline)
      : loop_(loop),
        resolver_(resolver),
        recorder_(recorder),
        policy_(std::move(policy)),
        overrides_(std::move(overrides)),
        attempt_deadline_(attempt_deadline) {}

  // NOT_FOUND: no such name. PERMISSION_DENIED: no address of it may be dialled. ABORTED: none answers.
  // Any other: the record before dialling failed.
  std::shared_ptr<void> Connect(const Admitted& admitted, ConnectDone done);
  ConnectStep AsStep();

 private:
  class Attempt;
  runtime::Loop& loop_;
  net::Resolver& resolver_;
  Recorder& recorder_;
  AddressPolicy policy_;
  Overrides overrides_;
  std::chrono::milliseconds attempt_deadline_;
};

}  // namespace hexr::gateway
