#include "cli/vault.h"

#include <unistd.h>

#include <iostream>
#include <sstream>

#include "base/limits/storage.h"
#include "cli/admin_client.h"
#include "cli/files.h"
#include "cli/output.h"
#include "crypto/secret.h"

namespace hexr::cli {
namespace {

std::map<std::string, std::string> Named(const Invocation& in) {
  return {{"tenant", in.Get("--tenant")}, {"name", in.Get("NAME")}};
}

Result<std::string> ReadSecret(const Invocation& in) {
  std::string secret;
  if (in.Has("--file")) {
    ASSIGN_OR_RETURN(secret, ReadNamedFile(in.Get("--file")));
  } else {
    if (isatty(STDIN_FILENO) != 0) PrintError("type the secret, then end with Ctrl-D (or use --file, or a pipe)");
    std::ostringstream text;
    text << std::cin.rdbuf();
    secret = text.str();
  }
  // A line typed or piped by echo: its newline is nobody's secret.
  if (!in.Has("--file") && secret.ends_with('\n')) secret.pop_back();
  if (secret.empty()) return InvalidArgument("the secret is empty");
  if (secret.size() > limits::kMaxVaultValueBytes) {
    return InvalidArgument("the secret has " + std::to_string(secret.size()) + " bytes; at most " +
                           std::to_string(limits::kMaxVaultValueBytes) + " are kept");
  }
  return secret;
}

int RunVaultPut(const Invocation& in) {
  auto secret = ReadSecret(in);
  if (!secret.ok()) return Fail(secret.error());
  const auto r = Admin(in.paths, "vault.put", Named(in), *secret);
  crypto::WipeMemory({reinterpret_cast<uint8_t*>(secret->data()), secret->size()});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson)
    PrintJson(r->json);
  else
    PrintLine("stored " + in.Get("NAME") + ", version " + Text(r->json, "version"));
  return kYes;
}

int RunVaultGet(const Invocation& in) {
  const auto r = Admin(in.paths, "vault.get", Named(in));
  if (!r.ok()) return Fail(r.error());
  std::fwrite(r->secret.data(), 1, r->secret.size(), stdout);
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
    PrintLine("deleted " + in.Get("NAME"));
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
       {{"--tenant", "NAME", "the node's own tenant"}, {"--file", "FILE", "read the secret from here"}},
       {{"NAME", "a path of names: openai-key, db/prod"}},
       RunVaultPut},
      {"vault get",
       "Print a secret",
       "hexr vault get openai-key",
       {{"--tenant", "NAME", "the node's own tenant"}},
       {{"NAME", "the secret"}},
       RunVaultGet},
      {"vault list",
       "List secrets, never their values",
       "hexr vault list",
       {{"--tenant", "NAME", "the node's own tenant"}},
       {},
       RunVaultList},
      {"vault delete",
       "Delete a secret, all versions",
       "hexr vault delete openai-key",
       {{"--tenant", "NAME", "the node's own tenant"}},
       {{"NAME", "the secret"}},
       RunVaultDelete},
      {"vault rotate",
       "Put a tenant's secrets under a new key",
       "hexr vault rotate --tenant acme",
       {{"--tenant", "NAME", "the node's own tenant"}},
       {},
       RunVaultRotate},
  };
}

}  // namespace hexr::cli
