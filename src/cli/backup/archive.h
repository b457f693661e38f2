// The format of backups: files, one after the other, sealed under a passphrase. A reader sees nothing of a backup, not
// even names, without it; what is cut, changed or glued together does not open.
//
//   "hexr backup v1\n" | scrypt cost: log2 N, u8; r, u32; p, u32 | salt, 16 bytes
//   chunk    last, u8 | length of the plaintext, u32 | ciphertext | tag, 16 bytes        numbers are big-endian
//   joined plaintext of the chunks: { path length, u16 | path | size, u64 | content }
//
// Chunks are sealed (AES-256-GCM) under a key that the passphrase and this backup's salt give, with their number as
// nonce and, as associated data, the header and the five bytes before them: one that is moved, dropped or taken for the
// last does not open.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "crypto/aead_stream.h"
#include "crypto/scrypt.h"
#include "crypto/secret.h"

namespace hexr::cli::backup {

inline constexpr std::string_view kMagic = "hexr backup v1\n";
inline constexpr size_t kSaltBytes = 16;
inline constexpr size_t kHeaderBytes = kMagic.size() + 1 + 4 + 4 + kSaltBytes;

// Fills the span as far as it can: fewer bytes only at the end.
using Source = UniqueFunction<Result<size_t>(std::span<uint8_t>)>;
using Sink = UniqueFunction<Status(ByteView)>;

// A path that stays below the folder it is put in: relative, no empty part, no "." or "..", no NUL, not too long.
Status CheckPath(std::string_view path);

class ArchiveWriter {
 public:
  static Result<ArchiveWriter> Begin(Sink sink, const crypto::Secret& passphrase, const crypto::ScryptCost& cost,
                                     Random& random);
  // DATA_LOSS: the source has fewer bytes than `size`. More are not read.
  Status AddFile(std::string_view path, uint64_t size, Source& content);
  // Nothing is a backup before it.
  Status Finish();

 private:
  ArchiveWriter(Sink sink, Bytes header, crypto::AeadStream stream)
      : sink_(std::move(sink)), header_(std::move(header)), stream_(std::move(stream)) {}
  Status Write(ByteView plaintext);
  Status Seal(bool last);

  Sink sink_;
  Bytes header_;
  crypto::AeadStream stream_;
  uint64_t chunks_ = 0;
  Bytes pending_;
};

// What a backup holds, in its order. An error ends the reading.
class ArchiveVisitor {
 public:
  virtual ~ArchiveVisitor() = default;
  virtual Status OnFile(const std::string& path, uint64_t size) = 0;  // CheckPath has passed
  virtual Status OnContent(ByteView bytes) = 0;                       // of the last file: `size` bytes in all
};

// The joined plaintext, however it is cut. INVALID_ARGUMENT for what is no such text.
class ContentParser {
 public:
  explicit ContentParser(ArchiveVisitor& visitor) : visitor_(visitor) {}
  Status Feed(ByteView bytes);
  // OK when the text ends where a file ends.
  Status Finish() const;

 private:
  ArchiveVisitor& visitor_;
  Bytes head_;              // of the next file, as far as it has come
  uint64_t remaining_ = 0;  // of the content
  uint64_t files_ = 0;
};

// PERMISSION_DENIED: wrong passphrase (or a damaged first chunk, which looks the same). DATA_LOSS: damaged or cut.
// INVALID_ARGUMENT: not a backup. What the visitor got before an error is authentic, and not all.
Status ReadArchive(Source source, const crypto::Secret& passphrase, ArchiveVisitor& visitor);

}  // namespace hexr::cli::backup
