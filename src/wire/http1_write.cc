#include <charconv>

#include "wire/http1.h"

namespace hexr::wire {
namespace {

Status AppendFields(const std::vector<HttpField>& fields, bool framing_too, std::string& out) {
  for (const HttpField& f : fields) {
    if (!IsHttpToken(f.name) || !IsHttpFieldValue(f.value))
      return InvalidArgument("http1: header field cannot be written");
    const bool framing = EqualsIgnoreCase(f.name, "content-length") || EqualsIgnoreCase(f.name, "transfer-encoding");
    if (framing && !framing_too) continue;
    out.append(f.name).append(": ").append(f.value).append("\r\n");
  }
  return Ok();
}

void AppendFraming(const Http1Body& body, std::string& out) {
  if (body.kind == Http1Body::Kind::kLength) out += "Content-Length: " + std::to_string(body.length) + "\r\n";
  if (body.kind == Http1Body::Kind::kChunked) out += "Transfer-Encoding: chunked\r\n";
}

}  // namespace

Status AppendHttp1Head(const Http1Request& head, const Http1Body& body, std::string& out) {
  if (!IsHttpToken(head.method)) return InvalidArgument("http1: method cannot be written");
  RETURN_IF_ERROR(HttpTarget::Parse(head.method, head.target).ok()
                      ? Ok()
                      : Status(InvalidArgument("http1: target cannot be written")));
  if (!OnlyField(head.fields, "host")) return InvalidArgument("http1: a request has exactly one host field");
  if (body.kind == Http1Body::Kind::kUntilClose)
    return InvalidArgument("http1: a request cannot end with its connection");
  std::string text = head.method + " " + head.target + " HTTP/1.1\r\n";
  RETURN_IF_ERROR(AppendFields(head.fields, false, text));
  AppendFraming(body, text);
  out.append(text).append("\r\n");
  return Ok();
}

Status AppendHttp1Head(const Http1Response& head, const Http1Body& body, std::string& out) {
  const std::string_view reason = head.reason.empty() ? HttpReason(head.status) : head.reason;
  if (head.status < 100 || head.status > 599 || !IsHttpFieldValue(reason)) {
    return InvalidArgument("http1: status line cannot be written");
  }
  std::string text = "HTTP/1.1 " + std::to_string(head.status) + " " + std::string(reason) + "\r\n";
  const bool none = body.kind == Http1Body::Kind::kNone;
  const bool keeps_length = none && head.status >= 200 && head.status != 204 &&
                            CountFields(head.fields, "content-length") == 1 &&
                            CountFields(head.fields, "transfer-encoding") == 0;
  RETURN_IF_ERROR(AppendFields(head.fields, keeps_length, text));
  const bool says_nothing = head.status < 200 || head.status == 204 || head.status == 304;
  if (none && !keeps_length && !says_nothing) text += "Content-Length: 0\r\n";
  AppendFraming(body, text);
  out.append(text).append("\r\n");
  return Ok();
}

void AppendHttp1Chunk(ByteView data, std::string& out) {
  if (data.empty()) return;
  char size[16];
  const auto end = std::to_chars(size, size + sizeof size, data.size(), 16).ptr;
  out.append(size, static_cast<size_t>(end - size)).append("\r\n").append(AsText(data)).append("\r\n");
}

Status AppendHttp1LastChunk(const std::vector<HttpField>& trailers, std::string& out) {
  std::string text = "0\r\n";
  RETURN_IF_ERROR(AppendFields(trailers, false, text));
  out.append(text).append("\r\n");
  return Ok();
}

std::string_view HttpReason(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Unknown";
  }
}

int HttpStatusOf(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kResourceExhausted: return 431;
    case ErrorCode::kUnimplemented: return 501;
    case ErrorCode::kPermissionDenied: return 403;
    case ErrorCode::kDeadlineExceeded: return 408;
    case ErrorCode::kUnavailable: return 503;
    default: return 400;
  }
}

}  // namespace hexr::wire
