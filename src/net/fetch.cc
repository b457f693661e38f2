#include "net/fetch.h"

#include <utility>

#include "net/connection.h"
#include "wire/http1.h"

namespace hexr::net {

// One request from start to end. Lives as long as its handle; ends by Finish, and does nothing afterwards.
class Fetcher::Operation : public std::enable_shared_from_this<Fetcher::Operation> {
 public:
  Operation(runtime::Loop& loop, Resolver& resolver, FetchRequest request, Done done)
      : loop_(loop), resolver_(resolver), request_(std::move(request)), done_(std::move(done)) {}

  void Start() {
    timer_ = loop_.After(request_.timeout, [this] { Finish(DeadlineExceeded("fetch: takes too long")); });
    const Status prepared = Prepare();
    if (!prepared.ok()) {
      loop_.Post([weak = weak_from_this(), why = prepared.error()] {
        if (const auto self = weak.lock()) self->Finish(why);
      });
      return;
    }
    look_up_ = resolver_.Resolve(target_.authority.host, target_.authority.host, [this](Result<Addresses> found) {
      if (!found.ok()) return Finish(std::move(found).error());
      addresses_ = std::move(found).value();
      DialNext();
    });
  }

 private:
  // Everything that can be wrong with the request itself.
  Status Prepare() {
    if (!request_.check_address) return InvalidArgument("fetch: no check for addresses");
    ASSIGN_OR_RETURN(target_, wire::HttpTarget::Parse("GET", request_.url));
    if (target_.form != wire::HttpTarget::Form::kAbsolute) return InvalidArgument("fetch: not a URL");
    const bool https = target_.scheme == "https";
    if (!https && !request_.allow_http) return InvalidArgument("fetch: only https");
    if (https && request_.tls == nullptr) {
      ASSIGN_OR_RETURN(request_.tls, wire::TlsContext::ForClient({}));
    }
    port_ = target_.authority.port != 0 ? target_.authority.port : (https ? 443 : 80);
    wire::Http1Request head{
        .method = request_.method, .target = target_.path, .minor_version = 1, .fields = request_.fields};
    wire::SetField(head.fields, "Host", target_.authority.ToString());
    wire::SetField(head.fields, "Connection", "close");
    const bool empty = request_.body.empty() && (request_.method == "GET" || request_.method == "HEAD");
    RETURN_IF_ERROR(
        AppendHttp1Head(head, empty ? wire::Http1Body::None() : wire::Http1Body::Length(request_.body.size()), text_));
    text_ += request_.body;
    reader_.Expect(request_.method);
    return Ok();
  }

  // Addresses in the resolver's order, until one takes the connection.
  void DialNext() {
    dial_watch_ = runtime::FdWatch();
    dialling_.reset();
    while (next_address_ < addresses_.size()) {
      const Bytes& address = addresses_[next_address_++];
      const Status allowed = request_.check_address(address);
      if (!allowed.ok()) {
        last_error_ = PermissionDenied("fetch: " + allowed.error().message());
        continue;
      }
      auto socket = StartConnect(address, port_);
      if (!socket.ok()) {
        last_error_ = std::move(socket).error();
        continue;
      }
      dialling_ = std::move(socket).value();
      dial_watch_ = loop_.Watch(dialling_.get(), {}, [this] { Dialled(); });
      dial_watch_.WantWrite(true);
      return;
    }
    Finish(last_error_);
  }

  void Dialled() {
    const Status connected = ConnectError(dialling_.get());
    if (!connected.ok()) {
      last_error_ = connected.error();
      return DialNext();
    }
    dial_watch_ = runtime::FdWatch();
    std::unique_ptr<wire::TlsSession> tls;
    if (target_.scheme == "https") {
      auto session = wire::TlsSession::Connect(request_.tls, target_.authority.host);
      if (!session.ok()) return Finish(std::move(session).error());
      tls = std::move(session).value();
    }
    Connection::Handlers handlers;
    handlers.on_data = [this](ByteView bytes) { Read(bytes); };
    handlers.on_end = [this] {
      const auto event = reader_.ReadEof();
      if (event.ok() && *event == wire::Http1Event::kEnd)
        Complete();
      else
        Finish(Unavailable("fetch: the answer is cut off"));
    };
    handlers.on_error = [this](const Error& why) { Finish(why); };
    connection_ = std::make_unique<Connection>(loop_, std::move(dialling_), std::move(handlers), std::move(tls),
                                               limits::kMaxHttpUnsentBytes);
    connection_->Write(std::exchange(text_, {}));
  }

  void Read(ByteView bytes) {
    while (done_) {
      const auto event = reader_.Read(bytes);
      if (!event.ok()) return Finish(Unavailable("fetch: " + event.error().message()));
      switch (*event) {
        case wire::Http1Event::kNeedMore: return;
        case wire::Http1Event::kInterim: break;
        case wire::Http1Event::kHead: {
          if (reader_.body().kind == wire::Http1Body::Kind::kTunnel)
            return Finish(Unavailable("fetch: unasked upgrade"));
          if (reader_.body().length > request_.max_bytes)
            return Finish(ResourceExhausted("fetch: the answer is too large"));
          break;
        }
        case wire::Http1Event::kData:
          if (response_.body.size() + reader_.data().size() > request_.max_bytes) {
            return Finish(ResourceExhausted("fetch: the answer is too large"));
          }
          response_.body.append(AsText(reader_.data()));
          break;
        case wire::Http1Event::kEnd: return Complete();
      }
    }
  }

  void Complete() {
    response_.status = reader_.head().status;
    response_.fields = std::move(reader_.head().fields);
    Finish(std::move(response_));
  }

  void Finish(Result<FetchResponse> result) {
    if (!done_) return;
    // What is running may be one of the things that end here: they go when the loop comes back.
    const auto self = shared_from_this();
    timer_ = runtime::Timer();
    look_up_.reset();
    loop_.Post([self] {
      self->dial_watch_ = runtime::FdWatch();
      self->dialling_.reset();
      self->connection_.reset();
    });
    Done done = std::exchange(done_, nullptr);
    done(std::move(result));
  }

  runtime::Loop& loop_;
  Resolver& resolver_;
  FetchRequest request_;
  Done done_;
  wire::HttpTarget target_;
  uint16_t port_ = 0;
  std::string text_;
  wire::Http1ResponseReader reader_;
  FetchResponse response_;
  Addresses addresses_;
  size_t next_address_ = 0;
  Error last_error_ = Unavailable("fetch: no address");
  runtime::Timer timer_;
  std::shared_ptr<void> look_up_;
  runtime::UniqueFd dialling_;
  runtime::FdWatch dial_watch_;
  std::unique_ptr<Connection> connection_;
};

std::shared_ptr<void> Fetcher::Fetch(FetchRequest request, Done done) {
  auto operation = std::make_shared<Operation>(loop_, resolver_, std::move(request), std::move(done));
  operation->Start();
  return operation;
}

}  // namespace hexr::net
