#include "store/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "store/private_file.h"

namespace hexr::store {
namespace {

// The error of the last call on `db`, by meaning. SQLite's text names tables and columns, never values.
Error DatabaseError(sqlite3* db, int code, std::string_view what) {
  const std::string message = fmt::format("{}: {}", what, db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code));
  const int system = db != nullptr ? sqlite3_system_errno(db) : 0;
  switch (code & 0xff) {
    case SQLITE_FULL: return ResourceExhausted(message);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return PermissionDenied(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Unavailable(message + " (another process has it open)");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return DataLoss(message);
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG: return ResourceExhausted(message);
    case SQLITE_IOERR:
      // ENOSPC is SQLITE_FULL; other failing writes are quotas and size limits, unless the disk is dying.
      if (code == SQLITE_IOERR_WRITE) {
        return ResourceExhausted(message + ": a write failed (quota, size limit or disk)");
      }
      return Unavailable(message);
    case SQLITE_CANTOPEN: return system != 0 ? ErrnoError(message, system) : Unavailable(message);
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_ROWID) {
        return AlreadyExists(message);
      }
      return FailedPrecondition(message);
    default: return Internal(message);
  }
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : s_(std::exchange(other.s_, nullptr)), bind_error_(other.bind_error_) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(s_, other.s_);
  std::swap(bind_error_, other.bind_error_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(s_); }

Statement& Statement::Bind(int index, int64_t value) {
  bind_error_ |= sqlite3_bind_int64(s_, index, value);
  return *this;
}

Statement& Statement::Bind(int index, std::string_view text) {
  bind_error_ |= sqlite3_bind_text64(s_, index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement& Statement::Bind(int index, ByteView blob) {
  // A null pointer would be NULL, and an empty blob is not.
  static constexpr uint8_t kNothing = 0;
  bind_error_ |= sqlite3_bind_blob64(s_, index, blob.empty() ? &kNothing : blob.data(), blob.size(), SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::BindNull(int index) {
  bind_error_ |= sqlite3_bind_null(s_, index);
  return *this;
}

Result<bool> Statement::Step() {
  if (bind_error_ != 0) return Internal("database: a parameter that the statement does not have, or too large a value");
  const int code = sqlite3_step(s_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  sqlite3* const db = sqlite3_db_handle(s_);
  return DatabaseError(db, sqlite3_extended_errcode(db), "database");
}

Status Statement::Run() {
  for (;;) {
    const Result<bool> row = Step();
    if (row.ok() && *row) continue;
    Reset();
    return row.ok() ? Ok() : Status(row.error());
  }
}

void Statement::Reset() {
  sqlite3_reset(s_);
  sqlite3_clear_bindings(s_);
  bind_error_ = 0;
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(s_, column); }
bool Statement::IsNull(int column) const { return sqlite3_column_type(s_, column) == SQLITE_NULL; }

std::string_view Statement::Text(int column) const { return AsText(Blob(column)); }

ByteView Statement::Blob(int column) const {
  const auto* const data = static_cast<const uint8_t*>(sqlite3_column_blob(s_, column));
  return {data, data == nullptr ? 0 : static_cast<size_t>(sqlite3_column_bytes(s_, column))};
}

Transaction::~Transaction() {
  // Some errors (a full disk) have rolled back already: then there is nothing to do, and no one to tell.
  if (db_ != nullptr && sqlite3_get_autocommit(db_->db_) == 0) (void)db_->Execute("ROLLBACK");
}

Status Transaction::Commit() {
  HEXR_CHECK(db_ != nullptr);
  if (sqlite3_get_autocommit(db_->db_) != 0) {
    db_ = nullptr;
    return ResourceExhausted("database: the transaction was rolled back by an earlier error");
  }
  RETURN_IF_ERROR(db_->Execute("COMMIT"));
  db_ = nullptr;
  return Ok();
}

Database::Database(Database&& other) noexcept : db_(std::exchange(other.db_, nullptr)), version_(other.version_) {}

Database& Database::operator=(Database&& other) noexcept {
  std::swap(db_, other.db_);
  std::swap(version_, other.version_);
  return *this;
}

Database::~Database() { sqlite3_close_v2(db_); }  // waits for statements that are still alive

Result<Database> Database::Open(const DatabaseOptions& options, std::span<const Migration> migrations) {
  RETURN_IF_ERROR(EnsurePrivateFolder(FolderOf(options.path)));
  RETURN_IF_ERROR(TouchPrivateFile(options.path));  // SQLite gives -wal and -shm the mode of the file
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(options.path.c_str(), &handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
  Database db(handle);
  if (code != SQLITE_OK) return DatabaseError(handle, code, "open " + options.path);
  if (sqlite3_db_readonly(handle, "main") != 0) return PermissionDenied(options.path + ": cannot be written");
  const auto in_context = [&options](Status s) -> Status {
    return s.ok() ? std::move(s) : Status(s.error().WithContext(options.path));
  };
  RETURN_IF_ERROR(in_context(db.Configure(options)));
  if (options.check_at_open) RETURN_IF_ERROR(in_context(db.CheckIntegrity()));
  RETURN_IF_ERROR(in_context(db.Migrate(migrations)));
  return db;
}

Status Database::Configure(const DatabaseOptions& options) {
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, 2000);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  // Exclusive: a second process is refused at open, and no shared memory file is needed. FULL: a commit that returned
  // is on disk. secure_delete: what was deleted is overwritten, not just forgotten.
  RETURN_IF_ERROR(
      Execute("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
              "PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;"
              "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;"));
  if (options.commits_are_with_the_kernel) RETURN_IF_ERROR(Execute("PRAGMA synchronous=NORMAL"));
  if (options.max_pages.has_value()) {
    RETURN_IF_ERROR(Execute(fmt::format("PRAGMA max_page_count={}", *options.max_pages)));
  }
  // The lock is taken by the first access, so that "in use" shows here and not at some later write.
  return Execute("BEGIN IMMEDIATE; COMMIT");
}

Status Database::CheckIntegrity() {
  ASSIGN_OR_RETURN(Statement s, Prepare("PRAGMA integrity_check(1)"));
  ASSIGN_OR_RETURN(const bool row, s.Step());
  if (!row || s.Text(0) != "ok") return DataLoss(fmt::format("damaged: {}", row ? s.Text(0) : "no answer"));
  return Ok();
}

Status Database::Migrate(std::span<const Migration> migrations) {
  {
    ASSIGN_OR_RETURN(Statement s, Prepare("PRAGMA user_version"));
    ASSIGN_OR_RETURN(const bool row, s.Step());
    version_ = row ? static_cast<int>(s.Int(0)) : 0;
  }
  if (version_ < 0 || static_cast<size_t>(version_) > migrations.size()) {
    return FailedPrecondition(fmt::format("schema version {} was written by a later release; this one knows {}",
                                          version_, migrations.size()));
  }
  for (const Migration& m : migrations.subspan(static_cast<size_t>(version_))) {
    HEXR_CHECK(m.version == version_ + 1);
    ASSIGN_OR_RETURN(Transaction t, Begin());
    RETURN_IF_ERROR(Execute(m.sql));
    RETURN_IF_ERROR(Execute(fmt::format("PRAGMA user_version={}", m.version)));
    RETURN_IF_ERROR(t.Commit());
    version_ = m.version;
  }
  return Ok();
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* s = nullptr;
  const int code = sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &s, nullptr);
  if (code != SQLITE_OK) return DatabaseError(db_, code, "database");
  return Statement(s);
}

Status Database::Execute(std::string_view sql) {
  const int code = sqlite3_exec(db_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return DatabaseError(db_, sqlite3_extended_errcode(db_), "database");
  return Ok();
}

Result<Transaction> Database::Begin() {
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  return Transaction(this);
}

int64_t Database::changes() const { return sqlite3_changes64(db_); }

Status Database::ForgetDeleted() {
  ASSIGN_OR_RETURN(Statement checkpoint, Prepare("PRAGMA wal_checkpoint(TRUNCATE)"));
  ASSIGN_OR_RETURN(const bool row, checkpoint.Step());
  if (!row || checkpoint.Int(0) != 0) return Unavailable("database: deleted, but its write-ahead log is in use");
  return Ok();
}

Status Database::CopyTo(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoError("make " + path, errno);
  close(fd);
  ASSIGN_OR_RETURN(Statement s, Prepare("VACUUM INTO ?1"));  // takes an empty file as its target, and syncs it
  Status status = s.Bind(1, path).Run();
  if (!status.ok()) unlink(path.c_str());
  return status;
}

}  // namespace hexr::store
