#include "cli/bundles.h"

#include <cerrno>
#include <fstream>
#include <sstream>

#include "cli/admin_client.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

// A document of the node as it is: JSON, or "key  value" lines.
int PrintDocument(const Invocation& in, const Result<AdminReply>& r) {
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson || r->json.as_object() == nullptr) {
    PrintJson(r->json);
    return kYes;
  }
  std::vector<std::pair<std::string, std::string>> fields;
  for (const wire::JsonMember& m : *r->json.as_object()) fields.emplace_back(m.key, Text(r->json, m.key));
  PrintFields(fields);
  return kYes;
}

// A list of objects as a table of the named members.
int PrintList(const Invocation& in, const Result<AdminReply>& r, const char* list,
              const std::vector<std::pair<std::string, std::string>>& columns) {
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson) {
    PrintJson(r->json);
    return kYes;
  }
  std::vector<std::string> header;
  for (const auto& [title, key] : columns) header.push_back(title);
  std::vector<std::vector<std::string>> rows;
  if (const wire::JsonArray* items = r->json.FindArray(list)) {
    for (const wire::Json& item : *items) {
      std::vector<std::string> row;
      for (const auto& [title, key] : columns) row.push_back(Text(item, key));
      rows.push_back(std::move(row));
    }
  }
  PrintTable(header, rows);
  return kYes;
}

}  // namespace

int RunStatus(const Invocation& in) { return PrintDocument(in, Admin(in.paths, "status", {})); }

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
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson)
    PrintJson(r->json);
  else
    PrintLine("trusts " + in.Get("TRUST_DOMAIN"));
  return kYes;
}

int RunEntryList(const Invocation& in) {
  return PrintList(in, Admin(in.paths, "entry.list", {}), "entries",
                   {{"ENTRY", "entry"}, {"SPIFFE ID", "spiffe_id"}, {"SELECTORS", "selectors"}});
}

}  // namespace hexr::cli
