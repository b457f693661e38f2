#include "keeper/courier_link.h"

#include <utility>

#include "base/https_url.h"
#include "base/limits/courier.h"
#include "base/limits/keys.h"
#include "base/limits/messages.h"
#include "base/log.h"
#include "keeper/read_file.h"

namespace hexr::keeper {

using identity::FetchResponse;
using runtime::Channel;
using runtime::Envelope;
using runtime::Message;

namespace {

// The courier ends a request by itself; one that does not answer for so long after is stuck.
constexpr std::chrono::seconds kGrace{2};
constexpr std::chrono::milliseconds kPostTimeout{10'000};

Result<FetchResponse> Check(Result<Message> reply, uint64_t max_bytes) {
  if (!reply.ok()) return reply.error();
  if (!reply->body.has_fetched()) return InvalidArgument("the courier answers something else");
  auto& fetched = *reply->body.mutable_fetched();
  if (fetched.status() < 100 || fetched.status() > 999) return InvalidArgument("the courier names no HTTP status");
  if (fetched.body().size() > max_bytes) return ResourceExhausted("the courier brings more than was asked for");
  if (static_cast<size_t>(fetched.server_chain_der_size()) > limits::kMaxChainCertificates) {
    return ResourceExhausted("the courier brings too many certificates");
  }
  FetchResponse out{fetched.status(), std::move(*fetched.mutable_body()), {}};
  for (const std::string& der : fetched.server_chain_der()) out.server_chain.push_back(ToBytes(der));
  return out;
}

}  // namespace

void CourierLink::Use(runtime::UniqueFd socket) {
  channel_.reset();  // its calls end first
  channel_ = std::make_unique<Channel>(
      loop_, std::move(socket), "courier",
      [this](Message m, Channel::Reply reply) { on_ask_(std::move(m), std::move(reply)); },
      [](const Error& why) {
        Log(LogLevel::kWarn, "keeper.courier_gone", {{"error", why}});
      });
}

void CourierLink::Ask(::hexr::node::v1::Fetch ask, Done done) {
  if (!open()) return done(Unavailable("the courier is starting"));
  if (out_ >= limits::kMaxCourierFetches) return done(ResourceExhausted("too many requests are out"));
  const uint64_t max_bytes = ask.max_bytes();
  const std::chrono::milliseconds deadline = std::chrono::milliseconds(ask.timeout_ms()) + kGrace;
  Envelope e;
  *e.mutable_fetch() = std::move(ask);
  ++out_;
  channel_->Call(std::move(e), {}, deadline, [this, max_bytes, done = std::move(done)](Result<Message> reply) mutable {
    --out_;
    done(Check(std::move(reply), max_bytes));
  });
}

void CourierLink::Fetch(identity::FetchRequest request, Done done) {
  if (const Status url = CheckHttpsUrl(request.url); !url.ok()) return done(url.error());
  ::hexr::node::v1::Fetch ask;
  if (!request.ca_file.empty()) {
    auto roots = ReadConfiguredFile(request.ca_file, limits::kMaxPemBytes);
    if (!roots.ok()) return done(roots.error());
    if (roots->empty()) return done(InvalidArgument(request.ca_file + " is empty"));
    ask.set_roots_pem(std::move(*roots));
  }
  if (request.server) {
    ask.set_server_id(request.server->id.ToString());
    for (const Bytes& der : request.server->authorities) ask.add_server_authorities_der(der.data(), der.size());
  }
  ask.set_url(std::move(request.url));
  ask.set_max_bytes(request.max_bytes);
  ask.set_timeout_ms(static_cast<uint32_t>(request.timeout.count()));
  ask.set_named_by_operator(request.named_by_operator);
  Ask(std::move(ask), std::move(done));
}

void CourierLink::Post(const std::string& url, std::string body, size_t max_bytes, Done done) {
  if (const Status s = CheckHttpUrl(url); !s.ok()) return done(s.error());
  if (body.empty()) return done(InvalidArgument("a POST without a body"));
  ::hexr::node::v1::Fetch ask;
  ask.set_url(url);
  ask.set_body(std::move(body));
  ask.set_max_bytes(max_bytes);
  ask.set_timeout_ms(static_cast<uint32_t>(kPostTimeout.count()));
  ask.set_named_by_operator(true);
  ask.set_allow_http(true);
  Ask(std::move(ask), std::move(done));
}

void CourierLink::Publish(const ::hexr::node::v1::Publish& publish) {
  if (!open()) return;
  Envelope e;
  *e.mutable_publish() = publish;
  channel_->Call(std::move(e), {}, limits::kNodeCallDeadline, [](const Result<Message>& reply) {
    if (!reply.ok()) Log(LogLevel::kError, "endpoint.not_shown", {{"error", reply.error()}});
  });
}

}  // namespace hexr::keeper
