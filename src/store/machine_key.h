// The key under which everything of this machine is sealed, and where it comes from.
//
//   tpm                 sealed to the storage hierarchy of this machine's TPM 2.0: a stolen disk opens nowhere else
//   systemd-credential  handed over by systemd in $CREDENTIALS_DIRECTORY (encrypted at rest with systemd-creds)
//   passphrase          scrypt of what an operator types or a file holds
//   file                beside what it protects: against others on the machine alone, and reported as such
//
// A small file in the state folder (`machine-key`, 0600) remembers which of them it is, and the key's id: a provider
// that is gone is an error that says so, never a new key over old data. Thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "crypto/scrypt.h"
#include "crypto/secret.h"

namespace hexr::store {

enum class MachineKeyProvider : uint8_t { kTpm, kSystemdCredential, kPassphrase, kFile };
std::string_view MachineKeyProviderName(MachineKeyProvider provider);  // as in the configuration: "tpm", …

struct MachineKeyOptions {
  std::string state_folder;
  // Absent: `auto`, what the file says, else the first that works of tpm, systemd-credential, file.
  std::optional<MachineKeyProvider> provider = {};
  // Value of $CREDENTIALS_DIRECTORY; empty: not started by systemd with credentials.
  std::string credentials_folder = {};
  std::string credential_name = "hexr-machine-key";
  // Where a passphrase comes from: a descriptor that is read to its end, or a file of ours alone. Never argv.
  int passphrase_fd = -1;
  std::string passphrase_file = {};
  crypto::ScryptCost scrypt_cost = {};  // of new keys
  // As Tss2_TctiLdr_Initialize takes it: "device:/dev/tpmrm0".
  std::string tpm = "device:/dev/tpmrm0";
};

class MachineKey {
 public:
  // Opens the key that the state folder names, or makes the first one. FAILED_PRECONDITION: the provider is another one
  // than before, is gone, or gives another key; wrong passphrase. UNAVAILABLE: no provider works here.
  static Result<MachineKey> Open(const MachineKeyOptions& options, Random& random);

  const crypto::AeadKey& key() const { return key_; }
  MachineKeyProvider provider() const { return provider_; }
  // One sentence for operators: "sealed to this machine's TPM 2.0 (…)".
  const std::string& description() const { return description_; }

 private:
  friend class MachineKeyFile;
  MachineKey(crypto::AeadKey key, MachineKeyProvider provider, std::string description)
      : key_(std::move(key)), provider_(provider), description_(std::move(description)) {}

  crypto::AeadKey key_;
  MachineKeyProvider provider_;
  std::string description_;
};

}  // namespace hexr::store
