#include "keeper/state.h"

#include <cstdlib>

namespace hexr::keeper {
namespace {

constexpr char kKeys[] = "keys";
constexpr char kAuthority[] = "authority";
constexpr char kNode[] = "node";
constexpr char kTrustDomain[] = "trust_domain";
constexpr size_t kKeyBytes = 32;

std::optional<store::MachineKeyProvider> Provider(config::MachineKey k) {
  switch (k) {
    case config::MachineKey::kAuto: return std::nullopt;
    case config::MachineKey::kTpm: return store::MachineKeyProvider::kTpm;
    case config::MachineKey::kSystemdCredential: return store::MachineKeyProvider::kSystemdCredential;
    case config::MachineKey::kPassphrase: return store::MachineKeyProvider::kPassphrase;
    case config::MachineKey::kFile: return store::MachineKeyProvider::kFile;
  }
  return std::nullopt;
}

// Keys, identities and logs are made under one name and cannot take another.
Status CheckTrustDomain(store::SealedStore& store, const std::string& name, const std::string& folder) {
  const auto kept = store.Get(kNode, kTrustDomain);
  if (!kept.ok() && kept.error().code() == ErrorCode::kNotFound)
    return store.Put(kNode, kTrustDomain, crypto::Secret::Copy(AsBytes(name)));
  if (!kept.ok()) return kept.error();
  const std::string was(kept->RevealText(crypto::RevealToken::For("name of the trust domain, not secret")));
  if (was == name) return Ok();
  return FailedPrecondition("trust_domain: the configuration says " + name + ", and the state in " + folder +
                            " is of " + was + ", for good: write `trust_domain: " + was +
                            "`, or give the new one a state folder of its own (HEXR_HOME)");
}

}  // namespace

Result<std::unique_ptr<State>> State::Open(const config::Config& config, const std::string& state_dir, Random& random) {
  store::MachineKeyOptions options;
  options.state_folder = state_dir;
  options.provider = Provider(config.machine_key);
  if (const char* folder = std::getenv("CREDENTIALS_DIRECTORY")) options.credentials_folder = folder;
  options.passphrase_file = config.passphrase_file;
  ASSIGN_OR_RETURN(store::MachineKey key, store::MachineKey::Open(options, random));
  ASSIGN_OR_RETURN(store::SealedStore sealed,
                   store::SealedStore::Open({state_dir + "/keeper.db", std::nullopt}, key.key(), random));
  RETURN_IF_ERROR(CheckTrustDomain(sealed, config.trust_domain.name(), state_dir));
  return std::unique_ptr<State>(new State(std::move(key), std::move(sealed)));
}

Result<crypto::Secret> State::KeyFor(const std::string& name, Random& random) {
  auto kept = store_.Get(kKeys, name);
  if (kept.ok() || kept.error().code() != ErrorCode::kNotFound) return kept;
  crypto::Secret fresh = crypto::Secret::Random(kKeyBytes, random);
  RETURN_IF_ERROR(store_.Put(kKeys, name, fresh));
  return fresh;
}

Status State::ForgetKey(const std::string& name) { return store_.Delete(kKeys, name); }

Result<std::optional<crypto::Secret>> State::Load() {
  auto kept = store_.Get(kKeys, kAuthority);
  if (kept.ok()) return std::optional<crypto::Secret>(std::move(kept).value());
  if (kept.error().code() == ErrorCode::kNotFound) return std::optional<crypto::Secret>();
  return kept.error();
}

Status State::Save(const crypto::Secret& state) { return store_.Put(kKeys, kAuthority, state); }

}  // namespace hexr::keeper
