#include "spawner/sight.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace hexr::spawner {

using runtime::UniqueFd;

namespace {

// The first that is a file.
RunningProgram OpenScript(const std::vector<Place>& places) {
  for (const Place& p : places) {
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    UniqueFd fd(static_cast<int>(syscall(SYS_openat2, p.folder->get(), p.below.c_str(), &how, sizeof how)));
    if (fd && FileKeyOf(fd.get()).ok()) return {p.path, std::move(fd)};
  }
  return {};
}

}  // namespace

std::shared_ptr<const UniqueFd> Keep(const UniqueFd& folder) {
  return std::make_shared<const UniqueFd>(fcntl(folder.get(), F_DUPFD_CLOEXEC, 0));
}

void Find(Place& p) {
  UniqueFd fd = FindBelow(p.folder->get(), p.below, O_NOFOLLOW);
  if (!fd) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) p.shortage = errno;
    if (errno == EBADF) p.shortage = EMFILE;  // there was none left for the folder
    return;
  }
  p.what = FileIdOf(fd.get());
  if (p.keep) p.found = std::move(fd);
}

Place PlaceIn(const std::string& path, const std::string& folder_path, std::shared_ptr<const UniqueFd> folder) {
  return {path, std::move(folder), path.substr(folder_path.size() + 1)};
}

Sight LookAt(UniqueFd program, const std::vector<Place>& scripts) {
  Sight s{FileKeyOf(program.get()), {}, {}, {}, {}};
  char head[256];
  const ssize_t n = pread(program.get(), head, sizeof head, 0);
  s.head.assign(head, n > 0 ? static_cast<size_t>(n) : 0);
  s.program = std::move(program);
  s.script = OpenScript(scripts);
  if (const auto key = FileKeyOf(s.script.fd.get()); key.ok()) s.script_key = *key;
  return s;
}

Status CheckScript(const std::vector<Place>& places, const std::string& path, const FileKey& measured) {
  const RunningProgram now = OpenScript(places);
  const Result<FileKey> key = FileKeyOf(now.fd.get());
  if (now.path == path && key.ok() && *key == measured) return Ok();
  return PermissionDenied(path + " is not what was measured: it has been replaced or changed since");
}

}  // namespace hexr::spawner
