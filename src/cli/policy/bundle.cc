#include "policy/bundle/bundle.h"

#include <filesystem>
#include <fstream>

#include "cli/output.h"
#include "cli/policy/common.h"
#include "cli/policy/policy_commands.h"
#include "policy/rego/value/json.h"
#include "policy/tools/inspect.h"

namespace hexr::cli {
namespace {

using policy::BundleFile;

Result<std::string> Signature(const Invocation& in, const std::vector<BundleFile>& files) {
  ASSIGN_OR_RETURN(const std::string pem, policy::ReadPolicyFile(in.Get("--signing-key")));
  ASSIGN_OR_RETURN(const crypto::PrivateKey key, policy::ParseSigningKey(pem));
  crypto::SignatureAlgorithm algorithm = crypto::DefaultAlgorithm(key.type());
  if (in.Has("--signing-alg")) {
    ASSIGN_OR_RETURN(algorithm, crypto::ParseAlgorithm(in.Get("--signing-alg")));
  }
  return policy::SignBundle(files, key, algorithm, in.Get("--signing-key-id"), in.Get("--scope"));
}

Status WriteOut(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  out.close();
  return out ? Ok() : Status(InvalidArgument("cannot write " + path));
}

// The path of a policy within the bundle: no root, no way up.
std::string Inside(const std::string& path) {
  std::string out;
  for (const auto& part : std::filesystem::path(path).lexically_normal()) {
    if (part != ".." && part != "." && part != "/" && !part.empty()) out += (out.empty() ? "" : "/") + part.string();
  }
  return out;
}

Result<std::string> Build(const Invocation& in) {
  ASSIGN_OR_RETURN(policy::Documents documents, LoadPolicies(in));
  std::vector<rego::Diagnostic> errors;
  if (!rego::Policy::Compile(documents.sources, {.version = VersionOf(in)}, errors))
    return InvalidArgument(rego::FormatDiagnostics(errors));
  policy::Manifest manifest;
  manifest.revision = in.Has("--revision") ? in.Get("--revision") : documents.revision;
  manifest.version = VersionOf(in);
  if (in.Has("--root")) manifest.roots = in.All("--root");
  std::vector<BundleFile> files{{".manifest", policy::ManifestJson(manifest)},
                                {"data.json", rego::ToJson(documents.data) + "\n"}};
  for (rego::Source& s : documents.sources) files.push_back({Inside(s.file), std::move(s.text)});
  if (in.Has("--signing-key")) {
    ASSIGN_OR_RETURN(std::string signature, Signature(in, files));
    files.push_back({std::string(policy::kSignaturesFile), std::move(signature)});
  }
  // What we write, a node takes: roots and paths are checked now.
  if (auto taken = policy::ParseBundle(files, manifest.version); !taken.ok()) return taken.error();
  return policy::WriteTarGz(files);
}

}  // namespace

int RunPolicyBuild(const Invocation& in) {
  if (in.All("PATH").empty() && in.All("--bundle").empty())
    return Fail(InvalidArgument("name what goes into the bundle: hexr policy build policies/ -o bundle.tar.gz"));
  auto archive = Build(in);
  if (!archive.ok()) return Fail(archive.error());
  if (Status s = WriteOut(in.Get("--out"), *archive); !s.ok()) return Fail(s.error());
  if (in.output == Output::kJson) PrintJson(wire::JsonObject{{"bundle", in.Get("--out")}});
  return kYes;
}

int RunPolicySign(const Invocation& in) {
  auto files = policy::ReadBundlePath(in.Get("PATH"));
  if (!files.ok()) return Fail(files.error());
  auto signature = Signature(in, *files);
  if (!signature.ok()) return Fail(signature.error());
  const std::string folder = in.Has("--out") ? in.Get("--out") : in.Get("PATH");
  const std::string path = folder + "/" + std::string(policy::kSignaturesFile);
  if (Status s = WriteOut(path, *signature); !s.ok()) return Fail(s.error());
  if (in.output == Output::kJson) PrintJson(wire::JsonObject{{"signatures", path}});
  return kYes;
}

int RunPolicyInspect(const Invocation& in) {
  policy::Verification verification;
  const bool check = in.Has("--verification-key");
  if (check) {
    auto pem = policy::ReadPolicyFile(in.Get("--verification-key"));
    if (!pem.ok()) return Fail(pem.error());
    auto key = policy::ParseVerificationKey(*pem, in.Get("--signing-alg"));
    if (!key.ok()) return Fail(key.error().WithContext(in.Get("--verification-key")));
    verification.key_id = in.Get("--verification-key-id");
    verification.scope = in.Get("--scope");
    verification.keys.emplace(verification.key_id, std::move(*key));
  }
  auto found = policy::Inspect(in.Get("PATH"), check ? &verification : nullptr, VersionOf(in));
  if (!found.ok()) return Fail(found.error());
  const bool json = in.output == Output::kJson || in.Get("--format") == "json";
  Print(json ? policy::InspectionJson(*found, in.Has("--annotations"))
             : policy::InspectionText(*found, in.Has("--annotations")));
  return check && found->signature != "good" ? kNo : kYes;
}

}  // namespace hexr::cli
