// The courier process: what the keeper publishes is shown, what it asks for is fetched. Belongs to the loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "courier/endpoint.h"
#include "courier/fetches.h"
#include "courier/metrics_door.h"
#include "courier/own_svid.h"
#include "runtime/channel.h"

namespace hexr::courier {

struct Listening {
  std::string name;  // config::Listener.name
  runtime::UniqueFd socket;
};

class Courier {
 public:
  // `on_ready` runs once: the keeper has said what to show.
  Courier(runtime::Loop& loop, const Clock& clock, std::vector<Listening> listeners, CheckAddress check_address,
          UniqueFunction<void()> on_ready);

  // A connection to the keeper, at the start and again after either end was restarted. What is shown stays meanwhile.
  void OnPeer(const std::string& role, runtime::UniqueFd socket);
  // Nothing here has to be finished: whoever asked for something asks again.
  void Drain(UniqueFunction<void()> done);

 private:
  void FromKeeper(runtime::Message message, runtime::Channel::Reply reply);
  Status Publish(const ::hexr::node::v1::Publish& publish);
  void AskKeeper(runtime::Envelope ask, runtime::Channel::OnReply done);

  runtime::Loop& loop_;
  const Clock& clock_;
  UniqueFunction<void()> on_ready_;
  Fetches fetches_;
  std::map<std::string, Endpoint, std::less<>> endpoints_;  // "bundle", "oidc"
  std::unique_ptr<OwnSvid> svid_;                           // where an endpoint shows one
  std::unique_ptr<MetricsDoor> metrics_;
  std::unique_ptr<runtime::Channel> keeper_;  // last: its end answers what the others have asked
};

}  // namespace hexr::courier
