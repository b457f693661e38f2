#include "ledger/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "ledger/big_endian.h"
#include "ledger/types.h"

namespace hexr::ledger {

namespace {

constexpr std::string_view kMagic = "hexrjnl1";
constexpr size_t kIdBytes = 16;
constexpr size_t kFixedBytes = 8 + kIdBytes + 8 + 1;

}  // namespace

Result<JournalHeader> JournalHeader::Parse(ByteView bytes) {
  if (bytes.size() < kFixedBytes) return OutOfRange("a journal's header is cut");
  if (!AsText(bytes).starts_with(kMagic)) return InvalidArgument("not a journal");
  const size_t label = bytes[kFixedBytes - 1];
  if (bytes.size() < kFixedBytes + label) return OutOfRange("a journal's header is cut");
  JournalHeader header;
  header.size = kFixedBytes + label;
  header.writer = HexEncode(bytes.subspan(kMagic.size(), Record::kWriterBytes / 2));
  header.created =
      WallTime{std::chrono::nanoseconds(static_cast<int64_t>(ReadBig<uint64_t>(bytes.subspan(8 + kIdBytes))))};
  header.label = AsText(bytes.subspan(kFixedBytes, label));
  if (!header.label.empty() && !PublicName::Parse(header.label).ok())
    return InvalidArgument("a journal's label is not a name");
  header.salt = crypto::Sha256(bytes.first(header.size));
  std::copy_n(header.salt.begin(), kChainBytes, header.chain.begin());
  return header;
}

crypto::Secret JournalHeader::Key(const crypto::Secret& master) const {
  return crypto::HkdfSha256(master, salt, "hexr journal v1", 32);
}

Result<NewJournal> CreateJournal(const std::string& path, std::string_view label, const crypto::Secret& master,
                                 const Clock& clock, Random& random) {
  if (label.size() > 255 || !PublicName::Parse(label).ok())
    return InvalidArgument("a journal's label is a name of at most 255 bytes");
  Bytes bytes = ToBytes(kMagic);
  bytes.resize(bytes.size() + kIdBytes);
  random.Fill(std::span(bytes).last(kIdBytes));
  AppendBig(bytes, static_cast<uint64_t>(clock.Wall().time_since_epoch().count()));
  bytes.push_back(static_cast<uint8_t>(label.size()));
  bytes.insert(bytes.end(), label.begin(), label.end());
  ASSIGN_OR_RETURN(const JournalHeader header, JournalHeader::Parse(bytes));

  NewJournal journal{
      .fd = runtime::UniqueFd(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)),
      .ticket = {.writer = header.writer, .key = header.Key(master), .chain = header.chain}};
  if (!journal.fd) return ErrnoError("make journal " + path, errno);
  if (::flock(journal.fd.get(), LOCK_EX | LOCK_NB) != 0) return ErrnoError("lock journal " + path, errno);
  const ssize_t n = ::write(journal.fd.get(), bytes.data(), bytes.size());
  if (n < 0 || ::fsync(journal.fd.get()) != 0) return ErrnoError("write journal " + path, errno);
  if (static_cast<size_t>(n) != bytes.size()) return ResourceExhausted("write journal " + path + ": cut");
  const runtime::UniqueFd folder(
      ::open(path.substr(0, path.rfind('/') + 1).c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return ErrnoError("sync folder of " + path, errno);
  return journal;
}

}  // namespace hexr::ledger
