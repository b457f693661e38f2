#include "store/tpm.h"

#include <fmt/format.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

namespace hexr::store {
namespace {

using crypto::RevealToken;
using crypto::Secret;

Error TpmError(std::string_view what, TSS2_RC rc) { return Unavailable(fmt::format("TPM: {}: {:#010x}", what, rc)); }

struct EsysFree {
  void operator()(void* p) const noexcept { Esys_Free(p); }
};
template <class T>
using EsysPtr = std::unique_ptr<T, EsysFree>;

// The connection, and the handles that it has to give back: a TPM has room for a handful.
class Tpm {
 public:
  static Result<std::unique_ptr<Tpm>> Connect(const std::string& tcti) {
    // Without a device the library would complain on stderr, and a machine without TPM is nothing to complain of.
    constexpr std::string_view kDevice = "device:";
    if (tcti.starts_with(kDevice) && access(tcti.c_str() + kDevice.size(), R_OK | W_OK) != 0) {
      return Unavailable(ErrnoError("TPM: " + tcti.substr(kDevice.size()), errno).message());
    }
    auto tpm = std::unique_ptr<Tpm>(new Tpm());
    TSS2_RC rc = Tss2_TctiLdr_Initialize(tcti.c_str(), &tpm->tcti_);
    if (rc != TSS2_RC_SUCCESS) return TpmError("cannot reach " + tcti, rc);
    rc = Esys_Initialize(&tpm->esys_, tpm->tcti_, nullptr);
    if (rc != TSS2_RC_SUCCESS) return TpmError("cannot talk to " + tcti, rc);
    return tpm;
  }
  ~Tpm() {
    for (const ESYS_TR handle : handles_) (void)Esys_FlushContext(esys_, handle);
    if (esys_ != nullptr) Esys_Finalize(&esys_);
    if (tcti_ != nullptr) Tss2_TctiLdr_Finalize(&tcti_);
  }
  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;

  ESYS_CONTEXT* esys() const { return esys_; }
  ESYS_TR Own(ESYS_TR handle) {
    handles_.insert(handles_.begin(), handle);  // children before parents
    return handle;
  }

 private:
  Tpm() = default;
  TSS2_TCTI_CONTEXT* tcti_ = nullptr;
  ESYS_CONTEXT* esys_ = nullptr;
  std::vector<ESYS_TR> handles_;
};

// The template of TCG's "TPM v2.0 Provisioning Guidance" 7.5.1 for storage keys on P-256: the same input gives the same
// key.
TPM2B_PUBLIC PrimaryTemplate() {
  TPM2B_PUBLIC t{};
  t.publicArea.type = TPM2_ALG_ECC;
  t.publicArea.nameAlg = TPM2_ALG_SHA256;
  t.publicArea.objectAttributes = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM |
                                  TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                  TPMA_OBJECT_NODA;
  TPMS_ECC_PARMS& ecc = t.publicArea.parameters.eccDetail;
  ecc.symmetric.algorithm = TPM2_ALG_AES;
  ecc.symmetric.keyBits.aes = 128;
  ecc.symmetric.mode.aes = TPM2_ALG_CFB;
  ecc.scheme.scheme = TPM2_ALG_NULL;
  ecc.curveID = TPM2_ECC_NIST_P256;
  ecc.kdf.scheme = TPM2_ALG_NULL;
  return t;
}

// Sealed data: fixed to this TPM and parent, no password guessing to defend against (no password), so exempt from
// lock-out.
TPM2B_PUBLIC SealTemplate() {
  TPM2B_PUBLIC t{};
  t.publicArea.type = TPM2_ALG_KEYEDHASH;
  t.publicArea.nameAlg = TPM2_ALG_SHA256;
  t.publicArea.objectAttributes =
      TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA;
  t.publicArea.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
  return t;
}

Result<ESYS_TR> CreatePrimary(Tpm& tpm) {
  const TPM2B_SENSITIVE_CREATE sensitive{};
  const TPM2B_PUBLIC public_template = PrimaryTemplate();
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION pcrs{};
  ESYS_TR handle = ESYS_TR_NONE;
  const TSS2_RC rc =
      Esys_CreatePrimary(tpm.esys(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                         &public_template, &outside, &pcrs, &handle, nullptr, nullptr, nullptr, nullptr);
  if (rc != TSS2_RC_SUCCESS) return TpmError("primary key", rc);
  return tpm.Own(handle);
}

Result<Bytes> NameOf(Tpm& tpm, ESYS_TR handle) {
  TPM2B_NAME* raw = nullptr;
  const TSS2_RC rc = Esys_TR_GetName(tpm.esys(), handle, &raw);
  const EsysPtr<TPM2B_NAME> name(raw);
  if (rc != TSS2_RC_SUCCESS) return TpmError("name of the primary key", rc);
  return Bytes(name->name, name->name + name->size);
}

// Salted to the primary key: only the TPM that holds it can derive the session key, which encrypts the first parameter
// both ways.
Result<ESYS_TR> StartSession(Tpm& tpm, ESYS_TR primary) {
  TPMT_SYM_DEF symmetric{};
  symmetric.algorithm = TPM2_ALG_AES;
  symmetric.keyBits.aes = 128;
  symmetric.mode.aes = TPM2_ALG_CFB;
  ESYS_TR session = ESYS_TR_NONE;
  TSS2_RC rc = Esys_StartAuthSession(tpm.esys(), primary, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                     nullptr, TPM2_SE_HMAC, &symmetric, TPM2_ALG_SHA256, &session);
  if (rc != TSS2_RC_SUCCESS) return TpmError("session", rc);
  tpm.Own(session);
  constexpr TPMA_SESSION kFlags = TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT | TPMA_SESSION_CONTINUESESSION;
  rc = Esys_TRSess_SetAttributes(tpm.esys(), session, kFlags, 0xff);
  if (rc != TSS2_RC_SUCCESS) return TpmError("session", rc);
  return session;
}

template <class T, class Marshal>
Result<Bytes> ToBytes(const T& value, Marshal marshal) {
  Bytes out(sizeof(T) + 16);
  size_t size = 0;
  const TSS2_RC rc = marshal(&value, out.data(), out.size(), &size);
  if (rc != TSS2_RC_SUCCESS) return TpmError("encode", rc);
  out.resize(size);
  return out;
}

}  // namespace

Result<TpmBlob> TpmSeal(const std::string& tcti, const Secret& secret) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Tpm> tpm, Tpm::Connect(tcti));
  ASSIGN_OR_RETURN(const ESYS_TR primary, CreatePrimary(*tpm));
  ASSIGN_OR_RETURN(const ESYS_TR session, StartSession(*tpm, primary));
  TPM2B_SENSITIVE_CREATE sensitive{};
  const ByteView raw = secret.Reveal(RevealToken::For("sealing to the TPM"));
  if (raw.size() > sizeof sensitive.sensitive.data.buffer) return InvalidArgument("TPM: too large a secret");
  sensitive.sensitive.data.size = static_cast<UINT16>(raw.size());
  std::ranges::copy(raw, sensitive.sensitive.data.buffer);
  const TPM2B_PUBLIC seal_template = SealTemplate();
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION pcrs{};
  TPM2B_PRIVATE* private_raw = nullptr;
  TPM2B_PUBLIC* public_raw = nullptr;
  const TSS2_RC rc = Esys_Create(tpm->esys(), primary, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &seal_template,
                                 &outside, &pcrs, &private_raw, &public_raw, nullptr, nullptr, nullptr);
  crypto::WipeMemory({reinterpret_cast<uint8_t*>(&sensitive), sizeof sensitive});
  const EsysPtr<TPM2B_PRIVATE> private_part(private_raw);
  const EsysPtr<TPM2B_PUBLIC> public_part(public_raw);
  if (rc != TSS2_RC_SUCCESS) return TpmError("seal", rc);
  TpmBlob blob;
  ASSIGN_OR_RETURN(blob.primary_name, NameOf(*tpm, primary));
  ASSIGN_OR_RETURN(blob.public_part, ToBytes(*public_part, Tss2_MU_TPM2B_PUBLIC_Marshal));
  ASSIGN_OR_RETURN(blob.private_part, ToBytes(*private_part, Tss2_MU_TPM2B_PRIVATE_Marshal));
  return blob;
}

Result<Secret> TpmUnseal(const std::string& tcti, const TpmBlob& blob) {
  TPM2B_PUBLIC public_part{};
  TPM2B_PRIVATE private_part{};
  size_t at = 0;
  if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(blob.public_part.data(), blob.public_part.size(), &at, &public_part) !=
          TSS2_RC_SUCCESS ||
      at != blob.public_part.size()) {
    return DataLoss("TPM: damaged blob");
  }
  at = 0;
  if (Tss2_MU_TPM2B_PRIVATE_Unmarshal(blob.private_part.data(), blob.private_part.size(), &at, &private_part) !=
          TSS2_RC_SUCCESS ||
      at != blob.private_part.size()) {
    return DataLoss("TPM: damaged blob");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Tpm> tpm, Tpm::Connect(tcti));
  ASSIGN_OR_RETURN(const ESYS_TR primary, CreatePrimary(*tpm));
  ASSIGN_OR_RETURN(const Bytes name, NameOf(*tpm, primary));
  if (name != blob.primary_name) {
    return FailedPrecondition("TPM: not the one that this key was sealed to, or its owner cleared it");
  }
  ASSIGN_OR_RETURN(const ESYS_TR session, StartSession(*tpm, primary));
  ESYS_TR object = ESYS_TR_NONE;
  TSS2_RC rc =
      Esys_Load(tpm->esys(), primary, session, ESYS_TR_NONE, ESYS_TR_NONE, &private_part, &public_part, &object);
  if (rc != TSS2_RC_SUCCESS) return FailedPrecondition(fmt::format("TPM: refuses the sealed key: {:#010x}", rc));
  tpm->Own(object);
  TPM2B_SENSITIVE_DATA* raw = nullptr;
  rc = Esys_Unseal(tpm->esys(), object, session, ESYS_TR_NONE, ESYS_TR_NONE, &raw);
  const EsysPtr<TPM2B_SENSITIVE_DATA> data(raw);
  if (rc != TSS2_RC_SUCCESS) return FailedPrecondition(fmt::format("TPM: does not unseal the key: {:#010x}", rc));
  Secret secret = Secret::Copy({data->buffer, data->size});
  crypto::WipeMemory({data->buffer, data->size});
  return secret;
}

}  // namespace hexr::store
