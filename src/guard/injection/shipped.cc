// The weights that ship, linked into the binary: no path to find, nothing to go missing. Each file carries its digest.
#include "guard/engine.h"

// NOLINTBEGIN: the only way to put a file into an object without a generator.
#define HEXR_EMBED(symbol, path)                                                                              \
  asm(".section .rodata\n.balign 16\n.global " #symbol "\n.hidden " #symbol "\n" #symbol ":\n.incbin \"" path \
      "\"\n.global " #symbol "_end\n.hidden " #symbol "_end\n" #symbol "_end:\n.byte 0\n.previous\n")
HEXR_EMBED(hexr_guard_model_user, HEXR_GUARD_MODELS "/user.model");
HEXR_EMBED(hexr_guard_model_tool, HEXR_GUARD_MODELS "/tool.model");
extern "C" {
extern const char hexr_guard_model_user[];
extern const char hexr_guard_model_user_end[];
extern const char hexr_guard_model_tool[];
extern const char hexr_guard_model_tool_end[];
}
// NOLINTEND

namespace hexr::guard {

std::string_view ShippedModelBytes(bool tool) {
  const char* begin = tool ? hexr_guard_model_tool : hexr_guard_model_user;
  const char* end = tool ? hexr_guard_model_tool_end : hexr_guard_model_user_end;
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace hexr::guard
