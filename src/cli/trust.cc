#include "cli/trust.h"

#include "cli/admin_print.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

int RunEntryCreate(const Invocation& in) {
  std::string selectors;
  for (const std::string& s : in.All("--selector")) selectors += s + "\n";
  const auto r = Admin(
      in.paths, "entry.create",
      {{"entry", in.Get("ENTRY")}, {"selectors", selectors}, {"ttl", in.Get("--ttl")}, {"hint", in.Get("--hint")}});
  return PrintDone(in, r, r.ok() ? "created " + Text(r->json, "spiffe_id") : "");
}

int RunEntryList(const Invocation& in) {
  return PrintList(in, Admin(in.paths, "entry.list", {}), "entries",
                   {{"ENTRY", "entry"}, {"SPIFFE ID", "spiffe_id"}, {"SELECTORS", "selectors"}, {"FROM", "origin"}});
}

int RunEntryShow(const Invocation& in) {
  return PrintObject(in, Admin(in.paths, "entry.show", {{"entry", in.Get("ENTRY")}}));
}

int RunEntryDelete(const Invocation& in) {
  return PrintDone(in, Admin(in.paths, "entry.delete", {{"entry", in.Get("ENTRY")}}), "deleted " + in.Get("ENTRY"));
}

int RunAuthorityList(const Invocation& in) {
  return PrintList(in, Admin(in.paths, "authority.list", {}), "keys",
                   {{"USE", "use"},
                    {"STATE", "state"},
                    {"TAINTED", "tainted"},
                    {"ISSUED", "issued"},
                    {"EXPIRES", "expires"},
                    {"ID", "id"}});
}

int RunAuthorityRotate(const Invocation& in) {
  const auto r = Admin(in.paths, "authority.rotate",
                       {{"use", in.Get("--use")}, {"prepare_only", in.Has("--prepare-only") ? "true" : ""}});
  if (!r.ok()) return Fail(r.error());
  std::string sentence = Text(r->json, "use") + " key " + Text(r->json, "id") + " is " + Text(r->json, "state");
  if (const std::string old = Text(r->json, "old"); !old.empty()) {
    sentence +=
        "; " + old + " is old and still trusted: `hexr authority taint` replaces what it signed, `revoke` voids it";
  }
  return PrintDone(in, r, sentence);
}

int RunAuthorityTaint(const Invocation& in) {
  return PrintDone(
      in, Admin(in.paths, "authority.taint", {{"id", in.Get("KEY")}}),
      "tainted: everything that it signed is replaced now; then `hexr authority revoke " + in.Get("KEY") + "`");
}

int RunAuthorityRevoke(const Invocation& in) {
  return PrintDone(in, Admin(in.paths, "authority.revoke", {{"id", in.Get("KEY")}}),
                   "revoked: nothing that it signed is valid");
}

}  // namespace

std::vector<Command> TrustCommands() {
  return {
      {"entry create",
       "Give an identity to a service that hexr did not launch, by what the kernel says of it",
       "hexr entry create service/db --selector unix:uid:110 --selector unix:path:/usr/bin/postgres",
       {{"--selector", "SELECTOR", "TYPE:KEY:VALUE, as in SPIRE; all have to hold", "", true, true},
        {"--ttl", "DURATION", "how long its SVIDs live, 1m to 1h (the node's)"},
        {"--hint", "TEXT", "tells it which identity to use where it has several"}},
       {{"ENTRY", "the path of its SPIFFE ID: service/db"}},
       RunEntryCreate},
      {"entry list", "List the entries for services that hexr did not launch", "hexr entry list", {}, {}, RunEntryList},
      {"entry show", "Show one entry", "hexr entry show service/db", {}, {{"ENTRY", "the entry"}}, RunEntryShow},
      {"entry delete",
       "Delete an entry; what it gave ends at once",
       "hexr entry delete service/db",
       {},
       {{"ENTRY", "the entry"}},
       RunEntryDelete},
      {"authority list",
       "List the keys that sign identities: prepared, active, old",
       "hexr authority list",
       {},
       {},
       RunAuthorityList},
      {"authority rotate",
       "Let the next signing key take over",
       "hexr authority rotate --use x509",
       {{"--use", "USE", "x509, jwt or wit", "x509", false, false, {"x509", "jwt", "wit"}},
        {"--prepare-only", "", "publish the next key, and let it sign later: others learn it first"}},
       {},
       RunAuthorityRotate},
      {"authority taint",
       "Replace everything that an old key has signed",
       "hexr authority taint 5f0c…",
       {},
       {{"KEY", "a key, as `hexr authority list` prints it"}},
       RunAuthorityTaint},
      {"authority revoke",
       "Void everything that an old key has signed",
       "hexr authority revoke 5f0c…",
       {},
       {{"KEY", "a key, as `hexr authority list` prints it"}},
       RunAuthorityRevoke},
  };
}

}  // namespace hexr::cli
