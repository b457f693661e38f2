// HTTP/1.1 (RFC 9112) without I/O, both directions, strict: a message that two readers could cut differently is
// refused, and what goes out is written anew from what was understood, never copied.
//
// Reading is pulled: Read takes bytes off the front of a view and says what it found. Who does not want more of a body
// yet does not call Read. Nothing behind the end of a message is consumed, so the bytes of the next message, of a
// tunnel or of an upgraded protocol stay with the caller. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/http_fields.h"

namespace hexr::wire {

struct Http1Request {
  std::string method;
  std::string target;
  int minor_version = 1;
  std::vector<HttpField> fields;

  bool KeepAlive() const;
  // "Expect: 100-continue" of an HTTP/1.1 client: it may wait for kHttp1Continue before it sends the body.
  bool ExpectsContinue() const;
};

struct Http1Response {
  int status = 0;
  std::string reason;
  int minor_version = 1;
  std::vector<HttpField> fields;

  bool KeepAlive() const;
};

inline constexpr std::string_view kHttp1Continue = "HTTP/1.1 100 Continue\r\n\r\n";

// How long a body is, or how it says so.
struct Http1Body {
  enum class Kind : uint8_t { kNone, kLength, kChunked, kUntilClose, kTunnel };
  Kind kind = Kind::kNone;
  uint64_t length = 0;  // kLength

  static Http1Body None() { return {}; }
  static Http1Body Length(uint64_t n) { return {Kind::kLength, n}; }
  static Http1Body Chunked() { return {Kind::kChunked, 0}; }
  static Http1Body UntilClose() { return {Kind::kUntilClose, 0}; }
  // What follows the head is another protocol: 101, or 2xx to CONNECT.
  static Http1Body Tunnel() { return {Kind::kTunnel, 0}; }
  bool operator==(const Http1Body&) const = default;
};

enum class Http1Event : uint8_t {
  kNeedMore,  // everything was taken
  kInterim,   // a 1xx response: the head is valid, another one follows
  kHead,      // the head is valid, and body() with it
  kData,      // data() is the next piece of the body, a view into the bytes given
  kEnd,       // the message is complete; trailers() are valid. The next Read begins the next message
};

// What both readers share. Errors: INVALID_ARGUMENT (400) for anything malformed or ambiguous, RESOURCE_EXHAUSTED (431)
// over a bound, UNIMPLEMENTED (501) for transfer codings besides chunked. After an error a reader is of no more use.
class Http1Reader {
 public:
  Http1Reader(const Http1Reader&) = delete;
  Http1Reader& operator=(const Http1Reader&) = delete;

  Result<Http1Event> Read(ByteView& bytes);
  // The peer has sent its last byte: kEnd when that ends the body, kNeedMore between messages, an error inside one.
  Result<Http1Event> ReadEof();

  ByteView data() const { return data_; }
  const Http1Body& body() const { return body_; }
  const std::vector<HttpField>& trailers() const { return trailers_; }
  // True from the first byte of a message to its end.
  bool inside_message() const { return state_ != State::kHead || !line_.empty() || !head_.empty(); }

 protected:
  Http1Reader() = default;
  ~Http1Reader() = default;
  // Reads head_ and says how the body is framed; `interim` when another head follows.
  virtual Result<Http1Body> TakeHead(const std::vector<std::string_view>& lines, bool& interim) = 0;

 private:
  enum class State : uint8_t { kHead, kBody, kChunkSize, kChunkData, kChunkEnd, kTrailers, kEnd };

  // Takes bytes up to and with CRLF into line_; true when the line is complete.
  Result<bool> TakeLine(ByteView& bytes, size_t max);
  Result<Http1Event> ReadHead(ByteView& bytes);
  Http1Event ReadCounted(ByteView& bytes, State then);
  Result<bool> ReadChunkSize(ByteView& bytes);
  Result<bool> ReadTrailers(ByteView& bytes);

  State state_ = State::kHead;
  std::string line_;  // without its CRLF once complete
  bool line_done_ = false;
  std::vector<std::string> head_;
  size_t head_bytes_ = 0;  // of a head, or of a trailer section
  size_t chunk_overhead_ = 0;
  uint64_t left_ = 0;  // of a counted body, or of a chunk
  Http1Body body_;
  ByteView data_;
  std::vector<HttpField> trailers_;
};

class Http1RequestReader final : public Http1Reader {
 public:
  // Valid from kHead to the next Read after kEnd.
  const Http1Request& head() const { return head_; }
  Http1Request& head() { return head_; }

 private:
  Result<Http1Body> TakeHead(const std::vector<std::string_view>& lines, bool& interim) override;
  Http1Request head_;
};

class Http1ResponseReader final : public Http1Reader {
 public:
  // The method of the request that the next response answers: HEAD and CONNECT change what a body is. Once per request,
  // before its response is read.
  void Expect(std::string_view method) { method_ = method; }
  const Http1Response& head() const { return head_; }
  Http1Response& head() { return head_; }

 private:
  Result<Http1Body> TakeHead(const std::vector<std::string_view>& lines, bool& interim) override;
  Http1Response head_;
  std::string method_ = "GET";
};

// Append the message head to `out`. Content-Length and Transfer-Encoding among `fields` are left out and written from
// `body`. INVALID_ARGUMENT, with `out` untouched, for a method, target, name or value that would not be read back as it
// is. A response without body says so with Content-Length 0 where its status does not, unless `fields` hold the length
// that a GET would have had (answers to HEAD).
Status AppendHttp1Head(const Http1Request& head, const Http1Body& body, std::string& out);
Status AppendHttp1Head(const Http1Response& head, const Http1Body& body, std::string& out);
// One chunk; nothing for empty data, since that would end the body.
void AppendHttp1Chunk(ByteView data, std::string& out);
Status AppendHttp1LastChunk(const std::vector<HttpField>& trailers, std::string& out);

// The usual phrase, or "Unknown".
std::string_view HttpReason(int status);
// The status that tells a client why its request could not be read.
int HttpStatusOf(const Error& error);

}  // namespace hexr::wire
