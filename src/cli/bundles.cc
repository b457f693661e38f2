#include "cli/bundles.h"

#include <cerrno>

#include "cli/admin_print.h"
#include "cli/files.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

int RunStatus(const Invocation& in) { return PrintObject(in, Admin(in.paths, "status", {})); }

int RunBundleShow(const Invocation& in) {
  const auto r = Admin(in.paths, "bundle.show", {{"trust_domain", in.Get("TRUST_DOMAIN")}});
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

int RunBundleSet(const Invocation& in) {
  const auto text = ReadNamedFile(in.Get("FILE"));
  if (!text.ok()) return Fail(text.error());
  const auto r = Admin(
      in.paths, "bundle.set",
      {{"trust_domain", in.Get("TRUST_DOMAIN")}, {"bundle", *text}, {"older", in.Has("--allow-older") ? "allow" : ""}});
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
       {},
       {{"TRUST_DOMAIN", "another trust domain's", false}},
       RunBundleShow},
      {"bundle list", "List the trust bundles that the node knows", "hexr bundle list", {}, {}, RunBundleList},
      {"bundle set",
       "Trust another trust domain by its bundle",
       "hexr bundle set other.org other.json",
       {{"--allow-older", "", "also a bundle with a lower sequence than the known one"}},
       {{"TRUST_DOMAIN", "whose bundle it is"}, {"FILE", "a SPIFFE bundle document"}},
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
