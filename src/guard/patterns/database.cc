#include "guard/patterns/database.h"

#include <fcntl.h>
#include <hs/hs.h>
#include <re2/re2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/bytes.h"
#include "base/limits/guard.h"
#include "crypto/digest.h"

namespace hexr::guard {
namespace {

constexpr std::string_view kDatabaseMagic = "hexr-guard-db-1\n";

// What a cached file must have been built from: the rules, the library, the processor's vector units.
crypto::Sha256Digest KeyOf(const std::vector<Rule>& rules) {
  crypto::Sha256Hasher h;
  h.Update(std::string_view(hs_version()));
  hs_platform_info_t platform{};
  hs_populate_platform(&platform);
  h.Update("|" + std::to_string(platform.tune) + "|" + std::to_string(platform.cpu_features));
  for (const Rule& r : rules) h.Update("|" + r.trigger);
  return h.Finish();
}

Result<std::string> ReadAll(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return ErrnoError("open " + path, errno);
  std::string out;
  char buffer[65536];
  ssize_t n = 0;
  while ((n = read(fd, buffer, sizeof buffer)) > 0 && out.size() <= limits::kMaxGuardDatabaseBytes) {
    out.append(buffer, static_cast<size_t>(n));
  }
  const int err = errno;
  close(fd);
  if (n < 0) return ErrnoError("read " + path, err);
  if (out.size() > limits::kMaxGuardDatabaseBytes) return DataLoss(path + " is larger than a pattern database can be");
  return out;
}

// Another process may be writing the same file: each writes its own and renames.
Status WriteAll(const std::string& path, std::string_view bytes) {
  const std::string temp = path + "." + std::to_string(getpid());
  const int fd = open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return ErrnoError("create " + temp, errno);
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      const int err = errno;
      close(fd);
      unlink(temp.c_str());
      return ErrnoError("write " + temp, err);
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  close(fd);
  if (rename(temp.c_str(), path.c_str()) != 0) return ErrnoError("rename " + temp, errno);
  return Ok();
}

Result<hs_database_t*> Compile(const std::vector<Rule>& rules) {
  std::vector<const char*> patterns;
  std::vector<unsigned> flags;
  std::vector<unsigned> ids;
  for (size_t i = 0; i < rules.size(); ++i) {
    patterns.push_back(rules[i].trigger.c_str());
    flags.push_back(0);
    ids.push_back(static_cast<unsigned>(i));
  }
  hs_database_t* db = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_compile_multi(patterns.data(), flags.data(), ids.data(), static_cast<unsigned>(patterns.size()),
                       HS_MODE_STREAM, nullptr, &db, &error) != HS_SUCCESS) {
    std::string what =
        error != nullptr && error->expression >= 0
            ? "pattern of rule '" + rules[static_cast<size_t>(error->expression)].type + "': " + error->message
            : std::string("pattern database: ") + (error != nullptr ? error->message : "out of memory");
    hs_free_compile_error(error);
    return InvalidArgument(std::move(what));
  }
  return db;
}

}  // namespace

PatternDatabase::~PatternDatabase() { hs_free_database(db_); }

Result<std::unique_ptr<PatternDatabase>> PatternDatabase::Create(std::vector<Rule> rules,
                                                                 const std::string& cache_dir) {
  std::unique_ptr<PatternDatabase> out(new PatternDatabase);
  const crypto::Sha256Digest key = KeyOf(rules);
  std::string path;
  if (!cache_dir.empty()) {
    path = cache_dir + "/guard-" + HexEncode(ByteView(key).first(8)) + ".db";
    auto file = ReadAll(path);
    if (file.ok()) {
      const std::string_view text = *file;
      const size_t head = kDatabaseMagic.size() + 2 * key.size();
      if (text.size() <= head || text.substr(0, kDatabaseMagic.size()) != kDatabaseMagic)
        return DataLoss(path + " is not a pattern database; remove it");
      const std::string_view body = text.substr(head);
      const auto digest = crypto::Sha256(body);
      if (std::memcmp(text.data() + kDatabaseMagic.size(), key.data(), key.size()) != 0 ||
          std::memcmp(text.data() + kDatabaseMagic.size() + key.size(), digest.data(), digest.size()) != 0) {
        return DataLoss(path + " does not have the digest it was written with; remove it");
      }
      if (hs_deserialize_database(body.data(), body.size(), &out->db_) != HS_SUCCESS) {
        return DataLoss(path + " cannot be loaded; remove it");
      }
      out->from_cache_ = true;
    } else if (file.error().code() != ErrorCode::kNotFound) {
      return std::move(file).error();
    }
  }
  if (out->db_ == nullptr) {
    ASSIGN_OR_RETURN(out->db_, Compile(rules));
    if (!path.empty()) {
      char* bytes = nullptr;
      size_t size = 0;
      if (hs_serialize_database(out->db_, &bytes, &size) != HS_SUCCESS)
        return Internal("pattern database cannot be serialised");
      const std::string_view body(bytes, size);
      const auto digest = crypto::Sha256(body);
      std::string file(kDatabaseMagic);
      file.append(AsText(key)).append(AsText(digest)).append(body);
      free(bytes);
      RETURN_IF_ERROR(WriteAll(path, file));
    }
  }
  hs_stream_size(out->db_, &out->stream_bytes_);
  out->confirm_ = std::make_unique<Lazy[]>(rules.size());
  out->rules_ = std::move(rules);
  return out;
}

const re2::RE2* PatternDatabase::Confirm(size_t rule) const {
  const Rule& r = rules_[rule];
  if (r.confirm.empty()) return nullptr;
  Lazy& lazy = confirm_[rule];
  std::call_once(lazy.once, [&] {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    options.set_encoding(re2::RE2::Options::EncodingLatin1);  // offsets and classes are of bytes, as the triggers' are
    lazy.re = std::make_unique<re2::RE2>(r.confirm, options);
  });
  return lazy.re.get();
}

std::vector<Rule> ShippedRules() {
  std::vector<Rule> rules = SecretRules();
  for (auto& r : SignatureRules()) rules.push_back(std::move(r));
  for (auto& r : UrlRules()) rules.push_back(std::move(r));
  return rules;
}

}  // namespace hexr::guard
