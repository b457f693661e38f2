#include "store/sealed_store.h"

#include <algorithm>

#include "base/limits/storage.h"

namespace hexr::store {
namespace {

using crypto::AeadKey;
using crypto::RevealToken;
using crypto::Secret;

constexpr Migration kMigrations[] = {
    {1,
     "CREATE TABLE store (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL, wrapped_key BLOB NOT NULL) STRICT;"
     "CREATE TABLE sealed (collection TEXT NOT NULL, digest BLOB NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL,"
     " PRIMARY KEY (collection, digest)) STRICT, WITHOUT ROWID;"},
};

std::string KeyContext(ByteView store_id) { return "hexr store data key v1 " + HexEncode(store_id); }

}  // namespace

Result<SealedStore> SealedStore::Open(const DatabaseOptions& options, const AeadKey& machine_key, Random& random) {
  ASSIGN_OR_RETURN(Database db, Database::Open(options, kMigrations));
  std::array<uint8_t, 16> id{};
  std::optional<AeadKey> data_key;
  {
    ASSIGN_OR_RETURN(Statement s, db.Prepare("SELECT id, wrapped_key FROM store WHERE one = 1"));
    ASSIGN_OR_RETURN(const bool row, s.Step());
    if (row) {
      const ByteView stored_id = s.Blob(0);
      if (stored_id.size() != id.size()) return DataLoss("sealed store: broken header");
      std::ranges::copy(stored_id, id.begin());
      Result<Secret> key = machine_key.Open(s.Blob(1), KeyContext(id));
      if (!key.ok()) return key.error().WithContext(options.path + " under this machine key");
      ASSIGN_OR_RETURN(data_key, AeadKey::FromSecret(std::move(key).value()));
    }
  }
  if (!data_key.has_value()) {
    random.Fill(id);
    data_key = AeadKey::Generate(random);
    ASSIGN_OR_RETURN(Statement s, db.Prepare("INSERT INTO store (one, id, wrapped_key) VALUES (1, ?1, ?2)"));
    RETURN_IF_ERROR(s.Bind(1, id).Bind(2, machine_key.Seal(data_key->key(), KeyContext(id), random)).Run());
  }
  Secret name_key = crypto::HkdfSha256(data_key->key(), id, "hexr store names v1", 32);
  return SealedStore(std::move(db), id, std::move(*data_key), std::move(name_key), random);
}

Result<SealedStore::Row> SealedStore::RowOf(std::string_view collection, std::string_view name) const {
  if (collection.empty() || collection.size() > limits::kMaxSealedCollectionBytes || name.empty() ||
      name.size() > limits::kMaxSealedNameBytes || collection.find('\0') != std::string_view::npos) {
    return InvalidArgument("sealed store: a name or collection that is empty or too long");
  }
  // The zero byte ends the collection, which has none: ("ab", "c") and ("a", "bc") stay apart.
  Bytes text(collection.begin(), collection.end());
  text.push_back(0);
  text.insert(text.end(), name.begin(), name.end());
  Row row;
  row.digest = crypto::HmacSha256(name_key_.Reveal(RevealToken::For("digest of a row's name")), text);
  row.place = "hexr row v1 " + HexEncode(id_) + " " + std::string(collection) + " " + HexEncode(row.digest);
  return row;
}

Status SealedStore::Put(std::string_view collection, std::string_view name, const Secret& value) {
  if (value.size() > limits::kMaxSealedValueBytes) return InvalidArgument("sealed store: value too large");
  ASSIGN_OR_RETURN(const Row row, RowOf(collection, name));
  ASSIGN_OR_RETURN(Statement s,
                   db_.Prepare("INSERT INTO sealed (collection, digest, name, value) VALUES (?1, ?2, ?3, ?4) "
                               "ON CONFLICT DO UPDATE SET name = excluded.name, value = excluded.value"));
  return s.Bind(1, collection)
      .Bind(2, row.digest)
      .Bind(3, data_key_.Seal(AsBytes(name), row.place + " name", *random_))
      .Bind(4, data_key_.Seal(value, row.place + " value", *random_))
      .Run();
}

Result<Secret> SealedStore::Get(std::string_view collection, std::string_view name) {
  ASSIGN_OR_RETURN(const Row row, RowOf(collection, name));
  ASSIGN_OR_RETURN(Statement s, db_.Prepare("SELECT value FROM sealed WHERE collection = ?1 AND digest = ?2"));
  ASSIGN_OR_RETURN(const bool found, s.Bind(1, collection).Bind(2, row.digest).Step());
  if (!found) return NotFound("sealed store: no such name");
  return data_key_.Open(s.Blob(0), row.place + " value");
}

Status SealedStore::Delete(std::string_view collection, std::string_view name) {
  ASSIGN_OR_RETURN(const Row row, RowOf(collection, name));
  ASSIGN_OR_RETURN(Statement s, db_.Prepare("DELETE FROM sealed WHERE collection = ?1 AND digest = ?2"));
  RETURN_IF_ERROR(s.Bind(1, collection).Bind(2, row.digest).Run());
  if (db_.changes() == 0) return NotFound("sealed store: no such name");
  return Ok();
}

Result<std::vector<std::string>> SealedStore::List(std::string_view collection) {
  ASSIGN_OR_RETURN(Statement s, db_.Prepare("SELECT digest, name FROM sealed WHERE collection = ?1"));
  s.Bind(1, collection);
  std::vector<std::string> names;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) break;
    const std::string place =
        "hexr row v1 " + HexEncode(id_) + " " + std::string(collection) + " " + HexEncode(s.Blob(0));
    ASSIGN_OR_RETURN(const Secret name, data_key_.Open(s.Blob(1), place + " name"));
    names.emplace_back(name.RevealText(RevealToken::For("name of a row, for its owner")));
  }
  std::ranges::sort(names);
  return names;
}

Result<int64_t> SealedStore::Count(std::string_view collection) {
  ASSIGN_OR_RETURN(Statement s, db_.Prepare("SELECT count(*) FROM sealed WHERE collection = ?1"));
  ASSIGN_OR_RETURN(const bool row, s.Bind(1, collection).Step());
  return row ? s.Int(0) : 0;
}

}  // namespace hexr::store
