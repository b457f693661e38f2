#include "wire/http2_server.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <span>
#include <unordered_map>
#include <utility>

#include "base/limits/http.h"
#include "base/wiped.h"
#include "wire/http2_frames.h"

namespace hexr::wire {
namespace {

// A message may have been a private key: what has gone out does not stay in freed memory.
void Wipe(Bytes& chunk) { explicit_bzero(chunk.data(), chunk.size()); }

struct Stream {
  ~Stream() {
    for (Bytes& chunk : queue) Wipe(chunk);
  }

  WriterTag writer = 0;
  Http2Request request;
  size_t field_bytes = 0;
  bool delivered = false;  // the handler knows it
  bool refused = false;    // nothing of it reaches the handler any more
  bool two_writers = false;
  bool remote_ended = false;
  bool responded = false;
  std::list<Bytes> queue;  // no block of its own while empty, which it mostly is
  size_t front_taken = 0;  // bytes of queue.front() that have gone out
  size_t queued = 0;
  bool ended = false;
  std::vector<HttpField> trailers;
};

void AppendAndWipe(std::string& out, std::span<uint8_t> from) {
  if (out.capacity() - out.size() < from.size()) {  // growing would leave a copy behind
    std::string larger;
    larger.reserve(std::max(2 * out.capacity(), out.size() + from.size()));
    larger.append(out);
    WipeText(out);
    out.swap(larger);
  }
  out.append(AsText(from));
  explicit_bzero(from.data(), from.size());
}

uint8_t* Raw(const std::string& s) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(s.data()));  // nghttp2 takes them non-const and copies
}

std::vector<nghttp2_nv> ToNv(const std::vector<HttpField>& fields) {
  std::vector<nghttp2_nv> out;
  out.reserve(fields.size());
  for (const HttpField& f : fields) {
    out.push_back({Raw(f.name), Raw(f.value), f.name.size(), f.value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  return out;
}

}  // namespace

std::optional<std::string_view> Http2Request::Field(std::string_view name) const { return OnlyField(fields, name); }

struct Http2Server::Impl {
  Impl(Http2Handler& h, const Clock& c, const Http2Options& o) : handler(h), options(o), meter(c) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_option* option = nullptr;
    HEXR_CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrameRecv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnDataChunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, OnFrameSend);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);  // nothing is kept of a stream that has ended
    nghttp2_option_set_max_outbound_ack(option, limits::kMaxHttp2UnreadAnswers);
    HEXR_CHECK(nghttp2_session_server_new2(&session, callbacks, this, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    const std::array<nghttp2_settings_entry, 3> settings{{
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_streams},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options.max_field_bytes)},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    }};
    HEXR_CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  }
  ~Impl() { nghttp2_session_del(session); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Stream* Find(int32_t id) {
    const auto it = streams.find(id);
    return it == streams.end() ? nullptr : it->second.get();
  }

  Error Fail(ErrorCode code, std::string why, uint32_t http2_error) {
    dead = true;
    nghttp2_session_terminate_session(session, http2_error);
    return {code, "http2: " + std::move(why)};
  }

  Status FeedPiece(ByteView bytes) {
    const ssize_t n = nghttp2_session_mem_recv(session, bytes.data(), bytes.size());
    if (n >= 0) return Ok();
    const int code = static_cast<int>(n);
    const bool flood = code == NGHTTP2_ERR_FLOODED || code == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
    return Fail(flood ? ErrorCode::kResourceExhausted : ErrorCode::kInvalidArgument, nghttp2_strerror(code),
                flood ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
  }

  // Before nghttp2 sees the frame: what it costs, and whether its stream belongs to another writer.
  Status OnFrameHeader(const Http2FrameHeader& frame) {
    if (!meter.Allow(frame))
      return Fail(ErrorCode::kResourceExhausted, "too many control frames", NGHTTP2_ENHANCE_YOUR_CALM);
    const bool content =
        frame.type == NGHTTP2_DATA || frame.type == NGHTTP2_HEADERS || frame.type == NGHTTP2_CONTINUATION;
    Stream* stream = content ? Find(frame.stream) : nullptr;
    if (stream == nullptr) RETURN_IF_ERROR(CheckStreamless(frame));
    if (stream != nullptr && stream->writer != splitter.writer()) {
      stream->two_writers = true;
      if (stream->delivered) Refuse(frame.stream, *stream);
    }
    return Ok();
  }

  // A frame that is of no open stream.
  Status CheckStreamless(const Http2FrameHeader& frame) {
    using Verdict = Http2PastStreams::Verdict;
    // RFC 9113 6.3. Everything else of PRIORITY is ignored: priorities as of RFC 7540 are switched off.
    if (frame.type == NGHTTP2_PRIORITY && frame.stream == 0)
      return Fail(ErrorCode::kInvalidArgument, "PRIORITY on no stream", NGHTTP2_PROTOCOL_ERROR);
    const bool headers = frame.type == NGHTTP2_HEADERS;
    // Zero and even numbers are nghttp2's to refuse.
    if ((!headers && frame.type != NGHTTP2_DATA) || frame.stream % 2 == 0) return Ok();
    const Verdict verdict = past.Judge(headers, frame.stream);
    if (verdict == Verdict::kFine) return Ok();
    return Fail(ErrorCode::kInvalidArgument, "a frame of a stream that is over",
                verdict == Verdict::kStreamClosed ? NGHTTP2_STREAM_CLOSED : NGHTTP2_PROTOCOL_ERROR);
  }

  void Refuse(int32_t id, Stream& stream) {
    if (std::exchange(stream.refused, true)) return;
    handler.OnRefused(id, stream.two_writers ? PermissionDenied("request written by two processes")
                                             : ResourceExhausted("request header fields are too large"));
  }

  static Impl& Self(void* user_data) { return *static_cast<Impl*>(user_data); }

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Impl& self = Self(user_data);
    auto stream = std::make_unique<Stream>();
    stream->writer = self.splitter.writer();
    stream->request.writer = stream->writer;
    self.streams[frame->hd.stream_id] = std::move(stream);
    return 0;
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* user_data) {
    Stream* stream = Self(user_data).Find(frame->hd.stream_id);
    if (stream == nullptr || stream->delivered) return 0;  // trailers
    stream->field_bytes += name_size + value_size + 32;
    if (stream->field_bytes > Self(user_data).options.max_field_bytes) return 0;
    const std::string_view n = AsText({name, name_size});
    std::string v(AsText({value, value_size}));
    Http2Request& r = stream->request;
    if (n == ":method")
      r.method = std::move(v);
    else if (n == ":scheme")
      r.scheme = std::move(v);
    else if (n == ":authority")
      r.authority = std::move(v);
    else if (n == ":path")
      r.path = std::move(v);
    else if (!n.starts_with(':'))
      r.fields.push_back({std::string(n), std::move(v)});
    return 0;
  }

  static int OnFrameRecv(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Impl& self = Self(user_data);
    const int32_t id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
      uint64_t token = 0;
      std::memcpy(&token, frame->ping.opaque_data, sizeof token);
      if (token != 0)
        self.handler.OnPong(token, self.splitter.writer());
      else if (self.draining)
        self.FinishDrain();
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Stream* stream = self.Find(id);
    if (stream == nullptr) return 0;
    if (!stream->delivered) {
      stream->delivered = true;
      if (stream->two_writers || stream->field_bytes > self.options.max_field_bytes)
        self.Refuse(id, *stream);
      else
        self.handler.OnRequest(id, std::move(stream->request));
      stream = self.Find(id);
    }
    if (stream != nullptr && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      stream->remote_ended = true;
      if (!stream->refused) self.handler.OnEnd(id);
    }
    return 0;
  }

  static int OnDataChunk(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size,
                         void* user_data) {
    Impl& self = Self(user_data);
    // Streams share the connection's window; one that is not read must not stop the others.
    nghttp2_session_consume_connection(session, size);
    Stream* stream = self.Find(id);
    if (stream == nullptr) return 0;
    if (stream->refused)
      nghttp2_session_consume_stream(session, id, size);
    else
      self.handler.OnData(id, {data, size});
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, int32_t id, uint32_t, void* user_data) {
    Impl& self = Self(user_data);
    self.past.Ended(id, false);
    const auto it = self.streams.find(id);
    if (it == self.streams.end()) return 0;
    const std::unique_ptr<Stream> gone = std::move(it->second);
    self.streams.erase(it);
    if (gone->delivered) self.handler.OnClose(id);
    return 0;
  }

  static int OnFrameSend(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) {
    Impl& self = Self(user_data);
    if (frame->hd.type == NGHTTP2_DATA) self.meter.Earn();
    // After the notice of a drain, and not with it: nghttp2 sends pings before all else. The answer says that the
    // notice has been read: what is in flight by then still counts.
    if (frame->hd.type == NGHTTP2_GOAWAY && self.draining && !std::exchange(self.asked, true))
      nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, nullptr);
    if (frame->hd.type == NGHTTP2_RST_STREAM) self.past.Ended(frame->hd.stream_id, true);
    const bool content = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!content || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    // Answered in full while the peer still sends: it may stop (RFC 9113 8.1).
    const Stream* stream = self.Find(frame->hd.stream_id);
    if (stream != nullptr && !stream->remote_ended) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    }
    return 0;
  }

  static ssize_t ReadQueue(nghttp2_session* session, int32_t id, uint8_t* out, size_t room, uint32_t* flags,
                           nghttp2_data_source*, void* user_data) {
    Impl& self = Self(user_data);
    Stream* stream = self.Find(id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t written = 0;
    while (written < room && !stream->queue.empty()) {
      const Bytes& front = stream->queue.front();
      const size_t n = std::min(room - written, front.size() - stream->front_taken);
      std::memcpy(out + written, front.data() + stream->front_taken, n);
      written += n;
      stream->front_taken += n;
      if (stream->front_taken == front.size()) {
        Wipe(stream->queue.front());
        stream->queue.pop_front();
        stream->front_taken = 0;
      }
    }
    stream->queued -= written;
    if (!stream->queue.empty()) return static_cast<ssize_t>(written);
    if (stream->ended) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!stream->trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        const auto nv = ToNv(stream->trailers);
        if (nghttp2_submit_trailer(session, id, nv.data(), nv.size()) != 0)
          return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
      }
    } else if (written == 0) {
      return NGHTTP2_ERR_DEFERRED;
    } else {
      self.drained.push_back(id);  // told outside of nghttp2: the handler may send again
    }
    return static_cast<ssize_t>(written);
  }

  void Submit(int32_t id, int status, std::vector<HttpField> fields, bool end) {
    Stream* stream = Find(id);
    if (stream == nullptr || std::exchange(stream->responded, true)) return;
    fields.insert(fields.begin(), {":status", std::to_string(status)});
    const auto nv = ToNv(fields);
    nghttp2_data_provider provider{};
    provider.read_callback = ReadQueue;
    stream->ended = end;
    if (nghttp2_submit_response(session, id, nv.data(), nv.size(), end ? nullptr : &provider) != 0) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
    }
  }

  void FinishDrain() {
    nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                          NGHTTP2_NO_ERROR, nullptr, 0);
  }

  Http2Handler& handler;
  Http2Options options;
  Http2FrameSplitter splitter;
  Http2FloodMeter meter;
  Http2PastStreams past;
  nghttp2_session* session = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<Stream>> streams;
  std::vector<int32_t> drained;
  bool draining = false;
  bool asked = false;  // whether the notice of the drain has been read
  bool dead = false;
};

Http2Server::Http2Server(Http2Handler& handler, const Clock& clock, const Http2Options& options)
    : impl_(std::make_unique<Impl>(handler, clock, options)) {}
Http2Server::~Http2Server() = default;

Status Http2Server::Feed(ByteView bytes, WriterTag writer) {
  if (impl_->dead) return FailedPrecondition("http2: connection has ended");
  while (!bytes.empty()) {
    const auto piece = impl_->splitter.Next(bytes, writer);
    if (!piece.ok()) return impl_->Fail(piece.error().code(), piece.error().message(), NGHTTP2_PROTOCOL_ERROR);
    if (piece->frame != nullptr) RETURN_IF_ERROR(impl_->OnFrameHeader(*piece->frame));
    if (!piece->bytes.empty()) RETURN_IF_ERROR(impl_->FeedPiece(piece->bytes));
  }
  return Ok();
}

void Http2Server::TakeOutput(std::string& out, size_t max) {
  while (out.size() < max) {
    const uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(impl_->session, &data);
    if (n > 0) {
      // nghttp2's own buffer, which it only writes over with the next frame.
      AppendAndWipe(out, {const_cast<uint8_t*>(data), static_cast<size_t>(n)});
      continue;
    }
    if (n < 0) {
      impl_->dead = true;
      return;
    }
    if (impl_->drained.empty()) return;
    for (const int32_t id : std::exchange(impl_->drained, {})) {
      const Stream* stream = impl_->Find(id);
      if (stream != nullptr && stream->queued == 0 && !stream->ended && !stream->refused) impl_->handler.OnDrained(id);
    }
  }
}

bool Http2Server::WantsOutput() const {
  return nghttp2_session_want_write(impl_->session) != 0 || !impl_->drained.empty();
}

bool Http2Server::finished() const {
  return nghttp2_session_want_read(impl_->session) == 0 && nghttp2_session_want_write(impl_->session) == 0;
}

void Http2Server::Respond(int32_t stream, int status, std::vector<HttpField> fields) {
  impl_->Submit(stream, status, std::move(fields), false);
}

void Http2Server::RespondAndEnd(int32_t stream, int status, std::vector<HttpField> fields) {
  impl_->Submit(stream, status, std::move(fields), true);
}

void Http2Server::Send(int32_t stream, Bytes chunk) {
  Stream* s = impl_->Find(stream);
  if (s == nullptr || s->ended || chunk.empty()) return;
  s->queued += chunk.size();
  s->queue.push_back(std::move(chunk));
  nghttp2_session_resume_data(impl_->session, stream);
}

size_t Http2Server::Queued(int32_t stream) const {
  const Stream* s = impl_->Find(stream);
  return s == nullptr ? 0 : s->queued;
}

void Http2Server::DropQueued(int32_t stream) {
  Stream* s = impl_->Find(stream);
  if (s == nullptr) return;
  const size_t keep = s->front_taken > 0 ? 1 : 0;
  while (s->queue.size() > keep) {
    s->queued -= s->queue.back().size();
    Wipe(s->queue.back());
    s->queue.pop_back();
  }
}

void Http2Server::End(int32_t stream, std::vector<HttpField> trailers) {
  Stream* s = impl_->Find(stream);
  if (s == nullptr || std::exchange(s->ended, true)) return;
  s->trailers = std::move(trailers);
  nghttp2_session_resume_data(impl_->session, stream);
}

void Http2Server::Consume(int32_t stream, size_t bytes) {
  nghttp2_session_consume_stream(impl_->session, stream, bytes);
}

void Http2Server::Reset(int32_t stream, uint32_t http2_error) {
  if (impl_->Find(stream) == nullptr) return;
  nghttp2_submit_rst_stream(impl_->session, NGHTTP2_FLAG_NONE, stream, http2_error);
}

void Http2Server::Ping(uint64_t token) {
  uint8_t data[8];
  std::memcpy(data, &token, sizeof data);
  nghttp2_submit_ping(impl_->session, NGHTTP2_FLAG_NONE, data);
}

void Http2Server::Drain() {
  if (std::exchange(impl_->draining, true)) return;
  nghttp2_submit_shutdown_notice(impl_->session);
}

}  // namespace hexr::wire
