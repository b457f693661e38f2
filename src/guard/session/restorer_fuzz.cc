// The way back gives the same bytes however they were cut, holds back no more than a placeholder, and changes nothing
// where no placeholder of this session stands.
#include "base/bytes.h"
#include "base/check.h"
#include "guard/session/vault.h"

namespace hexr::guard {
namespace {

std::string Restored(const Vault& vault, bool json, std::string_view text, size_t step) {
  Restorer r(vault, json);
  std::string out;
  for (size_t i = 0; i < text.size(); i += step) out += r.Feed(text.substr(i, step));
  return out + r.Finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Vault* const vault = [] {
    auto* v = new Vault(crypto::Secret::Copy(AsBytes("tenant key")));
    v->Placeholder("EMAIL_ADDRESS", "jane.doe@example.org").value();
    v->Placeholder("A", "say \"[REDACTED_A_2]\"\n").value();
    return v;
  }();
  static const Vault* const empty = new Vault(crypto::Secret::Copy(AsBytes("another key")));
  if (size == 0) return 0;
  const std::string_view text = AsText({data + 1, size - 1});
  const bool json = (data[0] & 1) != 0;
  const std::string whole = Restored(*vault, json, text, text.size() + 1);
  HEXR_CHECK(whole == Restored(*vault, json, text, 1));
  HEXR_CHECK(whole == Restored(*vault, json, text, 2 + data[0] / 4));
  HEXR_CHECK(Restored(*empty, json, text, 1) == text);
  return 0;
}

}  // namespace hexr::guard
