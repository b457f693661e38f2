#include "cli/vault.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/bytes.h"
#include "base/limits/storage.h"
#include "base/wiped.h"
#include "cli/admin_client.h"
#include "cli/output.h"
#include "crypto/secret.h"
#include "runtime/unique_fd.h"

namespace hexr::cli {
namespace {

std::map<std::string, std::string> Named(const Invocation& in) {
  return {{"tenant", in.Get("--tenant")}, {"name", in.Get("SECRET")}};
}

Result<crypto::Secret> ReadSecret(const Invocation& in) {
  const bool from_file = in.Has("--file");
  runtime::UniqueFd file;
  if (from_file) {
    file = runtime::UniqueFd(open(in.Get("--file").c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return InvalidArgument(ErrnoError(in.Get("--file"), errno).message());
  } else if (isatty(STDIN_FILENO) != 0) {
    PrintError("type the secret, then end with Ctrl-D (or use --file, or a pipe)");
  }
  WipedBytes text(limits::kMaxVaultValueBytes + 2);  // one byte for a newline, and one that is too many
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(from_file ? file.get() : STDIN_FILENO, text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(from_file ? in.Get("--file") : "stdin", errno);
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  // A line typed or piped by echo: its newline is nobody's secret.
  if (!from_file && size > 0 && text[size - 1] == '\n') --size;
  if (size == 0) return InvalidArgument("the secret is empty");
  if (size > limits::kMaxVaultValueBytes) {
    return InvalidArgument("the secret is too large: at most " + std::to_string(limits::kMaxVaultValueBytes) +
                           " bytes are kept");
  }
  return crypto::Secret::Copy(ByteView(text).first(size));
}

int RunVaultPut(const Invocation& in) {
  auto secret = ReadSecret(in);
  if (!secret.ok()) return Fail(secret.error());
  const auto r = Admin(in.paths, "vault.put", Named(in), *secret);
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson)
    PrintJson(r->json);
  else
    PrintLine("stored " + in.Get("SECRET") + ", version " + Text(r->json, "version"));
  return kYes;
}

// Not through stdio, whose buffer nobody wipes.
Status WriteOut(ByteView bytes) {
  std::fflush(stdout);
  while (!bytes.empty()) {
    const ssize_t n = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("stdout", errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return Ok();
}

void Append(WipedBytes& out, std::string_view text) { out.insert(out.end(), text.begin(), text.end()); }

// {"name": …, "version": …, "value": …}, written by hand for the same reason.
Status WriteSecretJson(const std::string& name, const wire::Json& answer, ByteView secret) {
  const std::string_view text(reinterpret_cast<const char*>(secret.data()), secret.size());
  if (!IsUtf8(text)) return FailedPrecondition(name + " is no text, which JSON cannot hold; leave out --output json");
  WipedBytes out;
  out.reserve(secret.size() * 6 + name.size() + 100);  // at most \u00XX for each byte: never moved
  Append(out, "{\"name\": " + wire::ToJson(wire::Json(name)) + ", \"version\": " + Text(answer, "version") +
                  ", \"value\": \"");
  for (const uint8_t c : secret) {
    constexpr std::string_view kHex = "0123456789abcdef";
    if (c == '"' || c == '\\') out.push_back('\\');
    if (c >= 0x20) {
      out.push_back(c);
    } else {
      Append(out, "\\u00");
      out.push_back(static_cast<uint8_t>(kHex[c >> 4]));
      out.push_back(static_cast<uint8_t>(kHex[c & 15]));
    }
  }
  Append(out, "\"}\n");
  return WriteOut(out);
}

int RunVaultGet(const Invocation& in) {
  const auto r = Admin(in.paths, "vault.get", Named(in));
  if (!r.ok()) return Fail(r.error());
  const ByteView secret = r->secret.Reveal(crypto::RevealToken::For("vault get, printed for an operator"));
  const bool json = in.output == Output::kJson;
  const Status s = json ? WriteSecretJson(in.Get("SECRET"), r->json, secret) : WriteOut(secret);
  if (!s.ok() || json) return s.ok() ? kYes : Fail(s.error());
  if (isatty(STDOUT_FILENO) != 0) PrintLine("");
  return kYes;
}

int RunVaultList(const Invocation& in) {
  const auto r = Admin(in.paths, "vault.list", {{"tenant", in.Get("--tenant")}});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson) {
    PrintJson(r->json);
    return kYes;
  }
  std::vector<std::vector<std::string>> rows;
  if (const wire::JsonArray* secrets = r->json.FindArray("secrets")) {
    for (const wire::Json& s : *secrets) rows.push_back({Text(s, "name"), Text(s, "version"), Text(s, "updated")});
  }
  PrintTable({"NAME", "VERSION", "UPDATED"}, rows);
  return kYes;
}

int RunVaultDelete(const Invocation& in) {
  const auto r = Admin(in.paths, "vault.delete", Named(in));
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson)
    PrintJson(r->json);
  else
    PrintLine("deleted " + in.Get("SECRET"));
  return kYes;
}

int RunVaultRotate(const Invocation& in) {
  const auto r = Admin(in.paths, "vault.rotate", {{"tenant", in.Get("--tenant")}});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson)
    PrintJson(r->json);
  else
    PrintLine("the secrets of " + Text(r->json, "tenant") + " are under a new key");
  return kYes;
}

}  // namespace

std::vector<Command> VaultCommands() {
  return {
      {"vault put",
       "Store a secret, read from stdin or a file",
       "pass show openai | hexr vault put openai-key",
       {{"--tenant", "TENANT", "the node's own tenant"}, {"--file", "FILE", "read the secret from here"}},
       {{"SECRET", "a path of names: openai-key, db/prod"}},
       RunVaultPut},
      {"vault get",
       "Print a secret",
       "hexr vault get openai-key",
       {{"--tenant", "TENANT", "the node's own tenant"}},
       {{"SECRET", "its name"}},
       RunVaultGet},
      {"vault list",
       "List secrets, never their values",
       "hexr vault list",
       {{"--tenant", "TENANT", "the node's own tenant"}},
       {},
       RunVaultList},
      {"vault delete",
       "Delete a secret, all versions",
       "hexr vault delete openai-key",
       {{"--tenant", "TENANT", "the node's own tenant"}},
       {{"SECRET", "its name"}},
       RunVaultDelete},
      {"vault rotate",
       "Put a tenant's secrets under a new key",
       "hexr vault rotate --tenant acme",
       {{"--tenant", "TENANT", "the node's own tenant"}},
       {},
       RunVaultRotate},
  };
}

}  // namespace hexr::cli
