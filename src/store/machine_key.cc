#include "store/machine_key.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <map>

#include "base/decimal.h"
#include "base/limits/storage.h"
#include "crypto/digest.h"
#include "store/private_file.h"
#include "store/tpm.h"

namespace hexr::store {

using crypto::AeadKey;
using crypto::RevealToken;
using crypto::Secret;

namespace {

constexpr std::string_view kMagic = "hexr-machine-key v1";
constexpr std::array<std::string_view, 4> kProviders = {"tpm", "systemd-credential", "passphrase", "file"};

std::string CurrentPath(const MachineKeyOptions& o) { return o.state_folder + "/machine-key"; }

// The passphrase, without the line end that editors and `echo` add.
Result<Secret> ReadPassphrase(const MachineKeyOptions& o) {
  Secret text;
  if (o.passphrase_fd >= 0) {
    size_t size = 0;
    int error = 0;
    const Secret buffer = Secret::Make(limits::kMaxPassphraseBytes + 1, [&](std::span<uint8_t> out) {
      while (size < out.size()) {
        const ssize_t n = read(o.passphrase_fd, out.data() + size, out.size() - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) error = errno;
        if (n <= 0) return;
        size += static_cast<size_t>(n);
      }
    });
    if (error != 0) return ErrnoError("machine key: read the passphrase", error);
    text = Secret::Copy(buffer.Reveal(RevealToken::For("passphrase as read")).first(size));
  } else if (!o.passphrase_file.empty()) {
    ASSIGN_OR_RETURN(text, ReadPrivateFile(o.passphrase_file, limits::kMaxPassphraseBytes + 1));
  } else {
    return FailedPrecondition("machine key: a passphrase is needed, from a descriptor or a file");
  }
  ByteView bytes = text.Reveal(RevealToken::For("passphrase without its line end"));
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r')) bytes = bytes.first(bytes.size() - 1);
  if (bytes.size() < limits::kMinPassphraseBytes || bytes.size() > limits::kMaxPassphraseBytes) {
    return InvalidArgument(fmt::format("machine key: a passphrase has {} to {} bytes", limits::kMinPassphraseBytes,
                                       limits::kMaxPassphraseBytes));
  }
  return Secret::Copy(bytes);
}

Result<Secret> ReadCredential(const MachineKeyOptions& o) {
  if (o.credentials_folder.empty()) {
    return Unavailable("machine key: not started by systemd with LoadCredentialEncrypted=" + o.credential_name);
  }
  // systemd makes these files 0400 or 0440 in a folder of its own: readable by this service is what counts.
  const std::string path = o.credentials_folder + "/" + o.credential_name;
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return Unavailable(ErrnoError("machine key: " + path, errno).message());
  size_t size = 0;
  const Secret buffer = Secret::Make(limits::kMaxKeyFileBytes + 1, [&](std::span<uint8_t> out) {
    ssize_t n = 0;
    while (size < out.size() && (n = read(fd, out.data() + size, out.size() - size)) > 0) {
      size += static_cast<size_t>(n);
    }
  });
  close(fd);
  if (size < AeadKey::kKeyBytes || size > limits::kMaxKeyFileBytes) {
    return FailedPrecondition("machine key: " + path + " has to hold 32 random bytes or more");
  }
  const Secret content = Secret::Copy(buffer.Reveal(RevealToken::For("systemd credential")).first(size));
  return crypto::HkdfSha256(content, {}, "hexr machine key from systemd credential v1", AeadKey::kKeyBytes);
}

}  // namespace

std::string_view MachineKeyProviderName(MachineKeyProvider provider) {
  return kProviders[static_cast<size_t>(provider)];
}

// The file that says where the key is: lines of "name value", values in base64 where they are bytes.
class MachineKeyFile {
 public:
  static Result<MachineKeyFile> Read(const std::string& path) {
    ASSIGN_OR_RETURN(const Secret content, ReadPrivateFile(path, limits::kMaxKeyFileBytes));
    std::string_view text = content.RevealText(RevealToken::For("machine key file"));
    MachineKeyFile file;
    bool first = true;
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (first) {
        if (line != kMagic) return DataLoss(path + ": not a machine key file of this release");
        first = false;
        continue;
      }
      const size_t space = line.find(' ');
      if (space == std::string_view::npos) return DataLoss(path + ": damaged");
      if (!file.fields_.emplace(line.substr(0, space), Secret::Copy(AsBytes(line.substr(space + 1)))).second) {
        return DataLoss(path + ": damaged");
      }
    }
    if (first) return DataLoss(path + ": empty");
    return file;
  }

  Status Write(const std::string& path) const {
    std::string text(kMagic);
    text += '\n';
    text.reserve(limits::kMaxKeyFileBytes);  // so that no copy with a key in it is left behind
    for (const auto& [name, value] : fields_) {
      text.append(name).append(" ").append(value.RevealText(RevealToken::For("machine key file"))).append("\n");
    }
    const Secret content = Secret::Take(text);
    return ReplacePrivateFile(path, content.Reveal(RevealToken::For("machine key file")));
  }

  // Makes a key with this provider and notes in the file how to find it again.
  static Result<MachineKey> Make(const MachineKeyOptions& o, MachineKeyProvider provider, Random& random,
                                 const std::string& path) {
    MachineKeyFile file;
    file.SetText("provider", MachineKeyProviderName(provider));
    Secret key = Secret::Random(AeadKey::kKeyBytes, random);
    switch (provider) {
      case MachineKeyProvider::kTpm: {
        ASSIGN_OR_RETURN(const TpmBlob blob, TpmSeal(o.tpm, key));
        file.SetText("tpm-primary", Base64Encode(blob.primary_name));
        file.SetText("tpm-public", Base64Encode(blob.public_part));
        file.SetText("tpm-private", Base64Encode(blob.private_part));
        break;
      }
      case MachineKeyProvider::kSystemdCredential: {
        ASSIGN_OR_RETURN(key, ReadCredential(o));
        break;
      }
      case MachineKeyProvider::kPassphrase: {
        std::array<uint8_t, 32> salt;
        random.Fill(salt);
        ASSIGN_OR_RETURN(const Secret passphrase, ReadPassphrase(o));
        ASSIGN_OR_RETURN(key, crypto::Scrypt(passphrase, salt, o.scrypt_cost, AeadKey::kKeyBytes));
        file.SetText("scrypt-salt", Base64Encode(salt));
        file.SetText("scrypt-n", std::to_string(o.scrypt_cost.n));
        file.SetText("scrypt-r", std::to_string(o.scrypt_cost.r));
        file.SetText("scrypt-p", std::to_string(o.scrypt_cost.p));
        break;
      }
      case MachineKeyProvider::kFile: {
        std::string text = Base64Encode(key.Reveal(RevealToken::For("machine key in a plain file")));
        file.fields_.insert_or_assign("key", Secret::Take(text));
        break;
      }
    }
    ASSIGN_OR_RETURN(AeadKey aead, AeadKey::FromSecret(std::move(key)));
    file.SetText("id", HexEncode(aead.key_id()));
    RETURN_IF_ERROR(file.Write(path));
    return file.Finish(o, provider, std::move(aead));
  }

  // The key that this file leads to.
  Result<MachineKey> Open(const MachineKeyOptions& o) const {
    ASSIGN_OR_RETURN(const MachineKeyProvider provider, Provider());
    ASSIGN_OR_RETURN(Secret key, Key(o, provider));
    ASSIGN_OR_RETURN(AeadKey aead, AeadKey::FromSecret(std::move(key)));
    ASSIGN_OR_RETURN(const std::string id, Text("id"));
    if (id != HexEncode(aead.key_id())) {
      return FailedPrecondition(
          provider == MachineKeyProvider::kPassphrase
              ? "machine key: wrong passphrase"
              : fmt::format("machine key: {} gives another key than the one that sealed this state",
                            MachineKeyProviderName(provider)));
    }
    return Finish(o, provider, std::move(aead));
  }

  Result<MachineKeyProvider> Provider() const {
    ASSIGN_OR_RETURN(const std::string name, Text("provider"));
    for (size_t i = 0; i < kProviders.size(); ++i) {
      if (kProviders[i] == name) return static_cast<MachineKeyProvider>(i);
    }
    return DataLoss("machine key: unknown provider in the file");
  }

 private:
  void SetText(std::string_view name, std::string_view value) {
    fields_.insert_or_assign(std::string(name), Secret::Copy(AsBytes(value)));
  }
  Result<const Secret*> Find(std::string_view name) const {
    const auto it = fields_.find(name);
    if (it == fields_.end()) return DataLoss(fmt::format("machine key: the file has no '{}'", name));
    return &it->second;
  }
  // For fields that are not secret.
  Result<std::string> Text(std::string_view name) const {
    ASSIGN_OR_RETURN(const Secret* const value, Find(name));
    return std::string(value->RevealText(RevealToken::For("public field of the machine key file")));
  }
  Result<Bytes> Blob(std::string_view name) const {
    ASSIGN_OR_RETURN(const std::string text, Text(name));
    return Base64Decode(text);
  }
  Result<uint64_t> Number(std::string_view name) const {
    ASSIGN_OR_RETURN(const std::string text, Text(name));
    const auto v = ParseDecimal<uint32_t>(text);
    if (!v) return DataLoss(fmt::format("machine key: '{}' is damaged", name));
    return *v;
  }

  Result<Secret> Key(const MachineKeyOptions& o, MachineKeyProvider provider) const {
    switch (provider) {
      case MachineKeyProvider::kTpm: {
        TpmBlob blob;
        ASSIGN_OR_RETURN(blob.primary_name, Blob("tpm-primary"));
        ASSIGN_OR_RETURN(blob.public_part, Blob("tpm-public"));
        ASSIGN_OR_RETURN(blob.private_part, Blob("tpm-private"));
        return TpmUnseal(o.tpm, blob);
      }
      case MachineKeyProvider::kSystemdCredential: return ReadCredential(o);
      case MachineKeyProvider::kPassphrase: {
        ASSIGN_OR_RETURN(const Bytes salt, Blob("scrypt-salt"));
        ASSIGN_OR_RETURN(const uint64_t n, Number("scrypt-n"));
        ASSIGN_OR_RETURN(const uint64_t r, Number("scrypt-r"));
        ASSIGN_OR_RETURN(const uint64_t p, Number("scrypt-p"));
        ASSIGN_OR_RETURN(const Secret passphrase, ReadPassphrase(o));
        return crypto::Scrypt(passphrase, salt, {n, static_cast<uint32_t>(r), static_cast<uint32_t>(p)},
                              AeadKey::kKeyBytes);
      }
      case MachineKeyProvider::kFile: break;
    }
    ASSIGN_OR_RETURN(const Secret* const text, Find("key"));
    ASSIGN_OR_RETURN(Bytes raw, Base64Decode(text->RevealText(RevealToken::For("machine key in a plain file"))));
    Secret key = Secret::Copy(raw);
    crypto::WipeMemory(raw);
    return key;
  }

  static MachineKey Finish(const MachineKeyOptions& o, MachineKeyProvider provider, AeadKey key) {
    std::string description;
    switch (provider) {
      case MachineKeyProvider::kTpm: description = "sealed to this machine's TPM 2.0 (" + o.tpm + ")"; break;
      case MachineKeyProvider::kSystemdCredential:
        description = "systemd credential " + o.credential_name + "; as strong as what encrypts it (systemd-creds)";
        break;
      case MachineKeyProvider::kPassphrase: description = "scrypt of a passphrase"; break;
      case MachineKeyProvider::kFile:
        description =
            "plain file " + CurrentPath(o) + ": who reads the disk reads everything; use a TPM or a systemd credential";
        break;
    }
    return {std::move(key), provider, std::move(description)};
  }

  std::map<std::string, Secret, std::less<>> fields_;
};

namespace {

Result<MachineKey> MakeFirstThatWorks(const MachineKeyOptions& o, Random& random, const std::string& path) {
  if (o.provider.has_value()) return MachineKeyFile::Make(o, *o.provider, random, path);
  // A provider that is not there is passed over; one that is there and fails in writing its file is not.
  for (const MachineKeyProvider p : {MachineKeyProvider::kTpm, MachineKeyProvider::kSystemdCredential}) {
    Result<MachineKey> key = MachineKeyFile::Make(o, p, random, path);
    if (key.ok() || key.error().code() != ErrorCode::kUnavailable) return key;
  }
  return MachineKeyFile::Make(o, MachineKeyProvider::kFile, random, path);
}

}  // namespace

Result<MachineKey> MachineKey::Open(const MachineKeyOptions& options, Random& random) {
  RETURN_IF_ERROR(EnsurePrivateFolder(options.state_folder));
  const std::string path = CurrentPath(options);
  const Result<MachineKeyFile> file = MachineKeyFile::Read(path);
  if (!file.ok()) {
    if (file.error().code() != ErrorCode::kNotFound) return file.error();
    return MakeFirstThatWorks(options, random, path);
  }
  ASSIGN_OR_RETURN(const MachineKeyProvider provider, file->Provider());
  if (options.provider.has_value() && *options.provider != provider) {
    return FailedPrecondition(
        fmt::format("machine key: this state is sealed with '{}', and '{}' is configured; set that one again: a state "
                    "keeps its key",
                    MachineKeyProviderName(provider), MachineKeyProviderName(*options.provider)));
  }
  return file->Open(options);
}

}  // namespace hexr::store
