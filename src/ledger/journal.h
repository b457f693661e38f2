// The file through which a process hands its evidence to the keeper. The keeper makes it, passes the descriptor and a
// key of its own, and reads behind the writer; a killed writer loses nothing that it acknowledged.
//
//   header   "hexrjnl1" | 16 random bytes | created, int64 nanoseconds | label length, u8 | label
//   frame    length of the rest, u32 | counter, u64 | ciphertext | tag, 16 bytes          numbers are big-endian
//
// Each frame is sealed (AES-256-GCM) under the journal's key with its counter as nonce and, as associated data, the tag
// of the frame before it (first frame: the header's digest), its length and counter: a frame that is changed, moved,
// repeated or taken out breaks the chain. Frames cut from the end show by the end frame, by the position that the
// sequencer keeps, and by the counters of the records that follow.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "runtime/unique_fd.h"

namespace hexr::ledger {

inline constexpr size_t kChainBytes = 16;
using Chain = std::array<uint8_t, kChainBytes>;

// What a writer needs beside the descriptor. It opens this one journal and nothing else. Move-only.
struct JournalTicket {
  std::string writer;  // 16 hex digits: the name under which its records stand in the log
  crypto::Secret key;
  Chain chain{};  // what the first frame is chained to
};

struct JournalHeader {
  std::string writer;
  std::string label;  // which process, for people: "gateway/acme"
  WallTime created{};
  size_t size = 0;  // bytes in the file
  Chain chain{};
  std::array<uint8_t, 32> salt{};  // digest of the header: the key hangs on every byte of it

  // OUT_OF_RANGE: cut. INVALID_ARGUMENT: something else.
  static Result<JournalHeader> Parse(ByteView bytes);
  // The largest that Parse reads.
  static constexpr size_t kMaxBytes = 8 + 16 + 8 + 1 + 255;

  // The journal's own key, from the one that the keeper holds for all.
  crypto::Secret Key(const crypto::Secret& master) const;
};

// The mode of a journal that is not read on, whoever writes to it: owner may read. Its writer refuses what follows.
inline constexpr unsigned kRevokedMode = 0400;

enum class FrameType : uint8_t {
  kRecord = 1,         // u32 length | record without seq | texts: { salt, 32 bytes | u32 length | text }
  kInstanceEnded = 2,  // u64 count of its records | instance id
  kEnd = 3,            // nothing follows
};
inline constexpr size_t kFramePrefixBytes = 4 + 8;
inline constexpr size_t kFrameOverheadBytes = kFramePrefixBytes + 16;

// Makes `path` (0600, must not exist) with its header on disk. The descriptor is for the writer: append only, and
// locked (flock) for as long as any process holds it, which is how a reader knows that the writer lives. Close the
// keeper's copy once it is passed on.
struct NewJournal {
  runtime::UniqueFd fd;
  JournalTicket ticket;
};
Result<NewJournal> CreateJournal(const std::string& path, std::string_view label, const crypto::Secret& master,
                                 const Clock& clock, Random& random);

}  // namespace hexr::ledger
