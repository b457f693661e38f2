#include "ledger/storage.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace hexr::ledger {

namespace {

using runtime::UniqueFd;

constexpr mode_t kFileMode = 0600;
constexpr mode_t kFolderMode = 0700;
constexpr unsigned kMaxFolderDepth = 16;  // of what Remove walks; a log has eight at most

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Status WriteFully(int fd, const std::string& path, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("write " + path, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return Ok();
}

Status Sync(int fd, const std::string& path) {
  if (::fsync(fd) != 0) return ErrnoError("sync " + path, errno);
  return Ok();
}

Error ReadOnly() { return PermissionDenied("this log is open for reading only"); }

}  // namespace

Status DirectoryStorage::MakeFolder(const std::string& path) {
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), kFolderMode) != 0 && errno != EEXIST) return ErrnoError("make folder " + part, errno);
  }
  return Ok();
}

Result<DirectoryStorage> DirectoryStorage::Open(const std::string& root) {
  RETURN_IF_ERROR(MakeFolder(root));
  UniqueFd fd(::open(root.c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open " + root, errno);
  return DirectoryStorage(std::move(fd), true);
}

Result<DirectoryStorage> DirectoryStorage::OpenReadOnly(const std::string& root) {
  UniqueFd fd(::open(root.c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open " + root, errno);
  return DirectoryStorage(std::move(fd), false);
}

Result<UniqueFd> DirectoryStorage::OpenFile(const std::string& path, int flags) const {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = (flags & O_CREAT) != 0 ? kFileMode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;  // a log that came from elsewhere may hold any link
  const long fd = ::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how);
  if (fd < 0) return ErrnoError("open " + path, errno);
  return UniqueFd(static_cast<int>(fd));
}

Result<Bytes> DirectoryStorage::Read(const std::string& path, size_t max_bytes) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY | O_NONBLOCK));
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoError("stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return InvalidArgument(path + " is not a file");
  if (static_cast<uint64_t>(info.st_size) > max_bytes) return ResourceExhausted(path + " is larger than it can be");
  Bytes out(static_cast<size_t>(info.st_size));
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::read(fd.get(), out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read " + path, errno);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  out.resize(done);
  return out;
}

Status DirectoryStorage::MakeFolders(const std::string& path, std::set<std::string>& changed) {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    if (::mkdirat(root_.get(), folder.c_str(), kFolderMode) == 0) {
      changed.insert(ParentOf(folder));
    } else if (errno != EEXIST) {
      return ErrnoError("make folder " + folder, errno);
    }
  }
  return Ok();
}

Status DirectoryStorage::SyncFolders(const std::set<std::string>& folders) const {
  for (const std::string& folder : folders) {
    ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(folder, O_DIRECTORY | O_RDONLY));
    RETURN_IF_ERROR(Sync(fd.get(), folder));
  }
  return Ok();
}

Status DirectoryStorage::Write(const std::vector<File>& files) {
  if (!writable_) return ReadOnly();
  std::set<std::string> folders;
  RETURN_IF_ERROR(WriteFiles(files, folders));
  return SyncFolders(folders);
}

Status DirectoryStorage::WriteFiles(const std::vector<File>& files, std::set<std::string>& folders) {
  // All is handed to the kernel before the first sync, so that one flush of the device can serve many files.
  std::vector<UniqueFd> fds;
  for (const File& file : files) {
    Result<UniqueFd> fd = OpenFile(file.path, O_CREAT | O_TRUNC | O_WRONLY);
    if (!fd.ok() && fd.error().code() == ErrorCode::kNotFound) {
      RETURN_IF_ERROR(MakeFolders(file.path, folders));
      fd = OpenFile(file.path, O_CREAT | O_TRUNC | O_WRONLY);
    }
    RETURN_IF_ERROR(fd.ok() ? Ok() : Status(fd.error()));
    RETURN_IF_ERROR(WriteFully(fd->get(), file.path, file.bytes));
    folders.insert(ParentOf(file.path));
    fds.push_back(std::move(fd).value());
  }
  for (size_t i = 0; i < fds.size(); ++i) RETURN_IF_ERROR(Sync(fds[i].get(), files[i].path));
  return Ok();
}

Status DirectoryStorage::Replace(const std::string& path, ByteView bytes) {
  if (!writable_) return ReadOnly();
  const std::string temporary = path + ".new";
  // The bytes are on disk before the name points to them. The temporary's own name need not be: after a power cut the
  // folder has the old entry or the new one, and both are whole.
  std::set<std::string> folders;
  RETURN_IF_ERROR(WriteFiles({{.path = temporary, .bytes = Bytes(bytes.begin(), bytes.end())}}, folders));
  if (::renameat(root_.get(), temporary.c_str(), root_.get(), path.c_str()) != 0)
    return ErrnoError("rename " + temporary, errno);
  return SyncFolders(folders);
}

Status DirectoryStorage::Append(const std::string& path, ByteView bytes) {
  if (!writable_) return ReadOnly();
  std::set<std::string> folders;
  RETURN_IF_ERROR(MakeFolders(path, folders));
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_CREAT | O_APPEND | O_WRONLY));
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoError("stat " + path, errno);
  if (info.st_size == 0) folders.insert(ParentOf(path));
  RETURN_IF_ERROR(WriteFully(fd.get(), path, bytes));
  RETURN_IF_ERROR(Sync(fd.get(), path));
  return SyncFolders(folders);
}

Result<std::vector<std::string>> DirectoryStorage::List(const std::string& path) const {
  std::vector<std::string> names;
  Result<UniqueFd> fd = OpenFile(path, O_DIRECTORY | O_RDONLY);
  if (!fd.ok()) {
    if (fd.error().code() == ErrorCode::kNotFound) return names;
    return fd.error();
  }
  DIR* folder = ::fdopendir(fd->get());
  if (folder == nullptr) return ErrnoError("list " + path, errno);
  (void)fd->release();  // closed with the folder
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(folder);
  std::sort(names.begin(), names.end());
  return names;
}

Status DirectoryStorage::Remove(const std::string& path) {
  if (!writable_) return ReadOnly();
  return RemoveAt(path, 0);
}

Status DirectoryStorage::RemoveAt(const std::string& path, unsigned depth) {
  if (depth > kMaxFolderDepth) return ResourceExhausted(path + " is deeper than a log can be");
  if (::unlinkat(root_.get(), path.c_str(), 0) == 0 || errno == ENOENT) return Ok();
  if (errno != EISDIR) return ErrnoError("remove " + path, errno);
  ASSIGN_OR_RETURN(const auto names, List(path));
  for (const std::string& name : names) RETURN_IF_ERROR(RemoveAt(path + "/" + name, depth + 1));
  if (::unlinkat(root_.get(), path.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return ErrnoError("remove " + path, errno);
  return Ok();
}

}  // namespace hexr::ledger
