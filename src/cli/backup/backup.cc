#include "cli/backup/backup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

#include "cli/backup/archive.h"
#include "cli/node_process.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "runtime/unique_fd.h"

namespace hexr::cli {
namespace {

namespace fs = std::filesystem;
using runtime::UniqueFd;

constexpr char kState[] = "state/";
constexpr char kConfig[] = "config/hexr.yaml";

struct Totals {
  uint64_t files = 0;
  uint64_t bytes = 0;
};

// While it is held no node starts on these places. Empty where none ever did.
Result<UniqueFd> KeepNodeAway(const config::Paths& paths) {
  UniqueFd fd(open(paths.PidFile().c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return UniqueFd();
  if (!fd) return ErrnoError(paths.PidFile(), errno);
  if (flock(fd.get(), LOCK_SH | LOCK_NB) != 0) {
    return FailedPrecondition("the node is running: its files change under a copy; `hexr down` first");
  }
  return fd;
}

backup::Source FromFd(int fd) {
  return [fd](std::span<uint8_t> out) -> Result<size_t> {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = read(fd, out.data() + done, out.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoError("read", errno);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  };
}

Status WriteAll(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("write", errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return Ok();
}

// "tpm", "file"…: under what the state is sealed, as its machine-key file says.
std::string MachineKeyOf(const std::string& state_dir) {
  std::ifstream in(state_dir + "/machine-key");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("provider ")) return line.substr(9);
  }
  return "";
}

// A state that needs more than its own files to open.
void WarnOfMachineKey(const std::string& provider) {
  if (provider == "tpm") {
    PrintError("its machine key is sealed to this machine's TPM: the state opens nowhere else");
  } else if (provider == "systemd-credential") {
    PrintError("its machine key is a systemd credential, which is not in the backup: keep it too");
  } else if (provider == "passphrase") {
    PrintError("its machine key comes from the node's own passphrase, which is not in the backup");
  }
}

// ---- backup

Status Add(backup::ArchiveWriter& writer, const std::string& name, const std::string& path, Totals& totals) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat s {};
  if (!fd || fstat(fd.get(), &s) != 0) return ErrnoError(path, errno);
  backup::Source source = FromFd(fd.get());
  RETURN_IF_ERROR(writer.AddFile(name, static_cast<uint64_t>(s.st_size), source));
  ++totals.files;
  totals.bytes += static_cast<uint64_t>(s.st_size);
  return Ok();
}

// Plain files below the state folder, sorted; the log of the daemon is no state.
Result<std::vector<std::string>> FilesBelow(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code e;
  for (fs::recursive_directory_iterator it(folder, e), end; !e && it != end; it.increment(e)) {
    if (it->is_symlink() || !it->is_regular_file()) continue;
    std::string name = fs::path(it->path()).lexically_relative(folder).string();
    if (name != "hexrd.log") out.push_back(std::move(name));
  }
  if (e) return InvalidArgument(folder + ": " + e.message());
  std::ranges::sort(out);
  return out;
}

Result<Totals> WriteBackup(const Invocation& in, const std::string& partial) {
  ASSIGN_OR_RETURN(const UniqueFd lock, KeepNodeAway(in.paths));
  ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesBelow(in.paths.state_dir));
  if (files.empty()) return NotFound("no state is in " + in.paths.state_dir);
  ASSIGN_OR_RETURN(const crypto::Secret passphrase, ReadPassphrase(in.Get("--passphrase-file"), true));
  const UniqueFd out(open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out) return InvalidArgument(ErrnoError(partial, errno).message());
  SystemRandom random;
  ASSIGN_OR_RETURN(
      backup::ArchiveWriter writer,
      backup::ArchiveWriter::Begin([fd = out.get()](ByteView b) { return WriteAll(fd, b); }, passphrase, {}, random));
  Totals totals;
  if (fs::exists(in.paths.config_file)) RETURN_IF_ERROR(Add(writer, kConfig, in.paths.config_file, totals));
  for (const std::string& f : files) RETURN_IF_ERROR(Add(writer, kState + f, in.paths.state_dir + "/" + f, totals));
  RETURN_IF_ERROR(writer.Finish());
  if (fsync(out.get()) != 0) return ErrnoError("sync " + partial, errno);
  return totals;
}

// ---- restore

// Puts the state into a folder beside its place, so that all of it or nothing is there in the end.
class Restorer final : public backup::ArchiveVisitor {
 public:
  Restorer(std::string staging, std::string config_file)
      : staging_(std::move(staging)), config_file_(std::move(config_file)) {}

  Status OnFile(const std::string& path, uint64_t size) override {
    if (path == kConfig) {
      RETURN_IF_ERROR(OpenConfig());
    } else if (path.starts_with(kState)) {
      RETURN_IF_ERROR(OpenState(staging_ + "/" + path.substr(sizeof kState - 1)));
    } else {
      return InvalidArgument("the backup holds '" + path + "', which is neither state nor configuration");
    }
    ++totals_.files;
    totals_.bytes += size;
    return Ok();
  }
  Status OnContent(ByteView bytes) override { return out_ ? WriteAll(out_.get(), bytes) : Ok(); }

  const Totals& totals() const { return totals_; }
  bool kept_config() const { return kept_config_; }
  const std::string& new_config() const { return new_config_; }

 private:
  Status OpenConfig() {
    out_.reset();
    kept_config_ = fs::exists(config_file_);
    if (kept_config_) return Ok();  // what is there is somebody's decision
    new_config_ = config_file_ + ".restoring";
    return Open(new_config_);
  }
  Status OpenState(const std::string& path) {
    std::error_code e;
    fs::create_directories(fs::path(path).parent_path(), e);
    return e ? Status(InvalidArgument(path + ": " + e.message())) : Open(path);
  }
  Status Open(const std::string& path) {
    out_ = UniqueFd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    return out_ ? Ok() : Status(ErrnoError(path, errno));
  }

  std::string staging_, config_file_, new_config_;
  UniqueFd out_;
  Totals totals_;
  bool kept_config_ = false;
};

Status CheckEmpty(const config::Paths& paths) {
  ASSIGN_OR_RETURN(const std::optional<pid_t> node, RunningNode(paths));
  if (node) return FailedPrecondition("a node runs here; `hexr down` first");
  std::error_code e;
  if (fs::exists(paths.state_dir) && !fs::is_empty(paths.state_dir, e)) {
    return FailedPrecondition(paths.state_dir + " holds a state, which is not overwritten: move it away first");
  }
  return Ok();
}

Result<Totals> Restore(const Invocation& in, const std::string& staging, bool& kept_config) {
  const UniqueFd file(open(in.Get("FILE").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return InvalidArgument(ErrnoError(in.Get("FILE"), errno).message());
  ASSIGN_OR_RETURN(const crypto::Secret passphrase, ReadPassphrase(in.Get("--passphrase-file"), false));
  std::error_code e;
  fs::create_directories(fs::path(in.paths.config_file).parent_path(), e);
  fs::create_directories(fs::path(staging).parent_path(), e);
  (void)umask(0077);
  if (mkdir(staging.c_str(), 0700) != 0) return ErrnoError(staging, errno);
  Restorer restorer(staging, in.paths.config_file);
  RETURN_IF_ERROR(backup::ReadArchive(FromFd(file.get()), passphrase, restorer));
  const UniqueFd folder(open(staging.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || syncfs(folder.get()) != 0) return ErrnoError("sync " + staging, errno);
  if (rename(staging.c_str(), in.paths.state_dir.c_str()) != 0) return ErrnoError(in.paths.state_dir, errno);
  if (const std::string& c = restorer.new_config();
      !c.empty() && rename(c.c_str(), in.paths.config_file.c_str()) != 0) {
    return ErrnoError(in.paths.config_file, errno);
  }
  kept_config = restorer.kept_config();
  return restorer.totals();
}

wire::Json ToJson(const std::string& file, const Totals& t) {
  return wire::JsonObject{{"file", file}, {"files", t.files}, {"bytes", t.bytes}};
}

int RunBackup(const Invocation& in) {
  const std::string file = in.Get("FILE"), partial = file + ".partial";
  if (fs::exists(file)) {
    PrintError(file + " is there; a backup is not overwritten");
    return kUsage;
  }
  const auto totals = WriteBackup(in, partial);
  if (!totals.ok()) {
    (void)unlink(partial.c_str());
    return Fail(totals.error());
  }
  if (renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, file.c_str(), RENAME_NOREPLACE) != 0)
    return Fail(ErrnoError(file, errno));
  WarnOfMachineKey(MachineKeyOf(in.paths.state_dir));
  if (in.output == Output::kJson)
    PrintJson(ToJson(file, *totals));
  else
    PrintLine("wrote " + file + ": " + std::to_string(totals->files) + " files, " + std::to_string(totals->bytes) +
              " bytes");
  return kYes;
}

int RunRestore(const Invocation& in) {
  if (const Status s = CheckEmpty(in.paths); !s.ok()) return Fail(s.error());
  const std::string staging = in.paths.state_dir + ".restoring";
  std::error_code ignored;
  fs::remove_all(staging, ignored);
  fs::remove(in.paths.config_file + ".restoring", ignored);
  bool kept_config = false;
  const auto totals = Restore(in, staging, kept_config);
  if (!totals.ok()) {
    fs::remove_all(staging, ignored);
    fs::remove(in.paths.config_file + ".restoring", ignored);
    return Fail(totals.error());
  }
  if (kept_config) PrintError(in.paths.config_file + " was there and is left as it is");
  WarnOfMachineKey(MachineKeyOf(in.paths.state_dir));
  if (in.output == Output::kJson)
    PrintJson(ToJson(in.Get("FILE"), *totals));
  else
    PrintLine("restored " + std::to_string(totals->files) + " files to " + in.paths.state_dir +
              "; `hexr up` starts the node");
  return kYes;
}

}  // namespace

std::vector<Command> BackupCommands() {
  return {
      {"backup",
       "Write the state of a stopped node to one file, under a passphrase",
       "hexr backup node.backup --passphrase-file passphrase",
       {{"--passphrase-file", "FILE", "whose first line is the passphrase (asked for, or the first line of stdin)"}},
       {{"FILE", "a new file"}},
       RunBackup,
       false,
       true},
      {"restore",
       "Put a backup's state where there is none",
       "hexr restore node.backup --passphrase-file passphrase",
       {{"--passphrase-file", "FILE", "whose first line is the passphrase (asked for, or the first line of stdin)"}},
       {{"FILE", "what `hexr backup` wrote"}},
       RunRestore,
       false,
       true},
  };
}

}  // namespace hexr::cli
