// The guard (src/guard).
#pragma once

#include <cstddef>

namespace hexr::limits {

inline constexpr size_t kMaxGuardSliceBytes = 4096;      // one step of a stream
inline constexpr size_t kMaxGuardHoldBytes = 4096;       // held back before it is settled by force
inline constexpr size_t kMaxGuardTokenBytes = 2048;      // a run without white space is settled in such pieces
inline constexpr size_t kMaxGuardChainBytes = 160;       // tokens that may be one number
inline constexpr size_t kMaxGuardPhraseBytes = 96;       // words that may be one name or address
inline constexpr size_t kMaxGuardTagBytes = 256;         // a tag of HTML; longer ones are text
inline constexpr size_t kMaxGuardRunBytes = 2048;        // a stretch that is read again in another view
inline constexpr size_t kMaxGuardViewDepth = 2;          // views of views
inline constexpr size_t kMaxGuardViewBytes = 64 * 1024;  // read in all views of a text together,
inline constexpr size_t kMaxGuardViewBytesPerByte = 48;  // and for each of its bytes besides
inline constexpr size_t kMaxGuardFindings = 256;         // kept a scan; actions of further ones still count
inline constexpr size_t kMaxGuardDatabaseBytes = 64 * 1024 * 1024;  // a cached pattern database
inline constexpr size_t kMaxGuardPemBytes = 16 * 1024;              // a private key block
inline constexpr size_t kMaxGuardPlaceholders = 65'536;             // of one session's vault
inline constexpr size_t kMaxGuardPlaceholderBytes = 64;
inline constexpr size_t kMaxGuardShingles = 65'536;  // of a system prompt
inline constexpr size_t kMaxGuardNames = 262'144;    // hosts and packages that a session has seen

}  // namespace hexr::limits
