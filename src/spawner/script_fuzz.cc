// A command line as an agent leaves it in its memory: no script is told that stands there as an option.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "spawner/script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto argv = hexr::spawner::ArgumentsOf(text);
  for (const char* exe : {"/usr/bin/python3.11", "/bin/bash", "/usr/bin/dash", "/usr/bin/perl", "/usr/bin/node"}) {
    const auto at = hexr::spawner::ScriptArgument(exe, argv);
    if (!at) continue;
    HEXR_CHECK(*at > 0 && *at < argv.size() && !argv[*at].empty() && argv[*at][0] != '-');
  }
  (void)hexr::spawner::IsScriptOfTheMachine(text);
  return 0;
}
