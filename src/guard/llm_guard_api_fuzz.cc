// Any request gets one of the answers that LLM Guard's clients know, as JSON.
#include <array>

#include "base/bytes.h"
#include "base/check.h"
#include "guard/llm_guard_api.h"

namespace hexr::guard {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto engine = Engine::Create({}).value();
  static const auto worker = Worker::Create(engine).value();
  const ManualClock clock{WallTime{}};
  if (size == 0 || size > 1 << 14) return 0;
  constexpr std::array<std::string_view, 4> kPaths = {"/analyze/prompt", "/analyze/output", "/scan/prompt",
                                                      "/scan/output"};
  const ApiReply r = ServeLlmGuard(*worker, clock, nullptr, "POST", kPaths[data[0] % 4], AsText({data + 1, size - 1}));
  HEXR_CHECK(r.status == 200 || r.status == 422 || r.status == 503);
  const auto body = wire::ParseJson(r.body);
  HEXR_CHECK(body.ok() && (r.status == 200) == body->FindBool("is_valid").has_value());
  return 0;
}

}  // namespace hexr::guard
