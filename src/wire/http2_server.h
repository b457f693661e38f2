// The server side of one HTTP/2 connection (RFC 9113) without I/O: bytes in, requests out; answers in, bytes out.
//
// Every byte is fed together with the writer it came from, so that on a socket that several processes share (an
// inherited descriptor) each request belongs to exactly one of them: a frame that straddles two writers ends the
// connection, a request whose frames came from two writers is refused. Not thread-safe; lives on one loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits/http.h"
#include "base/result.h"
#include "wire/http_fields.h"

namespace hexr::wire {

// Names the process that wrote some bytes, for as long as the connection lives. Opaque: its meaning is the caller's.
using WriterTag = uint64_t;

struct Http2Request {
  std::string method;
  std::string scheme;
  std::string authority;
  std::string path;
  std::vector<HttpField> fields;  // without the pseudo fields, in order, names in lower case
  WriterTag writer = 0;

  // As OnlyField.
  std::optional<std::string_view> Field(std::string_view name) const;
};

// What happens on a connection, called from Feed and TakeOutput. It may call the server back at once, but may not
// destroy it.
class Http2Handler {
 public:
  virtual void OnRequest(int32_t stream, Http2Request request) = 0;
  virtual void OnData(int32_t stream, ByteView data) = 0;
  // The request is complete; trailers are dropped.
  virtual void OnEnd(int32_t stream) = 0;
  // Instead of what else would follow of the request: PERMISSION_DENIED (two writers) or RESOURCE_EXHAUSTED (fields
  // too large). The handler answers or resets.
  virtual void OnRefused(int32_t stream, const Error& why) = 0;
  // Everything that was given to Send has been taken.
  virtual void OnDrained(int32_t stream) = 0;
  // The last call for this stream, whoever ended it.
  virtual void OnClose(int32_t stream) = 0;
  // The answer to Ping, and who wrote it.
  virtual void OnPong(uint64_t token, WriterTag writer) {
    (void)token;
    (void)writer;
  }

 protected:
  ~Http2Handler() = default;
};

struct Http2Options {
  uint32_t max_streams = limits::kMaxHttp2Streams;
  size_t max_field_bytes = limits::kMaxHttp2FieldBytes;  // per request, as RFC 9113 6.5.2 counts them
};

class Http2Server {
 public:
  // Both references outlive the server. The clock meters floods.
  Http2Server(Http2Handler& handler, const Clock& clock, const Http2Options& options = {});
  ~Http2Server();
  Http2Server(const Http2Server&) = delete;
  Http2Server& operator=(const Http2Server&) = delete;

  // An error ends the connection: take the output (it holds the GOAWAY), then close. Protocol errors that HTTP/2
  // answers by itself show as finished().
  Status Feed(ByteView bytes, WriterTag writer);

  // Appends output until `out` holds `max` bytes or more, or there is none left. A reader that is slower than its
  // streams leaves the rest in their queues.
  void TakeOutput(std::string& out, size_t max);
  bool WantsOutput() const;
  // Neither side has anything more to say: close.
  bool finished() const;

  // The calls below do nothing for a stream that is gone. `fields` are without :status.
  void Respond(int32_t stream, int status, std::vector<HttpField> fields);
  void RespondAndEnd(int32_t stream, int status, std::vector<HttpField> fields);
  // After Respond. Unbounded by itself: look at Queued first.
  void Send(int32_t stream, Bytes chunk);
  size_t Queued(int32_t stream) const;
  // Forgets the chunks of which no byte has been taken.
  void DropQueued(int32_t stream);
  // After what is queued. Trailers may be empty.
  void End(int32_t stream, std::vector<HttpField> trailers);
  // Returns flow-control window for data that has been dealt with. The connection's own window is returned by itself.
  void Consume(int32_t stream, size_t bytes);
  void Reset(int32_t stream, uint32_t http2_error);

  // PING (RFC 9113 6.7). `token` is not 0, and unpredictable where the answer has to mean something.
  void Ping(uint64_t token);

  // Graceful end (RFC 9113 6.8): no new streams after a round trip, open ones go on, finished() when they are done.
  void Drain();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hexr::wire
