// Tenants' secrets at rest.
//
//   machine key ── wraps ──▶ tenant key ── wraps ──▶ data key of one version ── seals ──▶ value
//
// Everything is sealed for its place (vault, tenant, name, version), so that rows which somebody exchanged in the file
// do not open, and names are looked up by a digest under the tenant's key. Not defended: whoever can write the file can
// put back an older copy of a whole row. Who may ask for what is policy, and decided before this is called: `tenant`
// comes from a verified identity, never from a request. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits/storage.h"
#include "base/random.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/secret.h"
#include "store/database.h"

namespace hexr::credentials {

// A path of one to limits::kMaxVaultNameSegments name segments: "openai-key", "db/prod/password".
class VaultName {
 public:
  static Result<VaultName> Parse(std::string_view text);
  const std::string& value() const { return value_; }
  auto operator<=>(const VaultName&) const = default;

 private:
  explicit VaultName(std::string v) : value_(std::move(v)) {}
  std::string value_;
};

struct VaultSecret {
  crypto::Secret value;
  uint32_t version;
  WallTime created;
};

struct VaultEntry {
  VaultName name;
  uint32_t version;   // the latest
  uint32_t versions;  // how many are kept
  WallTime created;   // of the latest
};

struct VaultOptions {
  store::DatabaseOptions database;
  size_t max_secrets_per_tenant = limits::kMaxVaultSecretsPerTenant;
};

class Vault {
 public:
  // FAILED_PRECONDITION: sealed under another machine key. `clock` and `random` outlive the vault.
  static Result<Vault> Open(const VaultOptions& options, const crypto::AeadKey& machine_key, const Clock& clock,
                            Random& random);

  // Adds a version and returns its number, from 1; versions beyond limits::kMaxVaultVersions are deleted, oldest first.
  // INVALID_ARGUMENT: an empty or too large value. RESOURCE_EXHAUSTED: the tenant has all the secrets it may have.
  // `quota`: how many secrets this tenant may have, where that is less than the vault's own bound.
  Result<uint32_t> Put(const IdSegment& tenant, const VaultName& name, const crypto::Secret& value,
                       size_t quota = SIZE_MAX);
  // The latest version, or the one asked for. NOT_FOUND: none. DATA_LOSS: a row that was changed or belongs elsewhere.
  Result<VaultSecret> Get(const IdSegment& tenant, const VaultName& name, std::optional<uint32_t> version = {});
  // Sorted by name; `prefix` is "" or whole leading segments: "db" finds "db/prod" and not "dbx".
  Result<std::vector<VaultEntry>> List(const IdSegment& tenant, std::string_view prefix = "");
  // All versions. NOT_FOUND: none.
  Status Delete(const IdSegment& tenant, const VaultName& name);
  // Everything of the tenant, its key first of all. OK also when there is nothing.
  Status DeleteTenant(const IdSegment& tenant);

  // A new tenant key; data keys are wrapped again under it, values stay as they are. NOT_FOUND: no such tenant.
  Status RotateTenantKey(const IdSegment& tenant);

 private:
  struct Tenant {
    crypto::Sha256Digest digest;  // stands for the tenant in the file
    crypto::AeadKey key;
    crypto::Secret name_key;  // of the digests that stand for its names; stays when the key changes
  };

  Vault(store::Database db, std::array<uint8_t, 16> id, crypto::AeadKey machine_key, crypto::Secret index_key,
        const VaultOptions& options, const Clock& clock, Random& random);

  crypto::Sha256Digest TenantDigest(std::string_view tenant) const;
  Result<std::optional<Tenant>> FindTenant(const IdSegment& tenant);
  Result<Tenant> NeedTenant(const IdSegment& tenant);
  Result<Tenant> MakeTenant(const IdSegment& tenant);
  std::string Context(std::string_view what, const IdSegment& tenant, std::string_view name = "",
                      uint32_t version = 0) const;

  store::Database db_;
  std::array<uint8_t, 16> id_;
  crypto::AeadKey machine_key_;
  crypto::Secret index_key_;
  size_t max_secrets_;
  const Clock* clock_;
  Random* random_;
};

}  // namespace hexr::credentials
