// How an instance and a launch talk to the other processes of the node; the spawner is behind it. One loop's thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/spiffe_id.h"
#include "runtime/channel.h"
#include "spawner/exec_counters.h"

namespace hexr::spawner {

class Links {
 public:
  virtual ~Links() = default;
  virtual ExecCounters& exec_counters() = 0;
  // UNAVAILABLE at once when that process is not there.
  virtual void CallKeeper(runtime::Envelope body, std::vector<runtime::UniqueFd> fds,
                          runtime::Channel::OnReply done) = 0;
  virtual void CallGateway(const IdSegment& tenant, runtime::Envelope body, std::vector<runtime::UniqueFd> fds,
                           runtime::Channel::OnReply done) = 0;
  // No answer; lost when that process is not there: it asks again for everything when it is back.
  virtual void TellKeeper(runtime::Envelope body) = 0;
  // Kept until a keeper has acknowledged it.
  virtual void SendEnd(::hexr::node::v1::InstanceEnded ended) = 0;
  virtual void TellGateway(const IdSegment& tenant, runtime::Envelope body) = 0;
  // With the supervisor, for a successor.
  virtual void Park(const std::string& key, std::string state, std::vector<runtime::UniqueFd> fds) = 0;
  virtual void Unpark(const std::string& key) = 0;
};

}  // namespace hexr::spawner
