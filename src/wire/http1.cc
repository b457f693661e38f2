#include "wire/http1.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/decimal.h"
#include "base/limits/http.h"

namespace hexr::wire {
namespace {

Error BadHttp(std::string_view why) { return InvalidArgument("http1: " + std::string(why)); }
Error TooLarge(std::string_view why) { return ResourceExhausted("http1: " + std::string(why)); }

Result<HttpField> ParseField(std::string_view line) {
  if (line.starts_with(' ') || line.starts_with('\t')) return BadHttp("folded header field");
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return BadHttp("header field without colon");
  HttpField out{std::string(line.substr(0, colon)), {}};
  // A blank before the colon is in no token.
  if (!IsHttpToken(out.name)) return BadHttp("bad header field name");
  const std::string_view value = TrimBlanks(line.substr(colon + 1));
  if (!IsHttpFieldValue(value)) return BadHttp("bad header field value");
  out.value = value;
  return out;
}

Status ParseFields(const std::vector<std::string_view>& lines, std::vector<HttpField>& out) {
  for (size_t i = 1; i < lines.size(); ++i) {
    ASSIGN_OR_RETURN(HttpField field, ParseField(lines[i]));
    out.push_back(std::move(field));
  }
  return Ok();
}

Result<int> ParseVersion(std::string_view text) {
  if (text == "HTTP/1.1") return 1;
  if (text == "HTTP/1.0") return 0;
  return BadHttp("unknown HTTP version");
}

// What the framing fields say (RFC 9112 6.3, read strictly); nothing when there are none.
Result<std::optional<Http1Body>> Framing(const std::vector<HttpField>& fields, int minor_version) {
  const size_t codings = CountFields(fields, "transfer-encoding");
  const size_t lengths = CountFields(fields, "content-length");
  if (codings > 0) {
    if (lengths > 0) return BadHttp("both transfer-encoding and content-length");
    if (codings > 1) return BadHttp("more than one transfer-encoding");
    if (minor_version == 0) return BadHttp("transfer-encoding in HTTP/1.0");
    if (!EqualsIgnoreCase(*OnlyField(fields, "transfer-encoding"), "chunked")) {
      return Unimplemented("http1: transfer coding other than chunked");
    }
    return std::optional(Http1Body::Chunked());
  }
  if (lengths == 0) return std::optional<Http1Body>();
  if (lengths > 1) return BadHttp("more than one content-length");
  const std::string_view text = *OnlyField(fields, "content-length");
  constexpr size_t kMaxDigits = 18;
  const auto n = ParseDecimal<uint64_t>(text);
  if (!n || text.size() > kMaxDigits) return BadHttp("bad content-length");
  return std::optional(Http1Body::Length(*n));
}

bool KeepAliveOf(const std::vector<HttpField>& fields, int minor_version) {
  if (ListHolds(fields, "connection", "close")) return false;
  return minor_version >= 1 || ListHolds(fields, "connection", "keep-alive");
}

// A trailer may not change what its message is (RFC 9110 6.5.1).
bool AllowedInTrailer(std::string_view name) {
  constexpr std::array<std::string_view, 12> kNever{
      "transfer-encoding", "content-length", "host",   "trailer",       "connection", "content-encoding",
      "content-type",      "content-range",  "cookie", "authorization", "set-cookie", "te"};
  return std::none_of(kNever.begin(), kNever.end(), [=](std::string_view n) { return EqualsIgnoreCase(n, name); });
}

}  // namespace

bool Http1Request::KeepAlive() const { return KeepAliveOf(fields, minor_version); }
bool Http1Request::ExpectsContinue() const {
  const auto expect = OnlyField(fields, "expect");
  return minor_version >= 1 && expect && EqualsIgnoreCase(*expect, "100-continue");
}
bool Http1Response::KeepAlive() const { return KeepAliveOf(fields, minor_version); }

Result<Http1Event> Http1Reader::Read(ByteView& bytes) {
  while (true) {
    switch (state_) {
      case State::kHead: return ReadHead(bytes);
      case State::kBody:
        if (body_.kind == Http1Body::Kind::kUntilClose) {
          if (bytes.empty()) return Http1Event::kNeedMore;
          data_ = bytes;
          bytes = {};
          return Http1Event::kData;
        }
        if (left_ == 0) {
          state_ = State::kEnd;
          continue;
        }
        return ReadCounted(bytes, State::kEnd);
      case State::kChunkSize: {
        ASSIGN_OR_RETURN(const bool done, ReadChunkSize(bytes));
        if (!done) return Http1Event::kNeedMore;
        continue;
      }
      case State::kChunkData: return ReadCounted(bytes, State::kChunkEnd);
      case State::kChunkEnd: {
        ASSIGN_OR_RETURN(const bool done, TakeLine(bytes, 0));
        if (!done) return Http1Event::kNeedMore;
        state_ = State::kChunkSize;
        continue;
      }
      case State::kTrailers: {
        ASSIGN_OR_RETURN(const bool done, ReadTrailers(bytes));
        if (!done) return Http1Event::kNeedMore;
        continue;
      }
      case State::kEnd:
        state_ = State::kHead;
        head_bytes_ = 0;
        chunk_overhead_ = 0;
        return Http1Event::kEnd;
    }
  }
}

Result<Http1Event> Http1Reader::ReadEof() {
  if (state_ == State::kHead && !inside_message()) return Http1Event::kNeedMore;
  const bool counted_out = state_ == State::kBody && body_.kind != Http1Body::Kind::kUntilClose && left_ == 0;
  if (state_ == State::kEnd || counted_out || (state_ == State::kBody && body_.kind == Http1Body::Kind::kUntilClose)) {
    state_ = State::kEnd;
    ByteView none;
    return Read(none);
  }
  return BadHttp("connection ends inside a message");
}

Result<bool> Http1Reader::TakeLine(ByteView& bytes, size_t max) {
  if (line_done_) {
    line_.clear();
    line_done_ = false;
  }
  size_t i = 0;
  for (; i < bytes.size(); ++i) {
    const auto c = static_cast<char>(bytes[i]);
    const bool after_cr = !line_.empty() && line_.back() == '\r';
    if (c == '\n') {
      if (!after_cr) return BadHttp("line feed without carriage return");
      line_.pop_back();
      line_done_ = true;
      bytes = bytes.subspan(i + 1);
      return true;
    }
    if (after_cr) return BadHttp("carriage return without line feed");
    if (c == '\0') return BadHttp("NUL byte");
    if (line_.size() >= max && c != '\r')
      return max == 0 ? BadHttp("chunk is longer than it says") : TooLarge("line is too long");
    line_ += c;
  }
  bytes = {};
  return false;
}

Result<Http1Event> Http1Reader::ReadHead(ByteView& bytes) {
  while (true) {
    ASSIGN_OR_RETURN(const bool done, TakeLine(bytes, limits::kMaxHttp1HeadBytes - head_bytes_));
    if (!done) return Http1Event::kNeedMore;
    if (line_.empty()) break;
    head_bytes_ += line_.size() + 2;
    if (head_bytes_ >= limits::kMaxHttp1HeadBytes) return TooLarge("head is too large");
    if (head_.size() > limits::kMaxHttpFields) return TooLarge("too many header fields");
    head_.push_back(line_);
  }
  if (head_.empty()) return BadHttp("empty line before a message");
  const std::vector<std::string_view> lines(head_.begin(), head_.end());
  bool interim = false;
  ASSIGN_OR_RETURN(body_, TakeHead(lines, interim));
  head_.clear();
  head_bytes_ = 0;
  trailers_.clear();
  if (interim) return Http1Event::kInterim;
  left_ = body_.length;
  state_ = body_.kind == Http1Body::Kind::kChunked ? State::kChunkSize : State::kBody;
  return Http1Event::kHead;
}

Http1Event Http1Reader::ReadCounted(ByteView& bytes, State then) {
  if (bytes.empty()) return Http1Event::kNeedMore;
  data_ = bytes.first(static_cast<size_t>(std::min<uint64_t>(left_, bytes.size())));
  bytes = bytes.subspan(data_.size());
  left_ -= data_.size();
  if (left_ == 0) state_ = then;
  return Http1Event::kData;
}

Result<bool> Http1Reader::ReadChunkSize(ByteView& bytes) {
  ASSIGN_OR_RETURN(const bool done, TakeLine(bytes, limits::kMaxHttp1ChunkLine));
  if (!done) return false;
  const std::string_view line = line_;
  const size_t digits = std::min(line.find_first_not_of("0123456789abcdefABCDEF"), line.size());
  constexpr size_t kMaxDigits = 15;
  if (digits == 0 || digits > kMaxDigits) return BadHttp("bad chunk size");
  const std::string_view extension = line.substr(digits);
  if (!extension.empty() && (extension[0] != ';' || !IsHttpFieldValue(extension)))
    return BadHttp("bad chunk extension");
  // Extensions and tiny chunks cost more than they carry: a message has one budget for both.
  chunk_overhead_ += extension.size();
  if (chunk_overhead_ > limits::kMaxHttp1ChunkExtensions) return TooLarge("too much of chunk extensions");
  std::from_chars(line.data(), line.data() + digits, left_, 16);
  state_ = left_ == 0 ? State::kTrailers : State::kChunkData;
  return true;
}

Result<bool> Http1Reader::ReadTrailers(ByteView& bytes) {
  while (true) {
    ASSIGN_OR_RETURN(const bool done, TakeLine(bytes, limits::kMaxHttp1HeadBytes - head_bytes_));
    if (!done) return false;
    if (line_.empty()) break;
    head_bytes_ += line_.size() + 2;
    if (head_bytes_ >= limits::kMaxHttp1HeadBytes || trailers_.size() >= limits::kMaxHttpFields) {
      return TooLarge("trailers are too large");
    }
    ASSIGN_OR_RETURN(HttpField field, ParseField(line_));
    if (!AllowedInTrailer(field.name)) return BadHttp("field that may not be a trailer");
    trailers_.push_back(std::move(field));
  }
  state_ = State::kEnd;
  return true;
}

Result<Http1Body> Http1RequestReader::TakeHead(const std::vector<std::string_view>& lines, bool&) {
  const std::string_view line = lines[0];
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return BadHttp("bad request line");
  head_ = {};
  head_.method = line.substr(0, first);
  head_.target = line.substr(first + 1, last - first - 1);
  if (!IsHttpToken(head_.method)) return BadHttp("bad method");
  ASSIGN_OR_RETURN(head_.minor_version, ParseVersion(line.substr(last + 1)));
  RETURN_IF_ERROR(HttpTarget::Parse(head_.method, head_.target).ok() ? Ok() : Status(BadHttp("bad request target")));
  RETURN_IF_ERROR(ParseFields(lines, head_.fields));
  // Of HTTP/1.0 too, which did not ask for it: without one the request names no server.
  const auto host = OnlyField(head_.fields, "host");
  // A tunnel names its server in the target: Python's http.client asks for one as HTTP/1.0 without a host field.
  const bool tunnel =
      head_.method == "CONNECT" && head_.minor_version == 0 &&
      std::ranges::none_of(head_.fields, [](const HttpField& f) { return EqualsIgnoreCase(f.name, "host"); });
  if (!host && !tunnel) return BadHttp("a request has exactly one host field");
  if (host && !host->empty() && !HttpAuthority::Parse(*host).ok()) return BadHttp("bad host field");
  ASSIGN_OR_RETURN(const std::optional<Http1Body> body, Framing(head_.fields, head_.minor_version));
  if (head_.method == "CONNECT") {
    if (body && *body != Http1Body::Length(0)) return BadHttp("CONNECT with a body");
    return Http1Body::None();
  }
  return body.value_or(Http1Body::None());
}

Result<Http1Body> Http1ResponseReader::TakeHead(const std::vector<std::string_view>& lines, bool& interim) {
  const std::string_view line = lines[0];
  head_ = {};
  ASSIGN_OR_RETURN(head_.minor_version, ParseVersion(line.substr(0, line.find(' '))));
  const std::string_view rest = line.substr(std::min<size_t>(line.size(), 9));
  const auto parsed = std::from_chars(rest.data(), rest.data() + std::min<size_t>(rest.size(), 3), head_.status);
  if (parsed.ec != std::errc() || parsed.ptr != rest.data() + 3 || head_.status < 100 || head_.status > 599) {
    return BadHttp("bad status line");
  }
  // The reason may be empty, and its space forgotten.
  if (rest.size() > 3) {
    if (rest[3] != ' ') return BadHttp("bad status line");
    head_.reason = TrimBlanks(rest.substr(4));
  }
  if (!IsHttpFieldValue(head_.reason)) return BadHttp("bad status line");
  RETURN_IF_ERROR(ParseFields(lines, head_.fields));
  ASSIGN_OR_RETURN(const std::optional<Http1Body> body, Framing(head_.fields, head_.minor_version));
  const bool informational = head_.status < 200;
  if ((informational || head_.status == 204) && body && body->kind == Http1Body::Kind::kChunked) {
    return BadHttp("a response without body says that it has one");
  }
  interim = informational && head_.status != 101;
  const bool tunnel = head_.status == 101 || (method_ == "CONNECT" && head_.status >= 200 && head_.status < 300);
  if (tunnel) return Http1Body::Tunnel();
  if (informational || head_.status == 204 || head_.status == 304 || method_ == "HEAD") return Http1Body::None();
  return body.value_or(Http1Body::UntilClose());
}

}  // namespace hexr::wire
