// Certificates and requests as the JSON of Go's crypto/x509 structures. Reads DER (X.690) itself: the raw slices are
// part of the result. Malformed input gives an undefined value, never a crash; nothing is verified here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/rego/value/value.h"

namespace hexr::rego {

// One certificate. `with_uri_strings` adds OPA's own member.
Value CertificateJson(Arena& arena, std::string_view der, bool with_uri_strings);
Value CertificateRequestJson(Arena& arena, std::string_view der);
// Concatenated DER values, cut apart; false when the text is no row of DER sequences.
bool SplitDer(std::string_view der, std::vector<std::string_view>& out);
// A big-endian unsigned number.
Value BigEndian(Arena& arena, std::string_view bytes);
// X and Y of a point on a curve, or N and E, as Go shows a public key (SubjectPublicKeyInfo).
Value PublicKeyJson(Arena& arena, std::string_view spki, int& algorithm);

}  // namespace hexr::rego
