#include "cli/bundles.h"

#include <cerrno>
#include <fstream>
#include <sstream>

#include "cli/admin_print.h"
#include "cli/output.h"

namespace hexr::cli {

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
  std::ifstream file(in.Get("FILE"), std::ios::binary);
  if (!file) return Fail(InvalidArgument(ErrnoError(in.Get("FILE"), errno).message()));
  std::ostringstream text;
  text << file.rdbuf();
  const auto r = Admin(in.paths, "bundle.set",
                       {{"trust_domain", in.Get("TRUST_DOMAIN")},
                        {"bundle", text.str()},
                        {"older", in.Has("--allow-older") ? "allow" : ""}});
  return PrintDone(in, r, "trusts " + in.Get("TRUST_DOMAIN"));
}

}  // namespace hexr::cli
