// Everything the keeper has on disk but the logs: one sealed store under the machine key. Belongs to the keeper's loop.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "config/config.h"
#include "crypto/secret.h"
#include "identity/authority.h"
#include "store/machine_key.h"
#include "store/sealed_store.h"

namespace hexr::keeper {

class State final : public identity::AuthorityStore {
 public:
  // Finds or makes the machine key as the configuration says, then opens `state_dir`/keeper.db.
  // FAILED_PRECONDITION: the store was sealed under another machine key.
  static Result<std::unique_ptr<State>> Open(const config::Config& config, const std::string& state_dir,
                                             Random& random);

  store::SealedStore& store() { return store_; }
  const store::MachineKey& machine_key() const { return machine_key_; }

  // A key of 32 bytes that is made at its first use and kept: "ledger/node/signer".
  Result<crypto::Secret> KeyFor(const std::string& name, Random& random);
  // What is sealed under it stays sealed for ever. NOT_FOUND: there is none.
  Status ForgetKey(const std::string& name);

  Result<std::optional<crypto::Secret>> Load() override;
  Status Save(const crypto::Secret& state) override;

 private:
  State(store::MachineKey machine_key, store::SealedStore store)
      : machine_key_(std::move(machine_key)), store_(std::move(store)) {}

  store::MachineKey machine_key_;
  store::SealedStore store_;
};

}  // namespace hexr::keeper
