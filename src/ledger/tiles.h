// The files of a log. Source: C2SP tlog-tiles: tiles of 256 hashes, bundles of 256 entries, each named by level and
// number, the rightmost ones partial. Stateless functions; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ledger/merkle.h"

namespace hexr::ledger {

inline constexpr unsigned kTileHeight = 8;
inline constexpr unsigned kTileWidth = 1U << kTileHeight;
inline constexpr unsigned kMaxTileLevel = 7;     // 2^63 entries
inline constexpr size_t kMaxEntryBytes = 65535;  // a bundle's length prefix has 16 bits
inline constexpr size_t kMaxTileBytes = size_t{kTileWidth} * 32;
inline constexpr size_t kMaxBundleBytes = size_t{kTileWidth} * (kMaxEntryBytes + 2);

inline constexpr char kCheckpointPath[] = "checkpoint";
// The log's own verifier key. Handy, and no proof of anything: who checks a log brings the key along.
inline constexpr char kKeyPath[] = "log.vkey";
// Files named by day (UTC) with every checkpoint that was cosigned and one a minute of the others, one after the other.
inline constexpr char kHistoryFolder[] = "checkpoints";

// "tile/0/x001/234.p/17". Width 1 to 256; 256 is a full tile and leaves ".p/" out.
std::string TilePath(unsigned level, uint64_t index, unsigned width);
std::string EntriesPath(uint64_t index, unsigned width);
// The folder that holds the partial forms of a tile: "tile/0/x001/234.p".
std::string PartialTileFolder(unsigned level, uint64_t index);
std::string PartialEntriesFolder(uint64_t index);

// How many hashes tile `index` of `level` has in a tree of `size` leaves: 0 (not there) to 256.
unsigned TileWidth(unsigned level, uint64_t index, uint64_t size);

Bytes EncodeTile(std::span<const Hash> hashes);
// DATA_LOSS unless there are exactly, or with `at_least` no fewer than, `width` hashes; only so many are returned.
enum class Width : uint8_t { kExact, kAtLeast };
Result<std::vector<Hash>> ParseTile(ByteView bytes, unsigned width, Width rule = Width::kExact);

// `entry` with its length before it, added to a bundle. The entry has at most kMaxEntryBytes.
void AppendEntry(ByteView entry, Bytes& bundle);
// Views into `bytes`. DATA_LOSS as ParseTile.
Result<std::vector<ByteView>> ParseEntries(ByteView bytes, unsigned width, Width rule = Width::kExact);

}  // namespace hexr::ledger
