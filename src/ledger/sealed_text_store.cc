#include "ledger/sealed_text_store.h"

#include <algorithm>
#include <array>

namespace hexr::ledger {

namespace {

// The instance stands in the clear, as it does in the log; `time` is in nanoseconds since 1970.
constexpr std::array<store::Migration, 1> kMigrations = {
    {{1,
      "CREATE TABLE text (digest BLOB PRIMARY KEY, instance TEXT NOT NULL,"
      " time INTEGER NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;"
      "CREATE INDEX text_by_instance ON text (instance);"
      "CREATE INDEX text_by_time ON text (time);"}}};

int64_t Nanoseconds(WallTime time) { return time.time_since_epoch().count(); }

}  // namespace

Result<SealedTextStore> SealedTextStore::Open(const store::DatabaseOptions& options, std::string tenant,
                                              crypto::AeadKey key, Random& random) {
  ASSIGN_OR_RETURN(store::Database db, store::Database::Open(options, kMigrations));
  {
    ASSIGN_OR_RETURN(store::Statement pragma, db.Prepare("PRAGMA secure_delete = ON"));
    RETURN_IF_ERROR(pragma.Run());
  }
  return SealedTextStore(std::move(db), std::move(tenant), std::move(key), random);
}

std::string SealedTextStore::Context(const crypto::Sha256Digest& digest) const {
  return "ledger text\n" + tenant_ + "\n" + HexEncode(digest);
}

Status SealedTextStore::Put(const std::vector<StoredText>& texts) {
  ASSIGN_OR_RETURN(store::Transaction transaction, db_.Begin());
  ASSIGN_OR_RETURN(store::Statement insert, db_.Prepare("INSERT OR IGNORE INTO text VALUES (?, ?, ?, ?)"));
  for (const StoredText& text : texts) {
    Bytes plain(text.salt.begin(), text.salt.end());
    plain.insert(plain.end(), text.text.begin(), text.text.end());
    const Bytes sealed = key_.Seal(plain, Context(text.digest), *random_);
    crypto::WipeMemory(plain);
    insert.Bind(1, ByteView(text.digest)).Bind(2, std::string_view(text.instance));
    insert.Bind(3, Nanoseconds(text.time)).Bind(4, ByteView(sealed));
    RETURN_IF_ERROR(insert.Run());
  }
  return transaction.Commit();
}

Result<StoredText> SealedTextStore::Get(const crypto::Sha256Digest& digest) const {
  ASSIGN_OR_RETURN(store::Statement select, db_.Prepare("SELECT instance, time, sealed FROM text WHERE digest = ?"));
  select.Bind(1, ByteView(digest));
  ASSIGN_OR_RETURN(const bool found, select.Step());
  if (!found) return NotFound("this text was never kept, or is erased");
  ASSIGN_OR_RETURN(const crypto::Secret plain, key_.Open(select.Blob(2), Context(digest)));
  const ByteView bytes = plain.Reveal(crypto::RevealToken::For("text of a record"));
  if (bytes.size() < SaltedText::kSaltBytes) return Error(ErrorCode::kDataLoss, "a stored text is cut");
  StoredText text{.digest = digest,
                  .salt = {},
                  .text = std::string(AsText(bytes.subspan(SaltedText::kSaltBytes))),
                  .time = WallTime{std::chrono::nanoseconds(select.Int(1))},
                  .instance = std::string(select.Text(0))};
  std::copy_n(bytes.begin(), SaltedText::kSaltBytes, text.salt.begin());
  if (SaltedText(text.text, text.salt).digest() != digest)
    return Error(ErrorCode::kDataLoss, "a stored text is not what its digest says");
  return text;
}

Result<uint64_t> SealedTextStore::RunErase(store::Statement& statement) {
  RETURN_IF_ERROR(statement.Run());
  const int64_t erased = db_.changes();
  if (erased > 0) {
    RETURN_IF_ERROR(db_.ForgetDeleted());
  }
  return static_cast<uint64_t>(erased);
}

Result<uint64_t> SealedTextStore::Erase(const crypto::Sha256Digest& digest) {
  ASSIGN_OR_RETURN(store::Statement erase, db_.Prepare("DELETE FROM text WHERE digest = ?"));
  erase.Bind(1, ByteView(digest));
  return RunErase(erase);
}

Result<uint64_t> SealedTextStore::EraseInstance(const InstanceId& instance) {
  ASSIGN_OR_RETURN(store::Statement erase, db_.Prepare("DELETE FROM text WHERE instance = ?"));
  erase.Bind(1, std::string_view(instance.value()));
  return RunErase(erase);
}

Result<uint64_t> SealedTextStore::EraseBefore(WallTime time) {
  ASSIGN_OR_RETURN(store::Statement erase, db_.Prepare("DELETE FROM text WHERE time < ?"));
  erase.Bind(1, Nanoseconds(time));
  return RunErase(erase);
}

}  // namespace hexr::ledger
