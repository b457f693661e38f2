#include "policy/tools/inspect.h"

#include <algorithm>

#include "policy/tools/json_text.h"

namespace hexr::policy {
namespace {

void NoteModule(const rego::Source& s, rego::Version version, Inspection& out) {
  std::vector<rego::Diagnostic> errors;
  auto m = rego::ParseModule(s.file, s.text, {s.version.value_or(version), 0}, errors);
  if (!m) return;
  const std::string package = rego::RefText(*m->package);
  out.namespaces[package].push_back(s.file);
  auto note = [&](int index, const std::string& path, const rego::Location& at) {
    std::string j = "{\"annotations\":" + m->annotations[static_cast<size_t>(index)].json + ",\"location\":{\"file\":";
    rego::AppendJsonString(s.file, true, j);
    j += ",\"row\":" + std::to_string(at.row) + ",\"col\":" + std::to_string(at.col) + "},\"path\":";
    rego::AppendJsonString(path, true, j);
    out.annotations.push_back(j + "}");
  };
  for (int a : m->package_annotations) note(a, package, m->package->at);
  for (const auto& r : m->rules) {
    for (int a : r->annotations) note(a, package + "." + rego::RefText(*r->head.ref), r->at);
  }
}

}  // namespace

Result<Inspection> Inspect(const std::string& path, const Verification* verification, rego::Version version) {
  Inspection out;
  if (path.ends_with(".rego")) {
    ASSIGN_OR_RETURN(std::string text, ReadPolicyFile(path));
    std::vector<rego::Diagnostic> errors;
    if (!rego::ParseModule(path, text, {version, 0}, errors)) return InvalidArgument(rego::FormatDiagnostics(errors));
    NoteModule({path, std::move(text)}, version, out);
    return out;
  }
  ASSIGN_OR_RETURN(auto files, ReadBundlePath(path));
  for (const BundleFile& f : files) {
    out.has_manifest = out.has_manifest || f.path == ".manifest";
    out.is_signed = out.is_signed || f.path == kSignaturesFile;
    const size_t slash = f.path.rfind('/');
    const std::string name = f.path.substr(slash + 1);
    if (name != "data.json" && name != "data.yaml" && name != "data.yml") continue;
    std::string at = "data";
    if (slash != std::string::npos) at += "." + f.path.substr(0, slash);
    std::replace(at.begin(), at.end(), '/', '.');
    out.namespaces[at].push_back("/" + f.path);
  }
  if (verification != nullptr) {
    const Status s = VerifyBundle(files, *verification);
    out.signature = s.ok() ? "good" : s.error().message();
  }
  ASSIGN_OR_RETURN(Bundle bundle, ParseBundle(std::move(files), version));
  out.manifest = bundle.manifest;
  out.digest = bundle.digest;
  for (rego::Source& s : bundle.documents.sources) {
    s.file = "/" + s.file;
    NoteModule(s, bundle.manifest.version, out);
  }
  return out;
}

std::string InspectionText(const Inspection& i, bool annotations) {
  std::string out;
  auto line = [&](std::string name, const std::string& value) {
    name.resize(std::max<size_t>(name.size() + 2, 24), ' ');
    out += "  " + name + value + "\n";
  };
  if (i.has_manifest) {
    out += "MANIFEST\n";
    line("revision", i.manifest.revision);
    for (const auto& r : i.manifest.roots) line("root", r.empty() ? "(everything)" : r);
    line("rego version", i.manifest.version == rego::Version::kV1 ? "1" : "0");
  }
  if (!i.digest.empty()) {
    out += "BUNDLE\n";
    line("sha-256", i.digest);
    line("signature", !i.is_signed ? "none" : i.signature.empty() ? "present, not checked" : i.signature);
  }
  out += "NAMESPACES\n";
  for (const auto& [name, files] : i.namespaces) {
    for (const auto& f : files) line(name, f);
  }
  if (annotations) {
    out += "ANNOTATIONS\n";
    for (const auto& a : i.annotations) out += "  " + a + "\n";
  }
  return out;
}

std::string InspectionJson(const Inspection& i, bool annotations) {
  JsonText j;
  j.BeginObject();
  if (i.has_manifest) {
    j.Key("manifest");
    std::string m = ManifestJson(i.manifest);
    m.pop_back();
    j.Plain(m);
  }
  if (!i.digest.empty()) {
    j.Member("digest", i.digest);
    j.Key("signed");
    j.Bool(i.is_signed);
    if (!i.signature.empty()) j.Member("signature", i.signature);
  }
  j.Key("namespaces");
  j.BeginObject();
  for (const auto& [name, files] : i.namespaces) {
    j.Key(name);
    j.BeginArray();
    for (const auto& f : files) j.String(f);
    j.EndArray();
  }
  j.EndObject();
  if (annotations) {
    j.Key("annotations");
    j.BeginArray();
    for (const auto& a : i.annotations) j.Plain(a);
    j.EndArray();
  }
  j.EndObject();
  return j.Take() + "\n";
}

}  // namespace hexr::policy
