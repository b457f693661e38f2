#include "wire/grpc_server.h"

#include <algorithm>
#include <utility>

#include "base/limits/http.h"
#include "wire/grpc_framing.h"

namespace hexr::wire {
namespace {

constexpr int kHttpOk = 200;
constexpr uint32_t kHttp2Cancel = 8;  // RFC 9113 section 7

std::vector<HttpField> StatusFields(const Status& status) {
  if (status.ok()) return {{"grpc-status", "0"}};
  return {{"grpc-status", std::to_string(static_cast<int>(status.error().code()))},
          {"grpc-message", GrpcPercentEncode(status.error().message())}};
}

std::vector<HttpField> ResponseFields() { return {{"content-type", "application/grpc"}}; }

// "application/grpc", with the one message format that there is behind '+', and any parameters.
bool IsGrpcContentType(std::string_view type) {
  constexpr std::string_view kType = "application/grpc";
  if (!type.starts_with(kType)) return false;
  type.remove_prefix(kType.size());
  if (type.starts_with("+proto")) type.remove_prefix(6);
  return type.empty() || type[0] == ';';
}

// Collects the one message of a unary or server-streaming call.
class OneMessageCall final : public GrpcCall {
 public:
  OneMessageCall(const GrpcRouter::OneMessage& handler, std::shared_ptr<GrpcStream> stream, const GrpcRequest& request)
      : handler_(handler), stream_(std::move(stream)), request_(request) {}

  void OnMessage(ByteView message) override {
    if (message_) {
      stream_->Finish(InvalidArgument("grpc: this method takes one message"));
      return;
    }
    message_.emplace(message.begin(), message.end());
  }
  void OnHalfClose() override {
    if (!message_) {
      stream_->Finish(InvalidArgument("grpc: this method takes one message"));
      return;
    }
    inner_ = handler_(stream_, request_, *message_);
    message_.emplace();  // a stream can live for days: what it came with goes
    request_ = {};
  }
  void OnDrained() override {
    if (inner_ != nullptr) inner_->OnDrained();
  }

 private:
  const GrpcRouter::OneMessage& handler_;
  std::shared_ptr<GrpcStream> stream_;
  GrpcRequest request_;
  std::optional<Bytes> message_;
  std::unique_ptr<GrpcCall> inner_;
};

}  // namespace

struct GrpcConnection::Call {
  explicit Call(size_t max_message) : reader(max_message) {}

  std::shared_ptr<GrpcStream> stream = std::make_shared<GrpcStream>();
  std::unique_ptr<GrpcCall> call;
  GrpcMessageReader reader;
  std::optional<MonoTime> deadline;
  bool responded = false;
};

std::vector<std::string_view> GrpcRequest::Values(std::string_view name) const {
  std::vector<std::string_view> out;
  for (const HttpField& f : metadata) {
    if (f.name == name) out.emplace_back(f.value);
  }
  return out;
}

Status GrpcStream::Send(ByteView message, GrpcBacklog backlog) {
  if (connection_ == nullptr) return Error(ErrorCode::kCancelled, "grpc: call is over");
  return connection_->Send(id_, message, backlog);
}

void GrpcStream::Finish(const Status& status) {
  if (connection_ != nullptr) connection_->Finish(id_, status);
}

void GrpcStream::Probe(uint64_t token, UniqueFunction<void(WriterTag)> done) {
  if (connection_ == nullptr) return;
  connection_->probes_[token] = {id_, std::move(done)};
  connection_->http2_.Ping(token);
  connection_->NoteOutput();
}

void GrpcRouter::Add(std::string method, Factory factory) { methods_[std::move(method)] = std::move(factory); }

void GrpcRouter::AddOneMessage(std::string method, OneMessage handler) {
  const auto shared = std::make_shared<const OneMessage>(std::move(handler));
  Add(std::move(method), [shared](std::shared_ptr<GrpcStream> stream, const GrpcRequest& request) {
    return Result<std::unique_ptr<GrpcCall>>(std::make_unique<OneMessageCall>(*shared, std::move(stream), request));
  });
}

const GrpcRouter::Factory* GrpcRouter::Find(std::string_view method) const {
  const auto it = methods_.find(method);
  return it == methods_.end() ? nullptr : &it->second;
}

std::vector<std::string> GrpcRouter::Services() const {
  std::vector<std::string> out;
  for (const auto& [method, factory] : methods_) {
    std::string service = method.substr(1, method.rfind('/') - 1);
    if (out.empty() || out.back() != service) out.push_back(std::move(service));
  }
  return out;
}

GrpcConnection::GrpcConnection(const GrpcRouter& router, const Clock& clock, UniqueFunction<void()> on_output,
                               const GrpcOptions& options)
    : router_(router),
      clock_(clock),
      on_output_(std::move(on_output)),
      options_(options),
      http2_(*this, clock, options.http2) {}

GrpcConnection::~GrpcConnection() {
  for (const auto& [id, call] : calls_) call->stream->connection_ = nullptr;
  inside_ = true;  // what destructors of calls still do makes no output
  calls_.clear();
}

GrpcConnection::Call* GrpcConnection::Find(int32_t stream) {
  const auto it = calls_.find(stream);
  return it == calls_.end() ? nullptr : it->second.get();
}

Status GrpcConnection::Feed(ByteView bytes, WriterTag writer) {
  inside_ = true;
  auto status = http2_.Feed(bytes, writer);
  inside_ = false;
  return status;
}

void GrpcConnection::TakeOutput(std::string& out, size_t max) {
  inside_ = true;
  http2_.TakeOutput(out, max);
  inside_ = false;
}

void GrpcConnection::Drain() {
  http2_.Drain();
  NoteOutput();
}

void GrpcConnection::NoteOutput() {
  if (!inside_ && on_output_) on_output_();
}

std::optional<MonoTime> GrpcConnection::NextDeadline() const {
  std::optional<MonoTime> next;
  for (const auto& [id, call] : calls_) {
    if (call->deadline && call->stream->open() && (!next || *call->deadline < *next)) next = call->deadline;
  }
  return next;
}

void GrpcConnection::OnDeadline() {
  const MonoTime now = clock_.Mono();
  for (const auto& [id, call] : calls_) {
    if (call->deadline && *call->deadline <= now)
      Finish(id, DeadlineExceeded("grpc: the caller's deadline has passed"));
  }
}

void GrpcConnection::OnRequest(int32_t id, Http2Request request) {
  if (request.method != "POST") {
    http2_.RespondAndEnd(id, 405, {{"allow", "POST"}});
    return;
  }
  const auto type = request.Field("content-type");
  if (!type || !IsGrpcContentType(*type)) {
    http2_.RespondAndEnd(id, 415, {});
    return;
  }
  auto owned = std::make_unique<Call>(options_.max_message_bytes);
  Call& call = *owned;
  call.stream->connection_ = this;
  call.stream->id_ = id;
  calls_[id] = std::move(owned);

  const GrpcRouter::Factory* factory = router_.Find(request.path);
  if (factory == nullptr) {
    Finish(id, Unimplemented("grpc: no such method"));
    return;
  }
  GrpcRequest out;
  if (const auto timeout = request.Field("grpc-timeout")) {
    const auto parsed = ParseGrpcTimeout(*timeout);
    if (!parsed.ok()) {
      Finish(id, parsed.error());
      return;
    }
    out.timeout = *parsed;
    call.deadline = clock_.Mono() + *parsed;
  }
  out.method = std::move(request.path);
  out.authority = std::move(request.authority);
  out.metadata = std::move(request.fields);
  out.writer = request.writer;
  auto made = (*factory)(call.stream, out);
  if (!made.ok())
    Finish(id, std::move(made).error());
  else
    call.call = std::move(made).value();
}

void GrpcConnection::OnData(int32_t id, ByteView data) {
  http2_.Consume(id, data.size());
  Call* call = Find(id);
  if (call == nullptr || !call->stream->open()) return;
  buffered_ -= call->reader.buffered();
  call->reader.Append(data);
  ReadMessages(id, *call);
  buffered_ += call->reader.buffered();
  if (buffered_ > limits::kMaxGrpcBufferedBytes) {
    Finish(id, ResourceExhausted("grpc: too much of incomplete messages on this connection"));
  }
}

void GrpcConnection::ReadMessages(int32_t id, Call& call) {
  while (call.stream->open()) {
    auto next = call.reader.Next();
    if (!next.ok()) {
      Finish(id, std::move(next).error());
      return;
    }
    if (!next->has_value()) return;
    if (call.call != nullptr) call.call->OnMessage(**next);
  }
}

void GrpcConnection::OnEnd(int32_t id) {
  Call* call = Find(id);
  if (call == nullptr || !call->stream->open()) return;
  if (call->reader.buffered() > 0)
    Finish(id, InvalidArgument("grpc: request ends inside a message"));
  else if (call->call != nullptr)
    call->call->OnHalfClose();
}

void GrpcConnection::OnRefused(int32_t id, const Error& why) {
  if (Find(id) != nullptr) {
    Finish(id, why);
    return;
  }
  auto fields = ResponseFields();
  for (HttpField& f : StatusFields(why)) fields.push_back(std::move(f));
  http2_.RespondAndEnd(id, kHttpOk, std::move(fields));
}

void GrpcConnection::OnDrained(int32_t id) {
  Call* call = Find(id);
  if (call != nullptr && call->call != nullptr && call->stream->open()) call->call->OnDrained();
}

void GrpcConnection::OnPong(uint64_t token, WriterTag writer) {
  auto node = probes_.extract(token);
  if (!node.empty()) node.mapped().done(writer);
}

void GrpcConnection::OnClose(int32_t id) {
  std::erase_if(probes_, [id](const auto& p) { return p.second.stream == id; });
  const auto it = calls_.find(id);
  if (it == calls_.end()) return;
  const std::unique_ptr<Call> gone = std::move(it->second);
  calls_.erase(it);
  buffered_ -= gone->reader.buffered();
  gone->stream->connection_ = nullptr;
}

Status GrpcConnection::Send(int32_t id, ByteView message, GrpcBacklog backlog) {
  Call* call = Find(id);
  if (call == nullptr) return Error(ErrorCode::kCancelled, "grpc: call is over");
  if (backlog == GrpcBacklog::kKeepNewest) http2_.DropQueued(id);
  if (http2_.Queued(id) + message.size() > limits::kMaxGrpcQueuedBytes) {
    const Error why = ResourceExhausted("grpc: the client reads too slowly");
    Finish(id, why);
    return why;
  }
  if (!std::exchange(call->responded, true)) http2_.Respond(id, kHttpOk, ResponseFields());
  http2_.Send(id, GrpcFrame(message));
  NoteOutput();
  return Ok();
}

void GrpcConnection::Finish(int32_t id, const Status& status) {
  Call* call = Find(id);
  if (call == nullptr || !call->stream->open()) return;
  // The call object stays until the stream closes: it may be the one that is calling.
  call->stream->connection_ = nullptr;
  if (!call->responded) {
    call->responded = true;
    auto fields = ResponseFields();
    for (HttpField& f : StatusFields(status)) fields.push_back(std::move(f));
    http2_.RespondAndEnd(id, kHttpOk, std::move(fields));
  } else {
    if (!status.ok()) http2_.DropQueued(id);
    // The rest of a message that is half out would hold the status back for as long as the client does not read.
    if (!status.ok() && http2_.Queued(id) > 0)
      http2_.Reset(id, kHttp2Cancel);
    else
      http2_.End(id, StatusFields(status));
  }
  NoteOutput();
}

}  // namespace hexr::wire
