#include "keeper/out_certificates.h"

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "hexr/identity/v1/out_certificates.pb.h"

namespace hexr::keeper {
namespace {

namespace pb = ::hexr::identity::v1;

// The first four are of releases that kept these rows in plain text.
constexpr store::Migration kMigrations[] = {
    {1,
     "CREATE TABLE certificate (serial BLOB PRIMARY KEY, process TEXT NOT NULL, spiffe_id TEXT NOT NULL,"
     " authority TEXT NOT NULL, not_after INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT "
     "ROWID;"},
    {2, "ALTER TABLE certificate ADD COLUMN instance TEXT;"},
    {3, "ALTER TABLE certificate ADD COLUMN revoked_at INTEGER;"},
    {4, "CREATE INDEX certificate_end ON certificate (not_after);"},
    {5,
     "CREATE TABLE issued (digest BLOB PRIMARY KEY, not_after INTEGER NOT NULL, row BLOB NOT NULL) STRICT, WITHOUT "
     "ROWID;"
     "CREATE INDEX issued_end ON issued (not_after);"
     "CREATE TABLE revoked (digest BLOB PRIMARY KEY, row BLOB NOT NULL) STRICT, WITHOUT ROWID;"
     "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), row BLOB NOT NULL) STRICT;"},
};
constexpr uint64_t kAddsBetweenSweeps = 1024;
constexpr char kHeadPlace[] = "hexr out head v1";

int64_t ToUnix(WallTime t) { return std::chrono::ceil<std::chrono::seconds>(t.time_since_epoch()).count(); }
WallTime FromUnix(int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

// What a row is sealed for.
std::string PlaceOfRow(ByteView digest, int64_t not_after) {
  return "hexr out certificate v1 " + std::string(AsText(digest)) + " " + std::to_string(not_after);
}
std::string PlaceOfRevocation(ByteView digest) { return "hexr out revocation v1 " + std::string(AsText(digest)); }

template <class Message>
Result<Message> Opened(const crypto::AeadKey& key, ByteView row, const std::string& place) {
  ASSIGN_OR_RETURN(const crypto::Secret text, key.Open(row, place));
  Message m;
  const ByteView bytes = text.Reveal(crypto::RevealToken::For("row of a certificate that is out, not secret"));
  if (!m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return DataLoss("malformed row");
  return m;
}

}  // namespace

Result<OutCertificates> OutCertificates::Open(const std::string& path, crypto::Secret key, const Clock& clock,
                                              Random& random) {
  ASSIGN_OR_RETURN(store::Database db,
                   store::Database::Open({path, std::nullopt, /*commits_are_with_the_kernel=*/true}, kMigrations));
  ASSIGN_OR_RETURN(store::Statement add, db.Prepare("INSERT INTO issued (digest, not_after, row) VALUES (?1, ?2, ?3)"));
  ASSIGN_OR_RETURN(store::Statement revoke,
                   db.Prepare("INSERT INTO revoked (digest, row) SELECT digest, ?2 FROM issued WHERE digest = ?1"
                              " ON CONFLICT DO NOTHING"));
  ASSIGN_OR_RETURN(store::Statement set_head, db.Prepare("INSERT OR REPLACE INTO head (one, row) VALUES (1, ?1)"));
  crypto::Secret serial_key = crypto::HkdfSha256(key, {}, "hexr out serials v1", 32);
  ASSIGN_OR_RETURN(crypto::AeadKey seal, crypto::AeadKey::FromSecret(std::move(key)));
  return OutCertificates(path, std::move(db), {std::move(add), std::move(revoke), std::move(set_head)}, std::move(seal),
                         std::move(serial_key), clock, random);
}

crypto::Sha256Digest OutCertificates::DigestOf(ByteView serial) const {
  return crypto::HmacSha256(serial_key_.Reveal(crypto::RevealToken::For("digest of a serial number")), serial);
}

Error OutCertificates::Changed(std::string_view what) const {
  return DataLoss(path_ + " was changed by somebody else: " + std::string(what) +
                  ". Move it away, for whoever looks into that; then nothing that was issued before can be revoked by "
                  "itself: void its authority (`hexr authority rotate`, `revoke`)");
}

Status OutCertificates::Add(const identity::OutCertificate& c) {
  HEXR_CHECK(loaded_);
  if (++added_ % kAddsBetweenSweeps == 0) RETURN_IF_ERROR(RemoveEnded());
  pb::OutRow row;
  row.set_number(head_.last + 1);
  row.set_serial(c.serial.data(), c.serial.size());
  row.set_process(c.process);
  row.set_spiffe_id(c.id.ToString());
  row.set_authority(c.authority_id);
  if (c.instance) row.set_instance(c.instance->value());
  const crypto::Sha256Digest digest = DigestOf(c.serial);
  const int64_t not_after = ToUnix(c.not_after);
  RETURN_IF_ERROR(statements_.add.Bind(1, digest)
                      .Bind(2, not_after)
                      .Bind(3, key_.Seal(AsBytes(row.SerializeAsString()), PlaceOfRow(digest, not_after), *random_))
                      .Run());
  ++head_.last;
  return Ok();
}

Status OutCertificates::Revoked(ByteView serial, WallTime at) {
  HEXR_CHECK(loaded_);
  pb::OutRevocation row;
  row.set_at_unix(ToUnix(at));
  const crypto::Sha256Digest digest = DigestOf(serial);
  ASSIGN_OR_RETURN(store::Transaction both, db_.Begin());
  RETURN_IF_ERROR(statements_.revoke.Bind(1, digest)
                      .Bind(2, key_.Seal(AsBytes(row.SerializeAsString()), PlaceOfRevocation(digest), *random_))
                      .Run());
  if (db_.changes() == 0) return Ok();  // it is not out, or was revoked before
  Head head = head_;
  ++head.revocations;
  RETURN_IF_ERROR(WriteHead(head));
  RETURN_IF_ERROR(both.Commit());
  head_ = head;
  return Ok();
}

Status OutCertificates::WriteHead(const Head& head) {
  pb::OutHead row;
  row.set_removed(head.removed);
  row.set_removed_until_unix(head.removed_until);
  row.set_removed_last(head.removed_last);
  row.set_last(head.last);
  row.set_revocations(head.revocations);
  return statements_.set_head.Bind(1, key_.Seal(AsBytes(row.SerializeAsString()), kHeadPlace, *random_)).Run();
}

Result<std::optional<OutCertificates::Head>> OutCertificates::ReadHead() {
  ASSIGN_OR_RETURN(store::Statement s, db_.Prepare("SELECT row FROM head WHERE one = 1"));
  ASSIGN_OR_RETURN(const bool there, s.Step());
  if (!there) return std::optional<Head>();
  auto row = Opened<pb::OutHead>(key_, s.Blob(0), kHeadPlace);
  if (!row.ok() && row.error().code() == ErrorCode::kFailedPrecondition) return row.error().WithContext(path_);
  if (!row.ok()) return Changed("its head does not open");
  return std::optional(
      Head{row->removed(), row->removed_until_unix(), row->removed_last(), row->last(), row->revocations()});
}

Status OutCertificates::RemoveEnded() {
  const int64_t now = ToUnix(clock_->Wall());
  Head head = head_;
  ASSIGN_OR_RETURN(store::Transaction all, db_.Begin());
  ASSIGN_OR_RETURN(
      store::Statement revoked,
      db_.Prepare("DELETE FROM revoked WHERE digest IN (SELECT digest FROM issued WHERE not_after <= ?1)"));
  RETURN_IF_ERROR(revoked.Bind(1, now).Run());
  head.revocations -= static_cast<uint64_t>(db_.changes());
  ASSIGN_OR_RETURN(store::Statement issued, db_.Prepare("DELETE FROM issued WHERE not_after <= ?1"));
  RETURN_IF_ERROR(issued.Bind(1, now).Run());
  head.removed += static_cast<uint64_t>(db_.changes());
  head.removed_until = now;
  head.removed_last = head.last;
  RETURN_IF_ERROR(WriteHead(head));
  RETURN_IF_ERROR(all.Commit());
  head_ = head;
  return Ok();
}

// Every row, each as it was left and none missing: head_ from then on.
Result<std::vector<identity::OutCertificate>> OutCertificates::ReadAll() {
  ASSIGN_OR_RETURN(const std::optional<Head> head, ReadHead());
  std::vector<identity::OutCertificate> out;
  std::vector<uint64_t> numbers;
  uint64_t revocations = 0;
  ASSIGN_OR_RETURN(store::Statement all,
                   db_.Prepare("SELECT issued.digest, issued.not_after, issued.row, revoked.row FROM issued"
                               " FULL JOIN revoked ON issued.digest = revoked.digest"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, all.Step());
    if (!more) break;
    if (all.IsNull(0)) return Changed("a revocation has lost its certificate");
    const ByteView digest = all.Blob(0);
    const int64_t not_after = all.Int(1);
    const auto row = Opened<pb::OutRow>(key_, all.Blob(2), PlaceOfRow(digest, not_after));
    if (!row.ok()) return Changed("a row does not open");
    if (head && not_after <= head->removed_until && row->number() <= head->removed_last)
      return Changed("a row that was removed is back");
    numbers.push_back(row->number());
    ASSIGN_OR_RETURN(SpiffeId id, SpiffeId::Parse(row->spiffe_id()));
    identity::OutCertificate c{row->process(), std::move(id), Bytes(row->serial().begin(), row->serial().end()),
                               FromUnix(not_after), row->authority()};
    if (!row->instance().empty()) {
      ASSIGN_OR_RETURN(c.instance, InstanceId::Parse(row->instance()));
    }
    if (!all.IsNull(3)) {
      const auto revoked = Opened<pb::OutRevocation>(key_, all.Blob(3), PlaceOfRevocation(digest));
      if (!revoked.ok()) return Changed("a revocation does not open");
      c.revoked = true;
      c.revoked_at = FromUnix(revoked->at_unix());
      ++revocations;
    }
    out.push_back(std::move(c));
  }
  if (!head && !out.empty()) return Changed("its head is missing");
  head_ = head.value_or(Head{});
  std::ranges::sort(numbers);
  if (std::ranges::adjacent_find(numbers) != numbers.end()) return Changed("a row is there twice");
  if (!numbers.empty()) head_.last = std::max(head_.last, numbers.back());
  if (numbers.size() + head_.removed != head_.last) return Changed("a row is missing");
  if (revocations != head_.revocations) return Changed("a revocation is missing");
  return out;
}

// From releases before migration 5.
Result<bool> OutCertificates::TakeOverPlainRows() {
  ASSIGN_OR_RETURN(store::Statement any, db_.Prepare("SELECT EXISTS (SELECT 1 FROM certificate)"));
  ASSIGN_OR_RETURN(const bool answered, any.Step());
  if (!answered || any.Int(0) == 0) return false;
  any.Reset();
  {
    ASSIGN_OR_RETURN(store::Statement all, db_.Prepare("SELECT serial, process, spiffe_id, authority, not_after,"
                                                       " revoked, instance, revoked_at FROM certificate"));
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, all.Step());
      if (!more) break;
      ASSIGN_OR_RETURN(SpiffeId id, SpiffeId::Parse(all.Text(2)));
      const ByteView serial = all.Blob(0);
      identity::OutCertificate c{std::string(all.Text(1)), std::move(id), Bytes(serial.begin(), serial.end()),
                                 FromUnix(all.Int(4)), std::string(all.Text(3))};
      if (!all.IsNull(6)) {
        ASSIGN_OR_RETURN(c.instance, InstanceId::Parse(all.Text(6)));
      }
      // A start that was cut off here has some of them already.
      if (const Status added = Add(c); !added.ok() && added.error().code() != ErrorCode::kAlreadyExists)
        return added.error();
      if (all.Int(5) != 0) RETURN_IF_ERROR(Revoked(c.serial, all.IsNull(7) ? clock_->Wall() : FromUnix(all.Int(7))));
    }
  }
  RETURN_IF_ERROR(db_.Execute("DELETE FROM certificate"));
  RETURN_IF_ERROR(db_.ForgetDeleted());
  return true;
}

Result<std::vector<identity::OutCertificate>> OutCertificates::Load() {
  ASSIGN_OR_RETURN(std::vector<identity::OutCertificate> out, ReadAll());
  RETURN_IF_ERROR(WriteHead(head_));  // from now on rows without one are none of ours
  loaded_ = true;
  ASSIGN_OR_RETURN(const bool more, TakeOverPlainRows());
  RETURN_IF_ERROR(RemoveEnded());
  if (more) {
    ASSIGN_OR_RETURN(out, ReadAll());
  }
  std::erase_if(out, [&](const identity::OutCertificate& c) { return ToUnix(c.not_after) <= head_.removed_until; });
  std::ranges::sort(out, {}, [](const identity::OutCertificate& c) { return std::tie(c.process, c.not_after); });
  return out;
}

}  // namespace hexr::keeper
