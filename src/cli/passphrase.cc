#include "cli/passphrase.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/limits/storage.h"
#include "runtime/unique_fd.h"

namespace hexr::cli {
namespace {

// One line, or what there is of one, straight into a Secret.
Result<crypto::Secret> ReadLineOf(int fd) {
  size_t size = 0;
  int error = 0;
  crypto::Secret line = crypto::Secret::Make(limits::kMaxPassphraseBytes + 1, [&](std::span<uint8_t> out) {
    while (size < out.size()) {
      const ssize_t n = read(fd, &out[size], 1);  // byte by byte: what follows the line is not ours
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) error = errno;
      if (n <= 0 || out[size] == '\n') break;
      ++size;
    }
  });
  if (error != 0) return ErrnoError("read the passphrase", error);
  if (size < limits::kMinPassphraseBytes || size > limits::kMaxPassphraseBytes) {
    return InvalidArgument("a passphrase has " + std::to_string(limits::kMinPassphraseBytes) + " to " +
                           std::to_string(limits::kMaxPassphraseBytes) + " bytes");
  }
  return crypto::Secret::Copy(line.Reveal(crypto::RevealToken::For("passphrase, its first line")).first(size));
}

Result<crypto::Secret> Ask(const char* question) {
  termios shown{};
  if (tcgetattr(STDIN_FILENO, &shown) != 0) return ErrnoError("terminal", errno);
  termios hidden = shown;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  std::fputs(question, stderr);
  (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  auto line = ReadLineOf(STDIN_FILENO);
  (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
  std::fputc('\n', stderr);
  return line;
}

}  // namespace

Result<crypto::Secret> ReadPassphrase(const std::string& file, bool twice) {
  if (!file.empty()) {
    const runtime::UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return InvalidArgument(ErrnoError(file, errno).message());
    return ReadLineOf(fd.get());
  }
  if (isatty(STDIN_FILENO) == 0) return ReadLineOf(STDIN_FILENO);
  ASSIGN_OR_RETURN(crypto::Secret first, Ask("passphrase: "));
  if (!twice) return first;
  ASSIGN_OR_RETURN(const crypto::Secret second, Ask("again: "));
  if (!(first == second)) return InvalidArgument("the two are not the same");
  return first;
}

}  // namespace hexr::cli
