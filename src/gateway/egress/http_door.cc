#include "gateway/egress/http_door.h"

#include "base/limits/gateway.h"
#include "gateway/egress/tcp_door.h"

namespace hexr::gateway {

using wire::Http1Body;
using wire::Http1Event;

namespace {

constexpr size_t kInboxHighWater = 64 * 1024;
constexpr size_t kOutboxHighWater = 16 * 1024;  // on top of what a connection may keep: limits::kMaxUnsentBytes
constexpr uint16_t kTlsPort = 443;

void AppendBody(const Http1Body& body, ByteView data, std::string& out) {
  if (body.kind == Http1Body::Kind::kChunked)
    wire::AppendHttp1Chunk(data, out);
  else
    out += AsText(data);
}

std::string Simple(int status, std::string_view type, std::string_view body, bool keep_alive, bool head_only) {
  wire::Http1Response r;
  r.status = status;
  r.reason = wire::HttpReason(status);
  r.fields = {{"Content-Type", std::string(type)}, {"Cache-Control", "no-store"}};
  if (!keep_alive) r.fields.push_back({"Connection", "close"});
  if (head_only) r.fields.push_back({"Content-Length", std::to_string(body.size())});
  std::string out;
  HEXR_CHECK(AppendHttp1Head(r, head_only ? Http1Body::None() : Http1Body::Length(body.size()), out).ok());
  if (!head_only) out += body;
  return out;
}

}  // namespace

std::string HttpAnswer(const Denial& denial) {
  return Simple(denial.http_status(), "application/problem+json", denial.ToProblemJson(), false, false);
}

HttpConnection::HttpConnection(ConnectionHost& host, Accepted accepted, Kind kind)
    : host_(host),
      shared_(host.shared()),
      kind_(kind),
      destination_(accepted.destination),
      process_(std::move(accepted.process)) {
  agent_ = std::make_unique<net::Connection>(
      shared_.loop, std::move(accepted.socket),
      net::Connection::Handlers{.on_data = [this](ByteView data) { OnAgentData(data); },
                                .on_end = [this] { OnAgentEnd(); },
                                .on_drained =
                                    [this] {
                                      if (upstream_) upstream_->PauseReading(false);
                                    },
                                .on_finished =
                                    [this] {
                                      if (agent_ended_) End("closed");
                                    },
                                .on_error = [this](const Error&) { End("broken"); }});
  deadline_ = shared_.loop.After(shared_.deadlines.request_head, [this] { HeadIsLate(); });
}

// ---- the agent's side

void HttpConnection::OnAgentData(ByteView data) {
  if (state_ == State::kClosing) return;
  last_byte_ = shared_.clock.Mono();
  inbox_.append(AsText(data));
  Pump();
  BalanceAgentReads();
}

void HttpConnection::OnAgentEnd() {
  agent_ended_ = true;
  if (state_ == State::kClosing || (state_ == State::kHead && !reader_.inside_message() && inbox_.empty()))
    return End("closed");
  Pump();
}

void HttpConnection::Pump() {
  while (Step()) {
  }
  CutInbox();
  FlushUpstream();
  if (agent_ended_) CheckAgentEnd();
}

// Once a turn: the inbox may hold thousands of events.
void HttpConnection::CutInbox() {
  inbox_.erase(0, taken_);
  taken_ = 0;
}

// What a turn makes leaves together, not piece by piece.
void HttpConnection::FlushUpstream() {
  if (upstream_) upstream_->Write(to_upstream_);
  to_upstream_.clear();
}

void HttpConnection::FlushAgent() {
  agent_->Write(to_agent_);
  to_agent_.clear();
}

// A request that was cut off goes nowhere; a whole one is still answered (half-close).
void HttpConnection::CheckAgentEnd() {
  if (state_ == State::kHead) return reader_.inside_message() ? End("aborted") : End("closed");
  if (state_ == State::kExchange && !request_done_ && !upstream_->congested()) End("aborted");
}

bool HttpConnection::Step() {
  const bool reading = state_ == State::kHead || (state_ == State::kExchange && !request_done_);
  if (!reading) return false;
  if (upstream_ && upstream_->congested()) return false;
  ByteView view = AsBytes(inbox_).subspan(taken_);
  const Result<Http1Event> event = reader_.Read(view);
  if (!event.ok()) {
    if (state_ == State::kHead)
      AnswerMalformed(event.error());
    else
      End("malformed");
    return false;
  }
  taken_ = inbox_.size() - view.size();
  if (*event == Http1Event::kData) OnRequestData();
  if (*event == Http1Event::kHead) OnHead();
  if (*event == Http1Event::kEnd) OnRequestEnd();
  return *event != Http1Event::kNeedMore;
}

void HttpConnection::BalanceAgentReads() {
  if (!agent_) return;
  const bool full = inbox_.size() >= kInboxHighWater && state_ != State::kClosing;
  agent_->PauseReading(full);
}

void HttpConnection::OnHead() {
  deadline_.Cancel();
  head_ = std::move(reader_.head());
  request_body_ = reader_.body();
  request_done_ = false;
  response_started_ = false;
  keep_alive_ = head_.KeepAlive() && head_.minor_version >= 1;
  Result<HttpAsk> ask =
      kind_ == Kind::kProxy ? ReadProxyRequest(head_) : ReadCapturedRequest(head_, destination_, host_.names());
  if (!ask.ok()) return AnswerMalformed(ask.error());
  ask_ = std::move(ask).value();
  const Door door = kind_ == Kind::kCaptured ? Door::kCapturedHttp : ask_->connect ? Door::kConnect : Door::kProxyHttp;
  auto call = MakeCall(host_, door, ask_->destination, head_.method, process_);
  call->target = ask_->target;
  call->denial = ask_->denial;
  state_ = State::kDeciding;
  ticket_ = shared_.pipeline.Admit(std::move(call), [this](std::shared_ptr<Call> c, std::optional<Admitted> admitted) {
    Decided(std::move(c), std::move(admitted));
  });
}

void HttpConnection::OnRequestData() {
  AppendBody(request_body_, reader_.data(), to_upstream_);
  if (to_upstream_.size() >= kOutboxHighWater) FlushUpstream();
}

void HttpConnection::OnRequestEnd() {
  request_done_ = true;
  if (request_body_.kind != Http1Body::Kind::kChunked) return;
  if (!AppendHttp1LastChunk(reader_.trailers(), to_upstream_).ok()) End("malformed");
}

// ---- the pipeline

void HttpConnection::Decided(std::shared_ptr<Call> call, std::optional<Admitted> admitted) {
  ticket_.reset();
  open_ = std::make_unique<OpenCall>(shared_, std::move(call));
  if (!admitted) {
    open_->Close("denied");
    return Answer(*open_->call().denial);
  }
  ticket_ = shared_.pipeline.Connect(
      *admitted, [this](Result<Upstream> upstream, const Denial* denial) { Connected(std::move(upstream), denial); });
}

void HttpConnection::Connected(Result<Upstream> upstream, const Denial* denial) {
  ticket_.reset();
  if (denial != nullptr) {
    open_->DenyAfterwards(*denial);
    open_->Close("failed");
    return Answer(*denial);
  }
  if (ask_->connect)
    StartTunnel(std::move(upstream->socket));
  else
    StartExchange(std::move(upstream->socket));
}

void HttpConnection::StartTunnel(runtime::UniqueFd upstream) {
  state_ = State::kTunnel;
  agent_->Write("HTTP/1.1 200 Connection established\r\n\r\n");
  std::string unsent = agent_->TakeUnsent();
  runtime::UniqueFd agent = agent_->Release();
  CutInbox();
  std::string first = std::exchange(inbox_, {});
  agent_.reset();
  if (ask_->destination.port != kTlsPort) {
    return StartRelay({std::move(agent), std::move(upstream), std::move(first), std::move(unsent)});
  }
  // As on a captured port 443: what the client asks for has to agree with where the tunnel goes.
  tunnel_upstream_ = std::move(upstream);
  peek_ = std::make_unique<TlsPeek>(shared_, std::move(agent), std::move(first), std::move(unsent),
                                    [this](TlsPeek::Outcome outcome) { Peeked(std::move(outcome)); });
}

void HttpConnection::Peeked(TlsPeek::Outcome outcome) {
  std::optional<Denial> denial;
  if (outcome.hello.ok()) {
    open_->NoteHello(HelloName(*outcome.hello), outcome.hello->encrypted);
    denial = CheckHello(ask_->destination, *outcome.hello);
  } else if (outcome.hello.error().code() == ErrorCode::kInvalidArgument) {
    denial = Denial{DenialKind::kMalformed, "not_tls", outcome.hello.error().message()};
  } else {
    return End("aborted");
  }
  if (denial) {
    open_->DenyAfterwards(*denial);
    open_->Close("denied");
    SendTlsAlert(std::move(outcome.agent), *denial);
    tunnel_upstream_.reset();
    return End("denied");
  }
  StartRelay(
      {std::move(outcome.agent), std::move(tunnel_upstream_), std::move(outcome.bytes), std::move(outcome.unsent)});
}

void HttpConnection::StartRelay(Relay::Start start) {
  relay_ = std::make_unique<Relay>(shared_, std::move(start), [this](Relay::End end) { End(EndCode(end)); });
}

void HttpConnection::StartExchange(runtime::UniqueFd upstream) {
  state_ = State::kExchange;
  response_ = std::make_unique<wire::Http1ResponseReader>();
  response_->Expect(head_.method);
  upstream_ = std::make_unique<net::Connection>(
      shared_.loop, std::move(upstream),
      net::Connection::Handlers{.on_data = [this](ByteView data) { OnUpstreamData(data); },
                                .on_end = [this] { OnUpstreamEnd(); },
                                .on_drained =
                                    [this] {
                                      Pump();
                                      BalanceAgentReads();
                                    },
                                .on_error = [this](const Error& e) { OnUpstreamError(e); }});
  std::string out;
  if (const Status s = AppendHttp1Head(ForwardedRequest(head_, *ask_), request_body_, out); !s.ok()) {
    return FailUpstream("the request cannot be sent on");
  }
  to_upstream_ = std::move(out);
  last_byte_ = shared_.clock.Mono();
  WatchIdle(shared_.deadlines.tunnel_idle);
  Pump();
  if (state_ == State::kExchange) BalanceAgentReads();
}

void HttpConnection::WatchIdle(std::chrono::nanoseconds delay) {
  deadline_ = shared_.loop.After(delay, [this] {
    const std::chrono::nanoseconds quiet = shared_.clock.Mono() - last_byte_;
    if (quiet >= shared_.deadlines.tunnel_idle) return End("idle");
    WatchIdle(shared_.deadlines.tunnel_idle - quiet);
  });
}

// ---- the destination's side

void HttpConnection::OnUpstreamData(ByteView data) {
  last_byte_ = shared_.clock.Mono();
  // An answer may end while its last bytes are in hand: what follows it belongs to nobody.
  while (state_ == State::kExchange && response_) {
    const Result<Http1Event> event = response_->Read(data);
    if (!event.ok()) return FailUpstream("the answer is not proper HTTP: " + event.error().message());
    if (*event == Http1Event::kNeedMore) break;
    OnResponse(*event);
  }
  FlushAgent();
  if (upstream_ && agent_ && agent_->congested()) upstream_->PauseReading(true);
}

void HttpConnection::OnUpstreamEnd() {
  if (state_ != State::kExchange || !response_) return;
  const Result<Http1Event> event = response_->ReadEof();
  if (event.ok() && *event == Http1Event::kEnd) return OnResponse(*event);
  FailUpstream("the destination closed the connection before its answer was complete");
}

void HttpConnection::OnUpstreamError(const Error& error) {
  if (state_ == State::kExchange) FailUpstream("the connection to the destination broke: " + error.message());
}

void HttpConnection::OnResponse(Http1Event event) {
  switch (event) {
    case Http1Event::kInterim: {
      // Only to clients that know interim answers (RFC 9110 15.2).
      if (head_.minor_version == 0) return;
      std::string out;
      if (AppendHttp1Head(ForwardedResponse(response_->head()), Http1Body::None(), out).ok()) to_agent_ += out;
      return;
    }
    case Http1Event::kHead: return OnResponseHead();
    case Http1Event::kData:
      AppendBody(response_body_, response_->data(), to_agent_);
      if (to_agent_.size() >= kOutboxHighWater) FlushAgent();
      return;
    case Http1Event::kEnd: return OnResponseEnd();
    case Http1Event::kNeedMore: return;
  }
}

void HttpConnection::OnResponseHead() {
  response_body_ = response_->body();
  // Upgrades are not passed on, so an answer that switches protocols answers nothing that was asked.
  if (response_body_.kind == Http1Body::Kind::kTunnel)
    return FailUpstream("the destination switched protocols unasked");
  if (response_body_.kind == Http1Body::Kind::kUntilClose && head_.minor_version >= 1)
    response_body_ = Http1Body::Chunked();
  if (response_body_.kind == Http1Body::Kind::kChunked && head_.minor_version == 0)
    response_body_ = Http1Body::UntilClose();
  wire::Http1Response head = ForwardedResponse(response_->head());
  if (!keep_alive_) head.fields.push_back({"Connection", "close"});
  std::string out;
  if (!AppendHttp1Head(head, response_body_, out).ok()) return FailUpstream("the answer cannot be passed on");
  response_started_ = true;
  to_agent_ += out;
}

void HttpConnection::OnResponseEnd() {
  if (response_body_.kind == Http1Body::Kind::kChunked) {
    std::string last;
    if (!AppendHttp1LastChunk(response_->trailers(), last).ok()) return FailUpstream("the answer cannot be passed on");
    to_agent_ += last;
  }
  FlushAgent();
  open_->Close("closed", bytes_out(), bytes_in());
  // An answer before the request was all there ends the connection: what is left of the request is no new one.
  if (keep_alive_ && request_done_)
    NextRequest();
  else
    CloseSoon();
}

void HttpConnection::FailUpstream(const std::string& why) {
  FlushAgent();
  if (response_started_) return End("broken");  // half an answer: only a reset says so
  const Denial denial{DenialKind::kUpstream, "connect", ask_->destination.ToString() + ": " + why, open_->call().id};
  open_->DenyAfterwards(denial);
  open_->Close("failed", bytes_out(), bytes_in());
  Answer(denial);
}

// ---- answers and ends

void HttpConnection::Answer(const Denial& denial) {
  // A request whose body is still to come is not read to its end: the connection closes with the answer.
  const bool whole = request_body_.kind == Http1Body::Kind::kNone || request_done_;
  const bool keep = keep_alive_ && whole && !ask_->connect;
  agent_->Write(
      Simple(denial.http_status(), "application/problem+json", denial.ToProblemJson(), keep, head_.method == "HEAD"));
  if (keep)
    NextRequest();
  else
    CloseSoon();
}

void HttpConnection::AnswerMalformed(const Error& error) {
  deadline_.Cancel();
  const Denial denial = RefuseUnread(DenialFromError(error, "http"));
  agent_->Write(Simple(wire::HttpStatusOf(error), "application/problem+json", denial.ToProblemJson(), false, false));
  CloseSoon();
}

// Who has said nothing has asked for nothing. Half a head is a request that somebody tried.
void HttpConnection::HeadIsLate() {
  if (reader_.inside_message()) RefuseUnread({DenialKind::kTimeout, "request_head", "no whole request head in time"});
  End("idle");
}

Denial HttpConnection::RefuseUnread(Denial denial) {
  auto call = kind_ == Kind::kProxy
                  ? MakeCall(host_, Door::kProxyHttp, Nowhere(), "", process_)
                  : MakeCall(host_, Door::kCapturedHttp, CapturedDestination(host_.names(), destination_, std::nullopt),
                             "", process_);
  shared_.metrics.Denied(denial.kind);
  RecordRefusal(host_, *call, std::move(denial));
  return *call->denial;
}

void HttpConnection::NextRequest() {
  DropUpstream();
  open_.reset();
  ask_.reset();
  state_ = State::kHead;
  deadline_ = shared_.loop.After(shared_.deadlines.keep_alive, [this] { HeadIsLate(); });
  // Not from inside the callback that brought us here: requests that wait in the inbox would nest.
  next_ = shared_.loop.After(std::chrono::nanoseconds(0), [this] {
    dead_upstream_.reset();
    Pump();
    BalanceAgentReads();
  });
}

void HttpConnection::DropUpstream() {
  response_.reset();
  if (!upstream_) return;
  upstream_->Close();
  dead_upstream_ = std::move(upstream_);
}

// Sends what is left, says so, and reads on for a moment: closing at once with unread bytes would reset the
// connection, and the agent might never see the answer.
void HttpConnection::CloseSoon() {
  DropUpstream();
  state_ = State::kClosing;
  inbox_.clear();
  taken_ = 0;
  agent_->Finish();
  agent_->PauseReading(false);
  // Who has ended already is done with once all is sent; who has not will see our end and answer with its own.
  deadline_ = shared_.loop.After(shared_.deadlines.linger, [this] { End("closed"); });
}

void HttpConnection::End(ledger::Code how) {
  Report(how);
  state_ = State::kClosing;
  deadline_.Cancel();
  next_.Cancel();
  if (upstream_) upstream_->Close();
  if (agent_ && how.text() != "closed") agent_->Reset();
  host_.Ended(*this);
}

void HttpConnection::Cut() {
  ticket_.reset();
  deadline_.Cancel();
  next_.Cancel();
  if (peek_) peek_->Cut();
  if (relay_) relay_->Cut();
  tunnel_upstream_.reset();
  if (upstream_) upstream_->Reset();
  if (agent_) agent_->Reset();
}

void HttpConnection::Report(ledger::Code how) {
  if (open_) open_->Close(how, bytes_out(), bytes_in());
}

uint64_t HttpConnection::bytes_out() const {
  return relay_ ? relay_->to_upstream() : upstream_ ? upstream_->bytes_written() : 0;
}
uint64_t HttpConnection::bytes_in() const {
  return relay_ ? relay_->from_upstream() : upstream_ ? upstream_->bytes_read() : 0;
}

}  // namespace hexr::gateway
