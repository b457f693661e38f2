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

// What the keeper asks for, held to our bounds, as a request. `chain` gets what the server shows, where an SVID is
// expected. Errors: the question makes no sense.
Result<net::FetchRequest> PrepareFetch(const ::hexr::node::v1::Fetch& ask, const Clock& clock,
                                       const CheckAddress& check_address, std::shared_ptr<std::vector<Bytes>> chain);

class Fetches {
 public:
  Fetches(runtime::Loop& loop, const Clock& clock, CheckAddress check_address);

  // Answers with Fetched, or fails: RESOURCE_EXHAUSTED over limits::kMaxCourierFetches, else as net::Fetcher.
  void Serve(const ::hexr::node::v1::Fetch& ask, runtime::Channel::Reply reply);
  size_t running() const { return running_.size(); }

 private:
  const Clock& clock_;
  CheckAddress check_address_;
  net::Resolver resolver_;
  net::Fetcher fetcher_;
  std::map<uint64_t, std::shared_ptr<void>> running_;  // dropping a handle ends its request
  uint64_t next_ = 0;
};

}  // namespace hexr::courier
