// Object identifiers of this room, as DER contents (X.690 8.19). Internal to crypto.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace hexr::crypto::oid {

template <class... B>
constexpr auto Make(B... bytes) { return std::array<uint8_t, sizeof...(B)>{static_cast<uint8_t>(bytes)...}; }

inline constexpr auto kEcPublicKey = Make(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01);              // 1.2.840.10045.2.1
inline constexpr auto kP256 = Make(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);               // 1.2.840.10045.3.1.7
inline constexpr auto kP384 = Make(0x2b, 0x81, 0x04, 0x00, 0x22);                                 // 1.3.132.0.34
inline constexpr auto kP521 = Make(0x2b, 0x81, 0x04, 0x00, 0x23);                                 // 1.3.132.0.35
inline constexpr auto kRsa = Make(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01);  // 1.2.840.113549.1.1.1
inline constexpr auto kEcdsaSha256 = Make(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02);        // 1.2.840.10045.4.3.2
inline constexpr auto kEcdsaSha384 = Make(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03);
inline constexpr auto kEcdsaSha512 = Make(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04);
inline constexpr auto kRsaSha256 = Make(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b);  // 1.2.840.113549.1.1.11
inline constexpr auto kRsaSha384 = Make(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c);
inline constexpr auto kRsaSha512 = Make(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d);
inline constexpr auto kCommonName = Make(0x55, 0x04, 0x03);                                       // 2.5.4.3
inline constexpr auto kSerialNumber = Make(0x55, 0x04, 0x05);                                     // 2.5.4.5
inline constexpr auto kOrganization = Make(0x55, 0x04, 0x0a);                                     // 2.5.4.10
inline constexpr auto kSubjectKeyId = Make(0x55, 0x1d, 0x0e);                                     // 2.5.29.14
inline constexpr auto kKeyUsage = Make(0x55, 0x1d, 0x0f);
inline constexpr auto kSubjectAltName = Make(0x55, 0x1d, 0x11);
inline constexpr auto kBasicConstraints = Make(0x55, 0x1d, 0x13);
inline constexpr auto kCrlNumber = Make(0x55, 0x1d, 0x14);
inline constexpr auto kNameConstraints = Make(0x55, 0x1d, 0x1e);
inline constexpr auto kAuthorityKeyId = Make(0x55, 0x1d, 0x23);
inline constexpr auto kExtendedKeyUsage = Make(0x55, 0x1d, 0x25);
inline constexpr auto kServerAuth = Make(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01);         // 1.3.6.1.5.5.7.3.1
inline constexpr auto kClientAuth = Make(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02);
inline constexpr auto kExtensionRequest = Make(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e);  // RFC 2985 5.4.2

template <size_t N>
bool Is(ByteView contents, const std::array<uint8_t, N>& which) { return std::ranges::equal(contents, which); }

}  // namespace hexr::crypto::oid
