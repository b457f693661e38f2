#include "cli/backup/archive.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/limits/backup.h"

namespace hexr::cli::backup {
namespace {

constexpr size_t kPrefixBytes = 1 + 4;
constexpr size_t kTag = crypto::AeadStream::kTagBytes;
constexpr size_t kHeadFixed = 2 + 8;  // of a file, without its path

template <class T>
void Put(Bytes& out, T value) {
  for (size_t i = sizeof(T); i-- > 0;) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

template <class T>
T Get(ByteView in) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((value << 8) | in[i]);
  return value;
}

Bytes Aad(ByteView header, ByteView prefix) {
  Bytes aad(header.begin(), header.end());
  aad.insert(aad.end(), prefix.begin(), prefix.end());
  return aad;
}

Result<crypto::Secret> KeyOf(ByteView header, const crypto::Secret& passphrase) {
  const ByteView cost = header.subspan(kMagic.size());
  if (cost[0] > 40) return InvalidArgument("the backup asks for an impossible effort");
  return crypto::Scrypt(
      passphrase, header.last(kSaltBytes),
      {.n = uint64_t{1} << cost[0], .r = Get<uint32_t>(cost.subspan(1)), .p = Get<uint32_t>(cost.subspan(5))},
      crypto::AeadStream::kKeyBytes);
}

}  // namespace

Status CheckPath(std::string_view path) {
  if (path.empty() || path.size() > limits::kMaxBackupPathBytes) return InvalidArgument("a path is empty or too long");
  if (path.find('\0') != std::string_view::npos) return InvalidArgument("a path has a NUL in it");
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") return InvalidArgument("a path leads out of its folder");
    at = end + 1;
  }
  return Ok();
}

// ---- writing

Result<ArchiveWriter> ArchiveWriter::Begin(Sink sink, const crypto::Secret& passphrase, const crypto::ScryptCost& cost,
                                           Random& random) {
  if (!std::has_single_bit(cost.n)) return InvalidArgument("scrypt: N is a power of two");
  Bytes header(kMagic.begin(), kMagic.end());
  Put<uint8_t>(header, static_cast<uint8_t>(std::countr_zero(cost.n)));
  Put<uint32_t>(header, cost.r);
  Put<uint32_t>(header, cost.p);
  std::array<uint8_t, kSaltBytes> salt;
  random.Fill(salt);
  header.insert(header.end(), salt.begin(), salt.end());
  ASSIGN_OR_RETURN(const crypto::Secret key, KeyOf(header, passphrase));
  ASSIGN_OR_RETURN(crypto::AeadStream stream, crypto::AeadStream::ForSealing(key));
  RETURN_IF_ERROR(sink(header));
  return ArchiveWriter(std::move(sink), std::move(header), std::move(stream));
}

Status ArchiveWriter::AddFile(std::string_view path, uint64_t size, Source& content) {
  RETURN_IF_ERROR(CheckPath(path));
  Bytes head;
  Put<uint16_t>(head, static_cast<uint16_t>(path.size()));
  head.insert(head.end(), path.begin(), path.end());
  Put<uint64_t>(head, size);
  RETURN_IF_ERROR(Write(head));
  Bytes buffer(limits::kMaxBackupChunkBytes);
  while (size > 0) {
    const size_t want = static_cast<size_t>(std::min<uint64_t>(size, buffer.size()));
    ASSIGN_OR_RETURN(const size_t got, content(std::span(buffer).first(want)));
    if (got != want) return DataLoss(std::string(path) + " became shorter while it was read");
    RETURN_IF_ERROR(Write(ByteView(buffer).first(got)));
    size -= got;
  }
  return Ok();
}

Status ArchiveWriter::Write(ByteView plaintext) {
  while (!plaintext.empty()) {
    // A full chunk is sealed when more follows: the last one is never empty unless the backup is.
    if (pending_.size() == limits::kMaxBackupChunkBytes) RETURN_IF_ERROR(Seal(false));
    const size_t n = std::min(plaintext.size(), limits::kMaxBackupChunkBytes - pending_.size());
    pending_.insert(pending_.end(), plaintext.begin(), plaintext.begin() + static_cast<std::ptrdiff_t>(n));
    plaintext = plaintext.subspan(n);
  }
  return Ok();
}

Status ArchiveWriter::Seal(bool last) {
  Bytes chunk;
  Put<uint8_t>(chunk, last ? 1 : 0);
  Put<uint32_t>(chunk, static_cast<uint32_t>(pending_.size()));
  const Bytes aad = Aad(header_, chunk);
  chunk.resize(kPrefixBytes + pending_.size() + kTag);
  stream_.Seal(++chunks_, aad, pending_, std::span(chunk).subspan(kPrefixBytes));
  crypto::WipeMemory(pending_);
  pending_.clear();
  return sink_(chunk);
}

Status ArchiveWriter::Finish() { return Seal(true); }

// ---- reading

Status ContentParser::Feed(ByteView bytes) {
  while (!bytes.empty()) {
    if (remaining_ > 0) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(remaining_, bytes.size()));
      RETURN_IF_ERROR(visitor_.OnContent(bytes.first(n)));
      remaining_ -= n;
      bytes = bytes.subspan(n);
      continue;
    }
    const size_t path_size = head_.size() < 2 ? 0 : Get<uint16_t>(head_);
    if (path_size > limits::kMaxBackupPathBytes) return InvalidArgument("a path is too long");
    const size_t whole = head_.size() < 2 ? 2 : kHeadFixed + path_size;
    const size_t n = std::min(whole - head_.size(), bytes.size());
    head_.insert(head_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    bytes = bytes.subspan(n);
    if (head_.size() < kHeadFixed || head_.size() < kHeadFixed + Get<uint16_t>(head_)) continue;
    const std::string path(AsText(ByteView(head_).subspan(2, path_size)));
    RETURN_IF_ERROR(CheckPath(path));
    if (++files_ > limits::kMaxBackupFiles) return ResourceExhausted("the backup has too many files");
    remaining_ = Get<uint64_t>(ByteView(head_).last(8));
    head_.clear();
    RETURN_IF_ERROR(visitor_.OnFile(path, remaining_));
  }
  return Ok();
}

Status ContentParser::Finish() const {
  if (remaining_ > 0 || !head_.empty()) return InvalidArgument("the backup ends inside a file");
  return Ok();
}

Status ReadArchive(Source source, const crypto::Secret& passphrase, ArchiveVisitor& visitor) {
  Bytes header(kHeaderBytes);
  ASSIGN_OR_RETURN(const size_t got_header, source(header));
  if (got_header != header.size() || AsText(ByteView(header).first(kMagic.size())) != kMagic) {
    return InvalidArgument("this is no backup of hexr");
  }
  ASSIGN_OR_RETURN(const crypto::Secret key, KeyOf(header, passphrase));
  ASSIGN_OR_RETURN(crypto::AeadStream stream, crypto::AeadStream::ForOpening(key));
  ContentParser parser(visitor);
  Bytes chunk(limits::kMaxBackupChunkBytes + kTag), plain(limits::kMaxBackupChunkBytes);
  std::array<uint8_t, kPrefixBytes> prefix;
  for (uint64_t number = 1;; ++number) {
    ASSIGN_OR_RETURN(const size_t got_prefix, source(prefix));
    const uint32_t size = Get<uint32_t>(ByteView(prefix).subspan(1));
    if (got_prefix != prefix.size() || prefix[0] > 1 || size > limits::kMaxBackupChunkBytes) {
      return DataLoss("the backup is damaged or cut after " + std::to_string(number - 1) + " chunks");
    }
    const std::span<uint8_t> sealed = std::span(chunk).first(size + kTag), opened = std::span(plain).first(size);
    ASSIGN_OR_RETURN(const size_t got, source(sealed));
    if (got != sealed.size()) return DataLoss("the backup is cut in chunk " + std::to_string(number));
    if (!stream.Open(number, Aad(header, prefix), sealed, opened)) {
      if (number == 1) return PermissionDenied("wrong passphrase, or a damaged backup");
      return DataLoss("the backup is damaged in chunk " + std::to_string(number));
    }
    const Status fed = parser.Feed(opened);
    crypto::WipeMemory(opened);
    RETURN_IF_ERROR(fed);
    if (prefix[0] == 0) continue;
    ASSIGN_OR_RETURN(const size_t more, source(std::span(prefix).first(1)));
    if (more != 0) return DataLoss("something follows the backup's end");
    return parser.Finish();
  }
}

}  // namespace hexr::cli::backup
