// SQLite behind values: one file, one process that writes it, WAL, every commit on disk before it returns
// (unless asked otherwise).
//
// A Database and its Statements belong to one thread at a time. Errors: RESOURCE_EXHAUSTED disk or quota full ·
// PERMISSION_DENIED read-only · UNAVAILABLE in use by another process · DATA_LOSS not a database, or a damaged one ·
// ALREADY_EXISTS a key twice · FAILED_PRECONDITION another constraint, wrong file modes, a schema of a later version.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace hexr::store {

// One step of a schema, numbered from 1 without gaps. Steps that have shipped never change: a new one follows.
struct Migration {
  int version;
  std::string_view sql;
};

class Statement {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  // Parameters count from 1. A failure shows at the next Step.
  Statement& Bind(int index, int64_t value);
  Statement& Bind(int index, std::string_view text);
  Statement& Bind(int index, ByteView blob);
  Statement& BindNull(int index);

  // True: a row is there. False: done. After an error or the end, Reset before anything else.
  Result<bool> Step();
  // Runs to the end and resets: for statements without rows of interest.
  Status Run();
  // Ready to be bound and stepped again; parameters are cleared.
  void Reset();

  // Columns count from 0, of the row that Step found. Views are valid until the next Step or Reset.
  int64_t Int(int column) const;
  std::string_view Text(int column) const;
  ByteView Blob(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  explicit Statement(sqlite3_stmt* s) : s_(s) {}

  sqlite3_stmt* s_;
  int bind_error_ = 0;
};

class Database;

// Rolled back unless committed.
class Transaction {
 public:
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Status Commit();

 private:
  friend class Database;
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;
};

struct DatabaseOptions {
  std::string path;                   // in an existing folder; the file is made with mode 0600
  std::optional<uint32_t> max_pages;  // of 4 KiB: a quota, absent for none
  // A commit that returned is with the kernel, not on disk: it survives this process, the last ones not a power cut.
  bool commits_are_with_the_kernel = false;
  // Every page is read at open. Off for what may be large and holds nothing but rows that are sealed and checked when
  // they are read: a damaged page then shows at the row that is on it.
  bool check_at_open = true;
};

class Database {
 public:
  // Checks folder and file modes, opens or makes the file, checks its integrity where asked and brings its schema up to
  // the last of `migrations`, each step in a transaction of its own.
  static Result<Database> Open(const DatabaseOptions& options, std::span<const Migration> migrations);

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // `sql` is a constant of the program: values go in by Bind.
  Result<Statement> Prepare(std::string_view sql);
  Status Execute(std::string_view sql);
  // Takes the write lock at once; transactions do not nest.
  Result<Transaction> Begin();
  // Rows that the last INSERT, UPDATE or DELETE changed.
  int64_t changes() const;
  int schema_version() const { return version_; }
  // After a deletion: folds the write-ahead log, where what was deleted still stands, into the file and cuts it.
  Status ForgetDeleted();
  // A consistent copy of the whole database, mode 0600, while this one stays open. ALREADY_EXISTS when `path` exists.
  Status CopyTo(const std::string& path);

 private:
  friend class Transaction;
  explicit Database(sqlite3* db) : db_(db) {}
  Status Configure(const DatabaseOptions& options);
  Status CheckIntegrity();
  Status Migrate(std::span<const Migration> migrations);

  sqlite3* db_;
  int version_ = 0;
};

}  // namespace hexr::store
