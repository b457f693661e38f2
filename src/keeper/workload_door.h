// Layer 1 behind api.sock: the identity core, its services, and the socket that agents and everyone else may ask on.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "config/config.h"
#include "identity/core.h"
#include "keeper/state.h"
#include "runtime/loop.h"

namespace hexr::keeper {

class WorkloadDoor {
 public:
  static Result<std::unique_ptr<WorkloadDoor>> Create(runtime::Loop& loop, const Clock& clock, Random& random,
                                                      const config::Config& config, State& state,
                                                      runtime::UniqueFd listener, identity::OutStore& out,
                                                      identity::ImageLookup* images, identity::Core::Events events);
  ~WorkloadDoor();

  identity::Core& core();
  const identity::ProcessReader& reader() const;
  // Accepts nothing more and ends every stream.
  void Drain();

 private:
  struct Impl;
  explicit WorkloadDoor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hexr::keeper
