#include "keeper/out_certificates.h"

#include <chrono>

namespace hexr::keeper {
namespace {

constexpr store::Migration kMigrations[] = {
    {1,
     "CREATE TABLE certificate (serial BLOB PRIMARY KEY, process TEXT NOT NULL, spiffe_id TEXT NOT NULL,"
     " authority TEXT NOT NULL, not_after INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT "
     "ROWID;"},
    {2, "ALTER TABLE certificate ADD COLUMN instance TEXT;"},
    {3, "ALTER TABLE certificate ADD COLUMN revoked_at INTEGER;"},
    {4, "CREATE INDEX certificate_end ON certificate (not_after);"},
};
constexpr uint64_t kAddsBetweenSweeps = 1024;

int64_t ToUnix(WallTime t) { return std::chrono::ceil<std::chrono::seconds>(t.time_since_epoch()).count(); }

}  // namespace

Result<OutCertificates> OutCertificates::Open(const std::string& path, const Clock& clock) {
  ASSIGN_OR_RETURN(store::Database db,
                   store::Database::Open({path, std::nullopt, /*commits_are_with_the_kernel=*/true}, kMigrations));
  ASSIGN_OR_RETURN(store::Statement add,
                   db.Prepare("INSERT INTO certificate (serial, process, spiffe_id, authority, not_after, instance)"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
  ASSIGN_OR_RETURN(store::Statement revoke,
                   db.Prepare("UPDATE certificate SET revoked = 1, revoked_at = ?2 WHERE serial = ?1"));
  return OutCertificates(std::move(db), std::move(add), std::move(revoke), clock);
}

Status OutCertificates::Add(const identity::OutCertificate& c) {
  if (++added_ % kAddsBetweenSweeps == 0) RETURN_IF_ERROR(RemoveEnded());
  const std::string id = c.id.ToString();
  add_.Bind(1, ByteView(c.serial))
      .Bind(2, std::string_view(c.process))
      .Bind(3, std::string_view(id))
      .Bind(4, std::string_view(c.authority_id))
      .Bind(5, ToUnix(c.not_after));
  if (c.instance)
    add_.Bind(6, std::string_view(c.instance->value()));
  else
    add_.BindNull(6);
  return add_.Run();
}

Status OutCertificates::Revoked(ByteView serial, WallTime at) {
  return revoke_.Bind(1, serial).Bind(2, ToUnix(at)).Run();
}

Status OutCertificates::RemoveEnded() {
  ASSIGN_OR_RETURN(store::Statement remove, db_.Prepare("DELETE FROM certificate WHERE not_after <= ?1"));
  return remove.Bind(1, ToUnix(clock_->Wall())).Run();
}

Result<std::vector<identity::OutCertificate>> OutCertificates::Load() {
  RETURN_IF_ERROR(RemoveEnded());
  std::vector<identity::OutCertificate> out;
  ASSIGN_OR_RETURN(store::Statement all,
                   db_.Prepare("SELECT serial, process, spiffe_id, authority, not_after, revoked, instance, revoked_at"
                               " FROM certificate"
                               " ORDER BY process, not_after"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, all.Step());
    if (!row) return out;
    ASSIGN_OR_RETURN(SpiffeId id, SpiffeId::Parse(all.Text(2)));
    std::optional<InstanceId> instance;
    if (!all.IsNull(6)) {
      ASSIGN_OR_RETURN(instance, InstanceId::Parse(all.Text(6)));
    }
    std::optional<WallTime> revoked_at;
    if (!all.IsNull(7)) revoked_at = WallTime(std::chrono::seconds(all.Int(7)));
    const ByteView serial = all.Blob(0);
    out.push_back({std::string(all.Text(1)), std::move(id), Bytes(serial.begin(), serial.end()),
                   WallTime(std::chrono::seconds(all.Int(4))), std::string(all.Text(3)), std::move(instance),
                   all.Int(5) != 0, revoked_at});
  }
}

}  // namespace hexr::keeper
