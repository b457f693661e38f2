// Fetcher over net's bounded fetch. Belongs to the loop of the net::Fetcher.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "identity/fetcher.h"
#include "net/fetch.h"

namespace hexr::identity {

class NetFetcher final : public Fetcher {
 public:
  using CheckAddress = std::function<Status(ByteView address)>;
  // `fetcher` outlives it. `check_address` is asked before each address is dialled.
  NetFetcher(net::Fetcher& fetcher, CheckAddress check_address)
      : fetcher_(fetcher), check_address_(std::move(check_address)) {}

  // INVALID_ARGUMENT and NOT_FOUND (the CA file) reach `done` like every other error. Redirects are answers, never
  // followed.
  void Fetch(FetchRequest request, UniqueFunction<void(Result<FetchResponse>)> done) override;
  size_t running() const { return running_.size(); }

 private:
  Result<net::FetchRequest> Prepare(FetchRequest request) const;

  net::Fetcher& fetcher_;
  CheckAddress check_address_;
  std::map<uint64_t, std::shared_ptr<void>> running_;  // dropping a handle ends its request
  uint64_t next_ = 0;
};

}  // namespace hexr::identity
