// Requests that the keeper asks for. Belongs to the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/limits/courier.h"
#include "net/fetch.h"
#include "runtime/channel.h"

namespace hexr::courier {

// Asked before an address (4 or 16 bytes) is dialled. `named`: its host stands in the configuration.
using CheckAddress = std::function<Status(ByteView address, bool named)>;

class Fetches {
 public:
  Fetches(runtime::Loop& loop, const Clock& clock, CheckAddress check_address);

  // Answers with Fetched, or fails: RESOURCE_EXHAUSTED over limits::kMaxCourierFetches, else as net::Fetcher.
  void Serve(const ::hexr::node::v1::Fetch& ask, runtime::Channel::Reply reply);
  size_t running() const { return running_.size(); }

 private:
  using Chain = std::shared_ptr<std::vector<Bytes>>;
  Result<net::FetchRequest> Prepare(const ::hexr::node::v1::Fetch& ask, const Chain& chain) const;

  const Clock& clock_;
  CheckAddress check_address_;
  net::Resolver resolver_;
  net::Fetcher fetcher_;
  std::map<uint64_t, std::shared_ptr<void>> running_;  // dropping a handle ends its request
  uint64_t next_ = 0;
};

}  // namespace hexr::courier
