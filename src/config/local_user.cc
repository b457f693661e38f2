#include <pwd.h>

#include <cerrno>
#include <charconv>
#include <vector>

#include "config/config.h"

namespace hexr::config {
namespace {

constexpr size_t kEntryBytes = 64 * 1024;  // of one user in the machine's directory

// NOT_FOUND: there is none. OK without a name: it cannot be asked.
Result<std::string> Found(int error, const passwd* entry) {
  if (entry != nullptr) return std::string(entry->pw_name);
  // getpwnam(3): these, too, say that there is none.
  if (error == 0 || error == ENOENT || error == ESRCH) return NotFound("no such user");
  return std::string();
}

}  // namespace

Status CheckLocalUser(const std::string& user) {
  std::vector<char> buffer(kEntryBytes);
  passwd entry{};
  passwd* found = nullptr;
  if (user.starts_with("uid:")) {
    uid_t uid = 0;
    const auto [end, error] = std::from_chars(user.data() + 4, user.data() + user.size(), uid);
    if (error == std::errc() && end == user.data() + user.size()) {
      const int failed = getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
      const auto name = Found(failed, found);
      if (!name.ok() || name->empty()) return Ok();  // known here by the number
      return InvalidArgument("'" + user + "' is called " + *name + " on this machine; write that");
    }
  }
  const int failed = getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (Found(failed, found).ok()) return Ok();
  return NotFound("'" + user +
                  "' is no user of this machine; write a name that `getent passwd` knows, \"*\" for any, or make it "
                  "first (adduser)");
}

}  // namespace hexr::config
