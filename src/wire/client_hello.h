// Reads the beginning of a TLS connection without taking part in it (RFC 8446 4.1.2, RFC 6066 3, RFC 7301 3.1): where a
// client wants to go, for traffic that is passed on unopened. Thread-compatible.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits/tls_dns.h"
#include "base/result.h"

namespace hexr::wire {

struct ClientHello {
  std::string server_name;        // lower case; empty when the client named none
  std::vector<std::string> alpn;  // in the client's order; empty when it offered none
  // The client sent the encrypted_client_hello extension: server_name may be a cover for another one.
  bool encrypted = false;
};

// The bytes of one connection as they arrive, each looked at once.
class ClientHelloReader {
 public:
  // `more` follows what was given before. Nothing while the hello is incomplete; INVALID_ARGUMENT for what is no
  // ClientHello or a malformed one, a repeated extension, a server name that is none; RESOURCE_EXHAUSTED over
  // limits::kMaxClientHelloBytes, or over kMaxClientHelloRawBytes with the headers of its records. Not to be called
  // again after a hello or an error.
  Result<std::optional<ClientHello>> Read(ByteView more);

 private:
  static constexpr size_t kRecordHeaderBytes = 5;

  std::array<uint8_t, kRecordHeaderBytes> header_{};
  size_t header_size_ = 0;
  size_t left_ = 0;  // of the record's body
  size_t raw_ = 0;   // of all records begun
  Bytes message_;
};

}  // namespace hexr::wire
