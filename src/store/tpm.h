// Sealing a key to a TPM 2.0 (TCG TPM 2.0 Library, parts 1 and 3). Internal to store; libtss2 stays in tpm.cc.
//
// The object hangs below a primary key that the TPM derives from its own seed: the blobs are useless on any other TPM,
// and on this one after its owner cleared it. No PCR is part of the policy (docs/adr/0012). Unsealing runs in a session
// that is salted to the primary key and encrypts the answer, so that a probe on the bus sees no key; the primary's name
// has to be the one noted at sealing, so that a device in between cannot put its own key there.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace hexr::store {

struct TpmBlob {
  Bytes primary_name;  // of the parent, as the TPM computes it
  Bytes public_part;   // marshalled TPM2B_PUBLIC
  Bytes private_part;  // marshalled TPM2B_PRIVATE
};

// UNAVAILABLE: no TPM at `tcti`, or one that answers with an error.
Result<TpmBlob> TpmSeal(const std::string& tcti, const crypto::Secret& secret);
// FAILED_PRECONDITION: another TPM, or one that was cleared. UNAVAILABLE as above.
Result<crypto::Secret> TpmUnseal(const std::string& tcti, const TpmBlob& blob);

}  // namespace hexr::store
