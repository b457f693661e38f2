#include "cli/bundles.h"

#include <cerrno>

#include "cli/admin_print.h"
#include "cli/files.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

int RunStatus(const Invocation& in) { return PrintObject(in, Admin(in.paths, "status", {})); }

int RunBundleShow(const Invocation& in) {
  const auto r =
      Admin(in.paths, "bundle.show", {{"trust_domain", in.Get("TRUST_DOMAIN")}, {"all", in.Has("--all") ? "yes" : ""}});
  if (!r.ok()) return Fail(r.error());
  PrintJson(r->json);  // a document of the standard: JSON in either output
  return kYes;
}

int RunBundleList(const Invocation& in) {
  return PrintList(in, Admin(in.paths, "bundle.list", {}), "bundles",
                   {{"TRUST DOMAIN", "trust_domain"},
                    {"OWN", "own"},
                    {"X.509", "x509_authorities"},
                    {"JWT", "jwt_keys"},
                    {"SEQUENCE", "sequence"},
                    {"SOURCE", "source"},
                    {"REFRESHED", "refreshed"},
                    {"NEXT", "next"},
                    {"ERROR", "error"}});
}

int SetMap(const Invocation& in, const std::string& older) {
  const auto text = ReadNamedFile(in.Get("--map"));
  if (!text.ok()) return Fail(text.error());
  const auto r = Admin(in.paths, "bundle.set_map", {{"bundles", *text}, {"older", older}});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson) {
    PrintJson(r->json);
  } else if (const wire::JsonArray* taken = r->json.FindArray("trust_domains")) {
    for (const wire::Json& td : *taken) PrintLine("trusts " + *td.as_string());
  }
  const wire::JsonArray* refused = r->json.FindArray("refused");
  if (refused == nullptr || refused->empty()) return kYes;
  for (const wire::Json& one : *refused) PrintError(Text(one, "trust_domain") + ": " + Text(one, "error"));
  return kNo;
}

int RunBundleSet(const Invocation& in) {
  const std::string older = in.Has("--allow-older") ? "allow" : "";
  if (in.Has("--map") == (in.Has("TRUST_DOMAIN") || in.Has("FILE")) || in.Has("TRUST_DOMAIN") != in.Has("FILE")) {
    PrintError("give either TRUST_DOMAIN FILE or --map FILE");
    return kUsage;
  }
  if (in.Has("--map")) return SetMap(in, older);
  const auto text = ReadNamedFile(in.Get("FILE"));
  if (!text.ok()) return Fail(text.error());
  const auto r =
      Admin(in.paths, "bundle.set", {{"trust_domain", in.Get("TRUST_DOMAIN")}, {"bundle", *text}, {"older", older}});
  return PrintDone(in, r, "trusts " + in.Get("TRUST_DOMAIN"));
}

int RunBundleDelete(const Invocation& in) {
  const auto r = Admin(in.paths, "bundle.delete", {{"trust_domain", in.Get("TRUST_DOMAIN")}});
  return PrintDone(in, r, "no longer trusts " + in.Get("TRUST_DOMAIN"));
}

}  // namespace

std::vector<Command> BundleCommands() {
  return {
      {"status", "Show the node: trust domain, machine key, what it holds", "hexr status", {}, {}, RunStatus},
      {"bundle show",
       "Print a trust bundle (the node's own)",
       "hexr bundle show > bundle.json",
       {{"--all", "", "every trust bundle that the node knows, as one map"}},
       {{"TRUST_DOMAIN", "another trust domain's", false}},
       RunBundleShow},
      {"bundle list", "List the trust bundles that the node knows", "hexr bundle list", {}, {}, RunBundleList},
      {"bundle set",
       "Trust another trust domain by its bundle",
       "hexr bundle set other.org other.json",
       {{"--allow-older", "", "also a bundle with a lower sequence than the known one"},
        {"--map", "FILE",
         "many at once: what `hexr bundle show --all` prints elsewhere; the node's own is left alone"}},
       {{"TRUST_DOMAIN", "whose bundle it is", false}, {"FILE", "a SPIFFE bundle document", false}},
       RunBundleSet},
      {"bundle delete",
       "Trust a trust domain no longer whose bundle was set by hand",
       "hexr bundle delete other.org",
       {},
       {{"TRUST_DOMAIN", "whose bundle it is"}},
       RunBundleDelete},
  };
}

}  // namespace hexr::cli
