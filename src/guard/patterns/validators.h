// Checks that tell a real identifier from a lookalike: check digits, token checksums, entropy, placeholders.
// Stateless, thread-safe; none copies or keeps its argument.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hexr::guard {

// The digits of `text`, everything else dropped.
std::string DigitsOf(std::string_view text);

bool Luhn(std::string_view digits);  // ISO/IEC 7812-1
bool Mod97(std::string_view iban);   // ISO 13616, without spaces
bool Verhoeff(std::string_view digits);
bool Mod11_10(std::string_view digits);  // ISO 7064 MOD 11,10
// Sum of digit times weight, modulo `m`.
uint32_t WeightedSum(std::string_view digits, std::string_view weights, uint32_t m);

// Shannon entropy of the bytes, in bits a byte.
double Entropy(std::string_view text);

// "xxxx", "your_api_key", "<TOKEN>", "${VAR}", "example…": text that stands for a secret without being one.
bool LooksLikePlaceholder(std::string_view value);
// A name from a program rather than a value: camelCase, snake_case or dotted words without the disorder of a key.
bool LooksLikeIdentifier(std::string_view value);

// The CRC32 in base 62 at the end of GitHub's and npm's tokens.
bool GitHubChecksum(std::string_view token);
// Three base64url parts of which the first is a JSON object with "alg".
bool IsJwt(std::string_view token);

}  // namespace hexr::guard
