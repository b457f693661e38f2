// Bytes as a bundle, packed or not: refused or read, within the limits; what is not signed passes no check, and what is
// passes none once a byte differs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "policy/bundle/bundle.h"
#include "policy/bundle/signature.h"

using namespace hexr;
using namespace hexr::policy;

namespace {

struct Signer {
  crypto::PrivateKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  Verification verification{
      .keys = {{"k", {key.public_key(), crypto::SignatureAlgorithm::kEs256, ""}}}, .key_id = "k", .scope = ""};
};

void Read(std::vector<BundleFile> files, const Verification& verification) {
  if (VerifyBundle(files, verification).ok()) std::abort();
  auto bundle = ParseBundle(std::move(files));
  if (!bundle.ok() || !bundle->delta) return;
  rego::Arena arena;
  (void)ApplyPatch(arena, bundle->documents.data, *bundle);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Signer signer;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  constexpr ArchiveLimits kLimits{.unpacked_bytes = 1 << 20, .files = 64};
  if (auto files = ReadTarGz(bytes, kLimits); files.ok()) {
    // The same files again, whatever way they were packed.
    auto packed = WriteTarGz(*files);
    if (packed.ok()) {
      const auto again = ReadTarGz(*packed, kLimits);
      if (!again.ok() || again->size() != files->size()) std::abort();
      for (size_t i = 0; i < files->size(); ++i) {
        if ((*again)[i].path != (*files)[i].path || (*again)[i].bytes != (*files)[i].bytes) std::abort();
      }
    }
    Read(std::move(*files), signer.verification);
  }
  if (size == 0) return 0;
  // The first byte chooses what the rest is.
  static constexpr const char* kNames[] = {".manifest", "patch.json",       "data.json",
                                           "a.rego",    ".signatures.json", "data.yaml"};
  const char* name = kNames[data[0] % std::size(kNames)];
  Read({{name, std::string(bytes.substr(1))}}, signer.verification);
  if (name == kSignaturesFile) return 0;
  std::vector<BundleFile> files{{"policy.rego", std::string(bytes)}, {name, std::string(bytes.substr(1))}};
  if (files[1].path == "a.rego") files.pop_back();
  auto signature = SignBundle(files, signer.key, crypto::SignatureAlgorithm::kEs256, "k", "");
  if (!signature.ok()) return 0;  // a document that does not parse
  files.push_back({std::string(kSignaturesFile), *signature});
  if (!VerifyBundle(files, signer.verification).ok()) std::abort();
  files[0].bytes[size / 2] = static_cast<char>(files[0].bytes[size / 2] ^ 1);
  if (VerifyBundle(files, signer.verification).ok()) std::abort();
  return 0;
}
