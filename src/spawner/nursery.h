// Processes made ahead of the agents that will run in them.
//
// Half of a launch goes into what is the same for every agent of a tenant: namespaces, a network, fresh mounts. For a
// tenant that has started an agent it is done between launches. A process that waits here has seen nothing of any
// caller, becomes one agent or none, and ends with this object or with the spawner (INV-SPAWN-17). One loop's thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/loop.h"
#include "spawner/ground.h"

namespace hexr::spawner {

// The id was given when the process was made: its control group is named after it. Its time is that of the process.
struct Prepared {
  InstanceId id;
  std::unique_ptr<Launch> launch;
  MonoTime begun{}, made{};  // around clone3 and the maps
  bool ahead = false;        // it has waited for this launch
  Origins origins;
  std::vector<std::string> weaker;  // protections that the machine does not give it
};

class Nursery {
 public:
  using Make = UniqueFunction<Result<Prepared>(const IdSegment& tenant)>;
  Nursery(runtime::Loop& loop, Make make) : loop_(loop), make_(std::move(make)) {}
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;

  // One for this launch: of those that wait and show the machine as it is, or made now. Each has to be followed by one
  // Done.
  Result<Prepared> Take(const IdSegment& tenant);
  // One that was taken and got no plan.
  void Return(const IdSegment& tenant, Prepared prepared);
  // The launch is over, well or not. Those that are missing are made when no launch is under way.
  void Done();
  // An agent has ended, and whoever waited for it knows.
  void Ended();
  // Lets go of processes of tenants that are not among these any more.
  void KeepOnly(const std::set<std::string>& tenants);
  // Ends all that wait, and makes no more.
  void Close();
  size_t waiting() const;

 private:
  struct Waiting {
    Prepared prepared;
    runtime::FdWatch watch;  // goes first: it does not own what it watches
  };
  void Restock();
  void RestockAfter(std::chrono::nanoseconds delay);
  void Keep(const std::string& tenant, Prepared prepared);
  void OnEvent(const std::string& tenant, const Launch* launch);

  runtime::Loop& loop_;
  Make make_;
  std::map<std::string, std::deque<Waiting>> waiting_;  // by tenant, which has started an agent before
  size_t launches_ = 0;                                 // under way
  runtime::Timer restock_;
  MountWatch mounts_;
  bool closed_ = false;
};

}  // namespace hexr::spawner
