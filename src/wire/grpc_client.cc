#include "wire/grpc_client.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "wire/grpc_framing.h"

namespace hexr::wire {
namespace {

struct Call {
  explicit Call(size_t max_message) : reader(max_message) {}
  GrpcClient::Events events;
  GrpcMessageReader reader;
  Bytes queue;
  size_t taken = 0;
  bool half_closed = false;
  std::string http_status;
  std::optional<int> grpc_status;
  std::string grpc_message;
  std::optional<Error> own_error;  // found on our side; wins over what the server says
};

Status EndOf(const Call& call) {
  if (call.own_error) return *call.own_error;
  if (call.grpc_status == 0) return Ok();
  if (call.grpc_status) {
    const bool known = *call.grpc_status >= 1 && *call.grpc_status <= 16;
    return Error(known ? static_cast<ErrorCode>(*call.grpc_status) : ErrorCode::kUnknown, call.grpc_message);
  }
  if (!call.http_status.empty() && call.http_status != "200") {
    return Unavailable("grpc: HTTP status " + call.http_status);
  }
  return Unavailable("grpc: the stream ended without a status");
}

}  // namespace

struct GrpcClient::Impl {
  Impl(std::string a, size_t max) : authority(std::move(a)), max_message(max) {
    nghttp2_session_callbacks* callbacks = nullptr;
    HEXR_CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnDataChunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrameRecv);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
    HEXR_CHECK(nghttp2_session_client_new(&session, callbacks, this) == 0);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry no_push{NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    HEXR_CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &no_push, 1) == 0);
  }
  ~Impl() { nghttp2_session_del(session); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Call* Find(int32_t id) {
    const auto it = calls.find(id);
    return it == calls.end() ? nullptr : it->second.get();
  }
  void End(int32_t id) {
    const auto it = calls.find(id);
    if (it == calls.end()) return;
    const std::unique_ptr<Call> call = std::move(it->second);
    calls.erase(it);
    if (call->events.on_end) call->events.on_end(EndOf(*call));
  }
  void EndAll(const Error& why) {
    while (!calls.empty()) {
      Call& call = *calls.begin()->second;
      if (!call.own_error) call.own_error = why;
      End(calls.begin()->first);
    }
  }

  static Impl& Self(void* user_data) { return *static_cast<Impl*>(user_data); }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* user_data) {
    Call* call = Self(user_data).Find(frame->hd.stream_id);
    if (call == nullptr) return 0;
    const std::string_view n = AsText({name, name_size});
    const std::string_view v = AsText({value, value_size});
    if (n == ":status") call->http_status = v;
    if (n == "grpc-message") call->grpc_message = GrpcPercentDecode(v);
    if (n == "grpc-status") {
      int code = -1;
      const auto parsed = std::from_chars(v.data(), v.data() + v.size(), code);
      call->grpc_status = parsed.ec == std::errc() && parsed.ptr == v.data() + v.size() ? code : 2;
    }
    return 0;
  }

  static int OnDataChunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user_data) {
    Impl& self = Self(user_data);
    Call* call = self.Find(id);
    if (call == nullptr || call->own_error) return 0;
    call->reader.Append({data, size});
    while (true) {
      auto next = call->reader.Next();
      if (!next.ok()) {
        call->own_error = std::move(next).error();
        nghttp2_submit_rst_stream(self.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        return 0;
      }
      if (!next->has_value()) return 0;
      if (call->events.on_message) call->events.on_message(**next);
    }
  }

  // The server's trailers are the end, also for a call that still has something to say.
  static int OnFrameRecv(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) {
    const bool content = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!content || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    const Call* call = Self(user_data).Find(frame->hd.stream_id);
    if (call == nullptr) return 0;
    if (!call->half_closed) nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_CANCEL);
    Self(user_data).End(frame->hd.stream_id);
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, int32_t id, uint32_t, void* user_data) {
    Self(user_data).End(id);
    return 0;
  }

  static ssize_t ReadQueue(nghttp2_session*, int32_t id, uint8_t* out, size_t room, uint32_t* flags,
                           nghttp2_data_source*, void* user_data) {
    Call* call = Self(user_data).Find(id);
    if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const size_t n = std::min(room, call->queue.size() - call->taken);
    if (n > 0) std::memcpy(out, call->queue.data() + call->taken, n);
    call->taken += n;
    if (call->taken < call->queue.size()) return static_cast<ssize_t>(n);
    call->queue.clear();
    call->taken = 0;
    if (call->half_closed)
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (n == 0)
      return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(n);
  }

  std::string authority;
  size_t max_message;
  nghttp2_session* session = nullptr;
  std::map<int32_t, std::unique_ptr<Call>> calls;
};

GrpcClient::GrpcClient(std::string authority, size_t max_message_bytes)
    : impl_(std::make_unique<Impl>(std::move(authority), max_message_bytes)) {}
GrpcClient::~GrpcClient() = default;

Result<int32_t> GrpcClient::Start(std::string_view method, std::vector<HttpField> metadata, Events events) {
  std::vector<HttpField> fields{{":method", "POST"},
                                {":scheme", "http"},
                                {":path", std::string(method)},
                                {":authority", impl_->authority},
                                {"te", "trailers"},
                                {"content-type", "application/grpc"}};
  for (HttpField& f : metadata) fields.push_back(std::move(f));
  std::vector<nghttp2_nv> nv;
  nv.reserve(fields.size());
  for (HttpField& f : fields) {
    nv.push_back({reinterpret_cast<uint8_t*>(f.name.data()), reinterpret_cast<uint8_t*>(f.value.data()), f.name.size(),
                  f.value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_data_provider provider{};
  provider.read_callback = Impl::ReadQueue;
  const int32_t id = nghttp2_submit_request(impl_->session, nullptr, nv.data(), nv.size(), &provider, nullptr);
  if (id < 0) return Unavailable(std::string("grpc: ") + nghttp2_strerror(id));
  auto call = std::make_unique<Call>(impl_->max_message);
  call->events = std::move(events);
  impl_->calls[id] = std::move(call);
  return id;
}

void GrpcClient::Send(int32_t call, ByteView message) {
  Call* c = impl_->Find(call);
  if (c == nullptr || c->half_closed) return;
  const Bytes frame = GrpcFrame(message);
  c->queue.insert(c->queue.end(), frame.begin(), frame.end());
  nghttp2_session_resume_data(impl_->session, call);
}

void GrpcClient::HalfClose(int32_t call) {
  Call* c = impl_->Find(call);
  if (c == nullptr) return;
  c->half_closed = true;
  nghttp2_session_resume_data(impl_->session, call);
}

void GrpcClient::Cancel(int32_t call) {
  Call* c = impl_->Find(call);
  if (c == nullptr) return;
  if (!c->own_error) c->own_error = Error(ErrorCode::kCancelled, "grpc: cancelled here");
  nghttp2_submit_rst_stream(impl_->session, NGHTTP2_FLAG_NONE, call, NGHTTP2_CANCEL);
}

Status GrpcClient::Feed(ByteView bytes) {
  const ssize_t n = nghttp2_session_mem_recv(impl_->session, bytes.data(), bytes.size());
  if (n < 0) {
    const Error why = Unavailable(std::string("grpc: ") + nghttp2_strerror(static_cast<int>(n)));
    impl_->EndAll(why);
    return why;
  }
  return Ok();
}

void GrpcClient::TakeOutput(std::string& out, size_t max) {
  while (out.size() < max) {
    const uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(impl_->session, &data);
    if (n <= 0) return;
    out.append(AsText({data, static_cast<size_t>(n)}));
  }
}

void GrpcClient::Close() { impl_->EndAll(Unavailable("grpc: the connection is gone")); }

}  // namespace hexr::wire
