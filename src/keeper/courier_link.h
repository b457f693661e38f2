// The keeper's way out and in: messages to and from the courier, which has the network that the keeper has not. What
// comes back is untrusted; this file bounds it, and whoever asked verifies it. Belongs to the keeper's loop.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_function.h"
#include "identity/fetcher.h"
#include "runtime/channel.h"

namespace hexr::keeper {

class CourierLink final : public identity::Fetcher {
 public:
  using Done = UniqueFunction<void(Result<identity::FetchResponse>)>;
  // `on_ask` hears what the courier asks for.
  CourierLink(runtime::Loop& loop, runtime::Channel::OnRequest on_ask) : loop_(loop), on_ask_(std::move(on_ask)) {}

  // The courier, at the start and after either end was restarted.
  void Use(runtime::UniqueFd socket);
  bool open() const { return channel_ && channel_->open(); }

  // UNAVAILABLE without a courier; RESOURCE_EXHAUSTED over limits::kMaxCourierFetches, and for an answer that is larger
  // than was asked for; INVALID_ARGUMENT for one of another form.
  void Fetch(identity::FetchRequest request, Done done) override;
  // POST to a URL of the configuration, which may be http://: the answer has to carry its own proof.
  void Post(const std::string& url, std::string body, size_t max_bytes, Done done);
  // What the courier shows from now on. A refusal is logged: the next one may be better.
  void Publish(const ::hexr::node::v1::Publish& publish);

 private:
  void Ask(::hexr::node::v1::Fetch ask, Done done);

  runtime::Loop& loop_;
  runtime::Channel::OnRequest on_ask_;
  size_t out_ = 0;
  std::unique_ptr<runtime::Channel> channel_;
};

}  // namespace hexr::keeper
