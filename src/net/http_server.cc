#include "net/http_server.h"

#include <utility>

#include "base/log.h"
#include "net/connection.h"

namespace hexr::net {
namespace {

constexpr std::chrono::seconds kLinger{2};

}  // namespace

std::string SourceOf(const IpAddress& peer) {
  return std::string(AsText(peer.v4() ? peer.bytes() : peer.bytes().first(8)));
}

// One accepted connection. Ends by End, which destroys it when the loop comes back.
class HttpServerConnection {
 public:
  HttpServerConnection(HttpServer& server, std::string source, runtime::UniqueFd socket,
                       std::unique_ptr<wire::TlsSession> tls)
      : server_(server), source_(std::move(source)) {
    Connection::Handlers handlers;
    handlers.on_data = [this](ByteView bytes) {
      if (closing_) return;
      input_.append(AsText(bytes));
      Read();
    };
    handlers.on_end = [this] {
      peer_ended_ = true;
      if (finished_) return End();
      if (!busy_ && !closing_) Close();
    };
    handlers.on_error = [this](const Error&) { End(); };
    handlers.on_finished = [this] {
      finished_ = true;
      if (peer_ended_) return End();
      // Closing at once would reset the connection under what the client still sends, and the answer with it.
      timer_ = server_.loop_.After(kLinger, [this] { End(); });
    };
    connection_ = std::make_unique<Connection>(server_.loop_, std::move(socket), std::move(handlers), std::move(tls),
                                               server_.options_.max_unsent_bytes);
    young_ = server_.loop_.After(server_.options_.max_age, [] {});
    Await();
  }
  ~HttpServerConnection() { Detach(); }

  void Send(int status, std::vector<wire::HttpField> fields, std::string_view body) {
    const bool head_only = method_ == "HEAD" || status == 204 || status == 304;
    if (head_only && status != 204) wire::SetField(fields, "Content-Length", std::to_string(body.size()));
    Answer(status, std::move(fields), head_only ? wire::Http1Body::None() : wire::Http1Body::Length(body.size()),
           head_only ? "" : body);
    Done();
  }
  void Begin(int status, std::vector<wire::HttpField> fields) {
    // A client of HTTP/1.0 knows no chunks: the end of the connection ends its body.
    chunked_ = minor_version_ >= 1;
    if (!chunked_) keep_alive_ = false;
    Answer(status, std::move(fields), chunked_ ? wire::Http1Body::Chunked() : wire::Http1Body::UntilClose(), "");
  }
  void Write(std::string_view piece) {
    if (!chunked_) return connection_->Write(piece);
    std::string text;
    wire::AppendHttp1Chunk(AsBytes(piece), text);
    connection_->Write(text);
  }
  void EndStream() {
    if (chunked_) connection_->Write("0\r\n\r\n");
    Done();
  }
  void Abort() { End(); }
  const std::string& source() const { return source_; }
  bool waits() const { return !busy_ && !ended_; }
  uint64_t waits_since() const { return waits_since_; }
  bool congested() const { return connection_->congested(); }

 private:
  void Await() {
    waits_since_ = ++server_.waits_;
    timer_ = server_.loop_.After(server_.options_.request_timeout, [this] {
      if (reader_.inside_message()) return Refuse(408, "the request takes too long");
      End();
    });
  }

  void Read() {
    size_t taken = 0;  // cut off once: the input may hold thousands of events
    for (bool more = true; more && !busy_ && !closing_ && !ended_;) {
      ByteView rest = AsBytes(input_).subspan(taken);
      const auto event = reader_.Read(rest);
      if (!event.ok()) return Refuse(wire::HttpStatusOf(event.error()), event.error().message());
      switch (*event) {
        case wire::Http1Event::kNeedMore: more = false; break;
        case wire::Http1Event::kInterim: break;
        case wire::Http1Event::kHead: {
          request_ = {};
          if (reader_.body().length > server_.options_.max_body_bytes) return Refuse(413, "the body is too large");
          if (reader_.head().ExpectsContinue()) connection_->Write(wire::kHttp1Continue);
          break;
        }
        case wire::Http1Event::kData:
          if (request_.body.size() + reader_.data().size() > server_.options_.max_body_bytes) {
            return Refuse(413, "the body is too large");
          }
          request_.body.append(AsText(reader_.data()));
          break;
        case wire::Http1Event::kEnd: break;
      }
      taken = input_.size() - rest.size();
      if (*event == wire::Http1Event::kEnd) {
        input_.erase(0, std::exchange(taken, 0));  // the answer may end this connection, or clear what is left
        Handle();
      }
    }
    input_.erase(0, taken);
  }

  void Handle() {
    busy_ = true;
    timer_ = runtime::Timer();
    connection_->PauseReading(true);
    request_.head = std::move(reader_.head());
    method_ = request_.head.method;
    minor_version_ = request_.head.minor_version;
    keep_alive_ = request_.head.KeepAlive() && ++requests_ < server_.options_.max_requests && young_.pending();
    if (connection_->tls() != nullptr) request_.peer = connection_->tls()->peer_chain();
    auto responder = std::make_shared<HttpResponder>();
    HttpServer::Attach(*responder, this);
    responder_ = responder;
    server_.handler_(std::move(request_), std::move(responder));
  }

  void Answer(int status, std::vector<wire::HttpField> fields, const wire::Http1Body& body, std::string_view content) {
    if (!keep_alive_) wire::SetField(fields, "Connection", "close");
    std::string text;
    const Status written = AppendHttp1Head(
        wire::Http1Response{.status = status, .reason = {}, .minor_version = 1, .fields = std::move(fields)}, body,
        text);
    // A handler that makes fields which cannot be written is our bug; the client gets an end, never a split answer.
    if (!written.ok()) {
      Log(LogLevel::kError, "http.bad_answer", {{"error", written.error()}});
      return End();
    }
    text.append(content);
    connection_->Write(text);
  }

  void Done() {
    Detach();
    if (ended_) return;
    busy_ = false;
    if (!keep_alive_ || peer_ended_) return Close();
    // The next request is read from the loop: a handler that answers at once must not recurse with its client's
    // pipeline.
    server_.loop_.Post([weak = std::weak_ptr<HttpServerConnection*>(self_)] {
      const auto self = weak.lock();
      if (self == nullptr || (*self)->ended_) return;
      (*self)->Await();
      (*self)->connection_->PauseReading(false);
      (*self)->Read();
    });
  }

  void Refuse(int status, std::string_view why) {
    keep_alive_ = false;
    const std::string body = std::string(why) + "\n";
    Answer(status, {{"Content-Type", "text/plain; charset=utf-8"}}, wire::Http1Body::Length(body.size()), body);
    Close();
  }

  // Nothing is read any more; what is written goes out.
  void Close() {
    if (ended_ || std::exchange(closing_, true)) return;
    input_.clear();
    connection_->Finish();
    if (!peer_ended_) connection_->PauseReading(false);
    timer_ = server_.loop_.After(server_.options_.request_timeout, [this] { End(); });
  }

  void Detach() {
    if (const auto responder = responder_.lock()) HttpServer::Attach(*responder, nullptr);
    responder_.reset();
  }

  // Destroys this connection at the end of the loop's turn.
  void End() {
    if (std::exchange(ended_, true)) return;
    Detach();
    timer_ = runtime::Timer();
    server_.loop_.Post([weak = std::weak_ptr<HttpServerConnection*>(self_)] {
      if (const auto self = weak.lock()) (*self)->server_.Forget(**self);
    });
  }

  HttpServer& server_;
  const std::string source_;
  uint64_t waits_since_ = 0;
  size_t requests_ = 0;
  wire::Http1RequestReader reader_;
  HttpRequest request_;
  std::string input_;
  std::string method_;
  int minor_version_ = 1;
  bool keep_alive_ = true;
  bool chunked_ = true;
  bool busy_ = false;     // a request is with the handler
  bool closing_ = false;  // the last bytes go out, then the end
  bool peer_ended_ = false;
  bool finished_ = false;  // so have we
  bool ended_ = false;
  std::weak_ptr<HttpResponder> responder_;
  runtime::Timer timer_;
  runtime::Timer young_;  // pending: not too old for another request
  std::shared_ptr<HttpServerConnection*> self_ = std::make_shared<HttpServerConnection*>(this);
  std::unique_ptr<Connection> connection_;
};

HttpResponder::~HttpResponder() {
  if (connection_ == nullptr) return;
  if (begun_)
    connection_->Abort();
  else
    Send(500, {}, "");
}

void HttpResponder::Send(int status, std::vector<wire::HttpField> fields, std::string_view body) {
  if (connection_ == nullptr || std::exchange(begun_, true)) return;
  connection_->Send(status, std::move(fields), body);
}
void HttpResponder::Begin(int status, std::vector<wire::HttpField> fields) {
  if (connection_ == nullptr || std::exchange(begun_, true)) return;
  connection_->Begin(status, std::move(fields));
}
void HttpResponder::Write(std::string_view piece) {
  if (connection_ != nullptr && begun_) connection_->Write(piece);
}
void HttpResponder::End() {
  if (connection_ != nullptr && begun_) connection_->EndStream();
}
bool HttpResponder::congested() const { return connection_ != nullptr && connection_->congested(); }

HttpServer::HttpServer(runtime::Loop& loop, runtime::UniqueFd listener, HttpHandler handler, HttpServerOptions options)
    : loop_(loop), handler_(std::move(handler)), options_(std::move(options)) {
  listener_ = std::make_unique<Listener>(loop_, std::move(listener), "http",
                                         [this](runtime::UniqueFd s) { Accepted(std::move(s)); });
}

HttpServer::~HttpServer() = default;

bool HttpServer::MakeRoom(const std::string* source) {
  HttpServerConnection* longest = nullptr;
  for (const auto& [key, connection] : connections_) {
    if (!connection->waits() || (source != nullptr && connection->source() != *source)) continue;
    if (longest == nullptr || connection->waits_since() < longest->waits_since()) longest = key;
  }
  if (longest != nullptr) Forget(*longest);
  return longest != nullptr;
}

void HttpServer::Forget(HttpServerConnection& connection) {
  const auto source = sources_.find(connection.source());
  if (--source->second == 0) sources_.erase(source);
  connections_.erase(&connection);
}

void HttpServer::Accepted(runtime::UniqueFd socket) {
  const Result<Endpoint> peer = Endpoint::OfPeer(socket.get());
  if (!peer.ok()) return;  // gone already
  std::string source = SourceOf(peer->address);
  const auto of_source = sources_.find(source);
  if (of_source != sources_.end() && of_source->second >= options_.max_connections_per_source && !MakeRoom(&source))
    return;
  if (connections_.size() >= options_.max_connections && !MakeRoom(nullptr)) return;
  std::unique_ptr<wire::TlsSession> tls;
  if (options_.tls != nullptr) {
    auto session = wire::TlsSession::Accept(options_.tls);
    if (!session.ok()) {
      Log(LogLevel::kError, "http.no_tls", {{"error", session.error()}});
      return;
    }
    tls = std::move(session).value();
  }
  SendAtOnce(socket.get());
  ++sources_[source];
  auto connection = std::make_unique<HttpServerConnection>(*this, std::move(source), std::move(socket), std::move(tls));
  HttpServerConnection* key = connection.get();
  connections_.emplace(key, std::move(connection));
}

}  // namespace hexr::net
