#include "ledger/journal_reader.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/limits/ledger.h"
#include "ledger/big_endian.h"

namespace hexr::ledger {

namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kTextPrefixBytes = SaltedText::kSaltBytes + 4;

Error Unexpected() { return InvalidArgument("a journal frame of an unknown form"); }

Error Damaged(const JournalPosition& at) {
  return {ErrorCode::kDataLoss, "the journal is damaged after frame " + std::to_string(at.counter)};
}

}  // namespace

Status ParseFrame(ByteView plaintext, JournalFrame& out) {
  if (plaintext.empty()) return Unexpected();
  const uint8_t type = plaintext[0];
  ByteView rest = plaintext.subspan(1);
  out.texts.clear();
  out.record = out.instance = {};
  out.count = 0;
  switch (type) {
    case static_cast<uint8_t>(FrameType::kRecord): {
      out.type = FrameType::kRecord;
      if (rest.size() < 4) return Unexpected();
      const size_t size = ReadBig<uint32_t>(rest);
      rest = rest.subspan(4);
      if (rest.size() < size) return Unexpected();
      out.record = AsText(rest.first(size));
      rest = rest.subspan(size);
      while (!rest.empty()) {
        if (rest.size() < kTextPrefixBytes) return Unexpected();
        const size_t text = ReadBig<uint32_t>(rest.subspan(SaltedText::kSaltBytes));
        if (rest.size() - kTextPrefixBytes < text) return Unexpected();
        out.texts.push_back(
            {.salt = rest.first(SaltedText::kSaltBytes), .text = AsText(rest.subspan(kTextPrefixBytes, text))});
        rest = rest.subspan(kTextPrefixBytes + text);
      }
      return Ok();
    }
    case static_cast<uint8_t>(FrameType::kInstanceEnded):
      out.type = FrameType::kInstanceEnded;
      if (rest.size() < 8) return Unexpected();
      out.count = ReadBig<uint64_t>(rest);
      out.instance = AsText(rest.subspan(8));
      return InstanceId::Parse(out.instance).ok() ? Ok() : Status(Unexpected());
    case static_cast<uint8_t>(FrameType::kEnd):
      out.type = FrameType::kEnd;
      return rest.empty() ? Ok() : Status(Unexpected());
    default: return Unexpected();
  }
}

JournalReader::JournalReader(runtime::UniqueFd fd, JournalHeader header, crypto::AeadStream stream)
    : fd_(std::move(fd)),
      header_(std::move(header)),
      stream_(std::move(stream)),
      position_{.offset = header_.size, .counter = 0, .chain = header_.chain} {}

Result<JournalReader> JournalReader::Open(const std::string& path, const crypto::Secret& master) {
  runtime::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return ErrnoError("open journal " + path, errno);
  std::array<uint8_t, JournalHeader::kMaxBytes> bytes;
  const ssize_t n = ::pread(fd.get(), bytes.data(), bytes.size(), 0);
  if (n < 0) return ErrnoError("read journal " + path, errno);
  ASSIGN_OR_RETURN(JournalHeader header, JournalHeader::Parse({bytes.data(), static_cast<size_t>(n)}));
  ASSIGN_OR_RETURN(crypto::AeadStream stream, crypto::AeadStream::ForOpening(header.Key(master)));
  return JournalReader(std::move(fd), std::move(header), std::move(stream));
}

Result<JournalReader> JournalReader::OpenAt(const std::string& path, const crypto::Secret& master,
                                            const JournalPosition& at) {
  ASSIGN_OR_RETURN(JournalReader reader, Open(path, master));
  if (at.offset == 0) return reader;
  struct stat info = {};
  if (::fstat(reader.fd_.get(), &info) != 0) return ErrnoError("read journal " + path, errno);
  if (at.offset < reader.header_.size || at.offset > static_cast<uint64_t>(info.st_size)) {
    return Error(ErrorCode::kDataLoss, "the journal was cut before frame " + std::to_string(at.counter + 1));
  }
  reader.position_ = at;
  return reader;
}

JournalReader::Loan::~Loan() {
  Swap();
  // A frame may be larger than most ever are.
  if (buffer_.size() > kReadBytes) buffer_ = Bytes(kReadBytes);
  reader_.plaintext_ = Bytes();
}

Status JournalReader::Fill() {
  // Bytes of an unfinished frame are read anew each time: its writer may have taken them back and written others.
  begin_ = end_ = 0;
  if (buffer_.size() < kReadBytes) buffer_.resize(kReadBytes);
  size_t wanted = kReadBytes;
  while (end_ < wanted) {
    const ssize_t n =
        ::pread(fd_.get(), buffer_.data() + end_, wanted - end_, static_cast<off_t>(position_.offset + end_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read journal", errno);
    if (n == 0) break;
    end_ += static_cast<size_t>(n);
    if (end_ >= 4) {
      const size_t frame = size_t{4} + ReadBig<uint32_t>(buffer_);
      if (frame > wanted && frame <= limits::kMaxJournalFrameBytes) {
        wanted = frame;
        if (buffer_.size() < wanted) buffer_.resize(wanted);
      }
    }
  }
  return Ok();
}

Result<bool> JournalReader::OpenFront() {
  const ByteView bytes(buffer_.data() + begin_, end_ - begin_);
  if (bytes.size() < kFramePrefixBytes) return false;
  const size_t size = size_t{4} + ReadBig<uint32_t>(bytes);
  const uint64_t counter = ReadBig<uint64_t>(bytes.subspan(4));
  if (size < kFrameOverheadBytes || size > limits::kMaxJournalFrameBytes || counter <= position_.counter)
    return Damaged(position_);
  if (bytes.size() < size) return false;
  std::array<uint8_t, kChainBytes + kFramePrefixBytes> aad;
  std::copy(position_.chain.begin(), position_.chain.end(), aad.begin());
  std::copy_n(bytes.begin(), kFramePrefixBytes, aad.begin() + kChainBytes);
  plaintext_.resize(size - kFrameOverheadBytes);
  if (!stream_.Open(counter, aad, bytes.subspan(kFramePrefixBytes, size - kFramePrefixBytes), plaintext_))
    return Damaged(position_);
  frame_.counter = counter;
  position_.offset += size;
  position_.counter = counter;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(size - kChainBytes), kChainBytes, position_.chain.begin());
  begin_ += size;
  return true;
}

Result<const JournalFrame*> JournalReader::Next() {
  if (ended_) return nullptr;
  Result<bool> opened = OpenFront();
  if (!opened.ok() || !*opened) {
    // Nothing whole in the buffer, or something odd that a fresh read may put right: a frame was taken back under it.
    RETURN_IF_ERROR(Fill());
    opened = OpenFront();
  }
  if (!opened.ok()) return opened.error();
  if (!*opened) return nullptr;
  RETURN_IF_ERROR(ParseFrame(plaintext_, frame_));
  ended_ = frame_.type == FrameType::kEnd;
  return &frame_;
}

bool JournalReader::WriterGone() const {
  if (::flock(fd_.get(), LOCK_SH | LOCK_NB) != 0) return false;
  ::flock(fd_.get(), LOCK_UN);
  return true;
}

Result<uint64_t> JournalReader::BytesBehind() const {
  struct stat info = {};
  if (::fstat(fd_.get(), &info) != 0) return ErrnoError("stat journal", errno);
  const auto size = static_cast<uint64_t>(info.st_size);
  return size > position_.offset ? size - position_.offset : 0;
}

}  // namespace hexr::ledger
