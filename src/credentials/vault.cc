#include "credentials/vault.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits/storage.h"

namespace hexr::credentials {
namespace {

using crypto::AeadKey;
using crypto::RevealToken;
using crypto::Secret;
using crypto::Sha256Digest;
using store::Database;
using store::Statement;
using store::Transaction;

constexpr store::Migration kMigrations[] = {
    {1,
     "CREATE TABLE vault (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL, index_key BLOB NOT NULL) STRICT;"
     "CREATE TABLE tenant (digest BLOB PRIMARY KEY, name BLOB NOT NULL, wrapped_key BLOB NOT NULL, name_key BLOB NOT "
     "NULL)"
     " STRICT, WITHOUT ROWID;"
     "CREATE TABLE secret (tenant BLOB NOT NULL REFERENCES tenant(digest), digest BLOB NOT NULL, version INTEGER NOT "
     "NULL,"
     " name BLOB NOT NULL, data_key BLOB NOT NULL, value BLOB NOT NULL, created_ns INTEGER NOT NULL,"
     " PRIMARY KEY (tenant, digest, version)) STRICT, WITHOUT ROWID;"},
};

std::string IndexContext(ByteView vault_id) { return "hexr vault index key v1 " + HexEncode(vault_id); }

int64_t ToNs(WallTime t) { return t.time_since_epoch().count(); }
WallTime FromNs(int64_t ns) { return WallTime(std::chrono::nanoseconds(ns)); }

Sha256Digest NameDigest(const Secret& name_key, std::string_view name) {
  return crypto::HmacSha256(name_key.Reveal(RevealToken::For("digest of a secret's name")), AsBytes(name));
}

Result<Secret> OpenRow(const AeadKey& key, ByteView sealed, std::string_view context) {
  Result<Secret> opened = key.Open(sealed, context);
  // Under another key of ours means: another tenant's row.
  if (!opened.ok()) return DataLoss("vault: a row was changed, or belongs elsewhere");
  return opened;
}

}  // namespace

Result<VaultName> VaultName::Parse(std::string_view text) {
  if (text.size() > limits::kMaxVaultNameBytes) return InvalidArgument("secret name: too long");
  size_t segments = 0;
  for (std::string_view rest = text;;) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    if (const auto segment = IdSegment::Parse(rest.substr(0, slash)); !segment.ok()) {
      return InvalidArgument("secret name: segments of letters, digits, '.', '-' and '_' with '/' between them");
    }
    if (++segments > limits::kMaxVaultNameSegments) return InvalidArgument("secret name: too many segments");
    if (slash == rest.size()) break;
    rest.remove_prefix(slash + 1);
  }
  return VaultName(std::string(text));
}

Vault::Vault(Database db, std::array<uint8_t, 16> id, AeadKey machine_key, Secret index_key,
             const VaultOptions& options, const Clock& clock, Random& random)
    : db_(std::move(db)),
      id_(id),
      machine_key_(std::move(machine_key)),
      index_key_(std::move(index_key)),
      max_secrets_(options.max_secrets_per_tenant),
      clock_(&clock),
      random_(&random) {}

Result<Vault> Vault::Open(const VaultOptions& options, const AeadKey& machine_key, const Clock& clock, Random& random) {
  ASSIGN_OR_RETURN(Database db, Database::Open(options.database, kMigrations));
  ASSIGN_OR_RETURN(AeadKey key, AeadKey::FromSecret(machine_key.key().Clone()));
  std::array<uint8_t, 16> id{};
  Secret index_key;
  {
    ASSIGN_OR_RETURN(Statement s, db.Prepare("SELECT id, index_key FROM vault WHERE one = 1"));
    ASSIGN_OR_RETURN(const bool row, s.Step());
    if (row) {
      if (s.Blob(0).size() != id.size()) return DataLoss("vault: broken header");
      std::ranges::copy(s.Blob(0), id.begin());
      Result<Secret> opened = machine_key.Open(s.Blob(1), IndexContext(id));
      if (!opened.ok()) return opened.error().WithContext("vault under this machine key");
      index_key = std::move(opened).value();
    }
  }
  if (index_key.empty()) {
    random.Fill(id);
    index_key = Secret::Random(32, random);
    ASSIGN_OR_RETURN(Statement s, db.Prepare("INSERT INTO vault (one, id, index_key) VALUES (1, ?1, ?2)"));
    RETURN_IF_ERROR(s.Bind(1, id).Bind(2, machine_key.Seal(index_key, IndexContext(id), random)).Run());
  }
  return Vault(std::move(db), id, std::move(key), std::move(index_key), options, clock, random);
}

// Names hold no space, so that the text is one-to-one with its parts.
std::string Vault::Context(std::string_view what, const IdSegment& tenant, std::string_view name,
                           uint32_t version) const {
  return fmt::format("hexr vault {} v1 {} {} {} {}", what, HexEncode(id_), tenant.value(), name, version);
}

Sha256Digest Vault::TenantDigest(std::string_view tenant) const {
  return crypto::HmacSha256(index_key_.Reveal(RevealToken::For("digest of a tenant's name")), AsBytes(tenant));
}

Result<std::optional<Vault::Tenant>> Vault::FindTenant(const IdSegment& tenant) {
  const Sha256Digest digest = TenantDigest(tenant.value());
  ASSIGN_OR_RETURN(Statement s, db_.Prepare("SELECT wrapped_key, name_key FROM tenant WHERE digest = ?1"));
  ASSIGN_OR_RETURN(const bool found, s.Bind(1, digest).Step());
  if (!found) return std::optional<Tenant>();
  ASSIGN_OR_RETURN(Secret raw, OpenRow(machine_key_, s.Blob(0), Context("tenant key", tenant)));
  ASSIGN_OR_RETURN(AeadKey key, AeadKey::FromSecret(std::move(raw)));
  ASSIGN_OR_RETURN(Secret name_key, OpenRow(key, s.Blob(1), Context("name key", tenant)));
  return std::optional<Tenant>(Tenant{digest, std::move(key), std::move(name_key)});
}

Result<Vault::Tenant> Vault::NeedTenant(const IdSegment& tenant) {
  ASSIGN_OR_RETURN(std::optional<Tenant> found, FindTenant(tenant));
  if (!found.has_value()) return NotFound("vault: no such secret; see `hexr vault list`");
  return std::move(*found);
}

Result<Vault::Tenant> Vault::MakeTenant(const IdSegment& tenant) {
  Tenant made{TenantDigest(tenant.value()), AeadKey::Generate(*random_), Secret::Random(32, *random_)};
  ASSIGN_OR_RETURN(Statement s,
                   db_.Prepare("INSERT INTO tenant (digest, name, wrapped_key, name_key) VALUES (?1, ?2, ?3, ?4)"));
  RETURN_IF_ERROR(s.Bind(1, made.digest)
                      .Bind(2, machine_key_.Seal(AsBytes(tenant.value()), IndexContext(id_) + " tenant", *random_))
                      .Bind(3, machine_key_.Seal(made.key.key(), Context("tenant key", tenant), *random_))
                      .Bind(4, made.key.Seal(made.name_key, Context("name key", tenant), *random_))
                      .Run());
  return made;
}

Result<uint32_t> Vault::Put(const IdSegment& tenant, const VaultName& name, const Secret& value, size_t quota) {
  if (value.empty() || value.size() > limits::kMaxVaultValueBytes) {
    return InvalidArgument("vault: a value has 1 byte to 64 KiB");
  }
  ASSIGN_OR_RETURN(Transaction transaction, db_.Begin());
  ASSIGN_OR_RETURN(std::optional<Tenant> found, FindTenant(tenant));
  if (!found.has_value()) {
    ASSIGN_OR_RETURN(found, MakeTenant(tenant));
  }
  const Tenant& t = *found;
  const Sha256Digest digest = NameDigest(t.name_key, name.value());

  ASSIGN_OR_RETURN(Statement last, db_.Prepare("SELECT max(version) FROM secret WHERE tenant = ?1 AND digest = ?2"));
  RETURN_IF_ERROR(last.Bind(1, t.digest).Bind(2, digest).Step());
  const int64_t version = last.Int(0) + 1;
  last.Reset();
  if (version > UINT32_MAX) return ResourceExhausted("vault: no version number is left for this secret");
  if (version == 1) {
    ASSIGN_OR_RETURN(Statement count, db_.Prepare("SELECT count(DISTINCT digest) FROM secret WHERE tenant = ?1"));
    RETURN_IF_ERROR(count.Bind(1, t.digest).Step());
    if (static_cast<size_t>(count.Int(0)) >= std::min(max_secrets_, quota)) {
      return ResourceExhausted("vault: this tenant has all the secrets it may have");
    }
  }

  const auto number = static_cast<uint32_t>(version);
  const AeadKey data_key = AeadKey::Generate(*random_);
  ASSIGN_OR_RETURN(Statement in,
                   db_.Prepare("INSERT INTO secret (tenant, digest, version, name, data_key, value, created_ns)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
  RETURN_IF_ERROR(
      in.Bind(1, t.digest)
          .Bind(2, digest)
          .Bind(3, version)
          .Bind(4, t.key.Seal(AsBytes(name.value()), Context("name", tenant, HexEncode(digest), number), *random_))
          .Bind(5, t.key.Seal(data_key.key(), Context("data key", tenant, name.value(), number), *random_))
          .Bind(6, data_key.Seal(value, Context("value", tenant, name.value(), number), *random_))
          .Bind(7, ToNs(clock_->Wall()))
          .Run());
  ASSIGN_OR_RETURN(Statement trim,
                   db_.Prepare("DELETE FROM secret WHERE tenant = ?1 AND digest = ?2 AND version <= ?3"));
  RETURN_IF_ERROR(
      trim.Bind(1, t.digest).Bind(2, digest).Bind(3, version - static_cast<int64_t>(limits::kMaxVaultVersions)).Run());
  const bool trimmed = db_.changes() > 0;
  RETURN_IF_ERROR(transaction.Commit());
  if (trimmed) RETURN_IF_ERROR(db_.ForgetDeleted());
  return number;
}

Result<VaultSecret> Vault::Get(const IdSegment& tenant, const VaultName& name, std::optional<uint32_t> version) {
  ASSIGN_OR_RETURN(const Tenant t, NeedTenant(tenant));
  ASSIGN_OR_RETURN(
      Statement s,
      db_.Prepare("SELECT version, data_key, value, created_ns FROM secret WHERE tenant = ?1 AND digest = ?2"
                  " AND (?3 = 0 OR version = ?3) ORDER BY version DESC LIMIT 1"));
  ASSIGN_OR_RETURN(
      const bool found,
      s.Bind(1, t.digest).Bind(2, NameDigest(t.name_key, name.value())).Bind(3, int64_t{version.value_or(0)}).Step());
  if (!found || version == 0U) return NotFound("vault: no such secret; see `hexr vault list`");
  const auto number = static_cast<uint32_t>(s.Int(0));
  ASSIGN_OR_RETURN(Secret raw, OpenRow(t.key, s.Blob(1), Context("data key", tenant, name.value(), number)));
  ASSIGN_OR_RETURN(const AeadKey data_key, AeadKey::FromSecret(std::move(raw)));
  ASSIGN_OR_RETURN(Secret value, OpenRow(data_key, s.Blob(2), Context("value", tenant, name.value(), number)));
  return VaultSecret{std::move(value), number, FromNs(s.Int(3))};
}

Result<std::vector<VaultEntry>> Vault::List(const IdSegment& tenant, std::string_view prefix) {
  std::vector<VaultEntry> entries;
  ASSIGN_OR_RETURN(const std::optional<Tenant> t, FindTenant(tenant));
  if (!t.has_value()) return entries;
  // The other columns are those of the row with the highest version: SQLite's rule for a lone max().
  ASSIGN_OR_RETURN(
      Statement s,
      db_.Prepare(
          "SELECT digest, max(version), count(*), name, created_ns FROM secret WHERE tenant = ?1 GROUP BY digest"));
  s.Bind(1, t->digest);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) break;
    const auto version = static_cast<uint32_t>(s.Int(1));
    ASSIGN_OR_RETURN(const Secret text,
                     OpenRow(t->key, s.Blob(3), Context("name", tenant, HexEncode(s.Blob(0)), version)));
    ASSIGN_OR_RETURN(VaultName name,
                     VaultName::Parse(text.RevealText(RevealToken::For("name of a secret, for its tenant"))));
    const std::string& v = name.value();
    if (!prefix.empty() && !(v.starts_with(prefix) && (v.size() == prefix.size() || v[prefix.size()] == '/'))) continue;
    entries.push_back({std::move(name), version, static_cast<uint32_t>(s.Int(2)), FromNs(s.Int(4))});
  }
  std::ranges::sort(entries, {}, &VaultEntry::name);
  return entries;
}

Status Vault::Delete(const IdSegment& tenant, const VaultName& name) {
  ASSIGN_OR_RETURN(const Tenant t, NeedTenant(tenant));
  ASSIGN_OR_RETURN(Statement s, db_.Prepare("DELETE FROM secret WHERE tenant = ?1 AND digest = ?2"));
  RETURN_IF_ERROR(s.Bind(1, t.digest).Bind(2, NameDigest(t.name_key, name.value())).Run());
  if (db_.changes() == 0) return NotFound("vault: no such secret; see `hexr vault list`");
  return db_.ForgetDeleted();
}

Status Vault::DeleteTenant(const IdSegment& tenant) {
  const Sha256Digest digest = TenantDigest(tenant.value());
  ASSIGN_OR_RETURN(Transaction transaction, db_.Begin());
  for (const char* sql : {"DELETE FROM secret WHERE tenant = ?1", "DELETE FROM tenant WHERE digest = ?1"}) {
    ASSIGN_OR_RETURN(Statement s, db_.Prepare(sql));
    RETURN_IF_ERROR(s.Bind(1, digest).Run());
  }
  RETURN_IF_ERROR(transaction.Commit());
  return db_.ForgetDeleted();
}

Status Vault::RotateTenantKey(const IdSegment& tenant) {
  ASSIGN_OR_RETURN(Transaction transaction, db_.Begin());
  ASSIGN_OR_RETURN(const Tenant old, NeedTenant(tenant));
  const AeadKey fresh = AeadKey::Generate(*random_);
  {
    ASSIGN_OR_RETURN(Statement s, db_.Prepare("UPDATE tenant SET wrapped_key = ?2, name_key = ?3 WHERE digest = ?1"));
    RETURN_IF_ERROR(s.Bind(1, old.digest)
                        .Bind(2, machine_key_.Seal(fresh.key(), Context("tenant key", tenant), *random_))
                        .Bind(3, fresh.Seal(old.name_key, Context("name key", tenant), *random_))
                        .Run());
  }
  ASSIGN_OR_RETURN(Statement rows, db_.Prepare("SELECT digest, version, name, data_key FROM secret WHERE tenant = ?1"));
  ASSIGN_OR_RETURN(
      Statement update,
      db_.Prepare("UPDATE secret SET name = ?4, data_key = ?5 WHERE tenant = ?1 AND digest = ?2 AND version = ?3"));
  // Collected first: a statement does not read what another one changes.
  struct Row {
    Bytes digest, name, data_key;
    uint32_t version;
  };
  std::vector<Row> all;
  rows.Bind(1, old.digest);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) break;
    const auto copy = [&rows](int column) { return Bytes(rows.Blob(column).begin(), rows.Blob(column).end()); };
    all.push_back({copy(0), copy(2), copy(3), static_cast<uint32_t>(rows.Int(1))});
  }
  for (const Row& row : all) {
    const std::string name_context = Context("name", tenant, HexEncode(row.digest), row.version);
    ASSIGN_OR_RETURN(const Secret name, OpenRow(old.key, row.name, name_context));
    const std::string key_context = Context(
        "data key", tenant, name.RevealText(RevealToken::For("name of a secret, to seal its key again")), row.version);
    ASSIGN_OR_RETURN(const Secret data_key, OpenRow(old.key, row.data_key, key_context));
    RETURN_IF_ERROR(update.Bind(1, old.digest)
                        .Bind(2, row.digest)
                        .Bind(3, int64_t{row.version})
                        .Bind(4, fresh.Seal(name, name_context, *random_))
                        .Bind(5, fresh.Seal(data_key, key_context, *random_))
                        .Run());
  }
  return transaction.Commit();
}

}  // namespace hexr::credentials
