// TLS and DNS as they begin (wire/client_hello.h, wire/dns.h).
#pragma once

#include <cstddef>

namespace hexr::limits {

inline constexpr size_t kMaxClientHelloBytes = 64 * 1024;
inline constexpr size_t kMaxClientHelloRawBytes = 2 * kMaxClientHelloBytes;  // with the headers of its records
inline constexpr size_t kMaxTlsChainBytes = 64 * 1024;                       // certificates of one peer
inline constexpr size_t kMaxDnsQueryBytes = 4096;
inline constexpr size_t kMaxDnsRecords = 64;  // of one answer

}  // namespace hexr::limits
