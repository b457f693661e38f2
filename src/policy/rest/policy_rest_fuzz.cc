// Any request to the REST API: a response whose body is JSON, and the policy stays the one in force. The first line is
// method and target, the rest is the body.
#include <cstdlib>

#include "policy/rego/value/json.h"
#include "policy/rest/rest_api.h"

namespace {

using namespace hexr;

struct Host {
  Host() : store({.bundle = "", .require_signature = false, .verification = {}}) {
    const auto archive = policy::WriteTarGz(
        {{"app.rego", "package app\nallow if input.role == data.roles.admin\nf(x) := x\nboth := input.a\nboth := 2\n"},
         {"mask.rego", "package system.log\nmask contains input.input.mask\n"},
         {"data.json", R"({"roles": {"admin": "root", "list": [7, 8]}})"}});
    if (!archive.ok() || !store.ActivateArchive(*archive).ok()) std::abort();
  }
  policy::PolicyStore store;
  ManualClock clock{WallTime{}};
  SeededRandom random{1};
  policy::RestApi api{store, clock, random, [](std::string entry) {
                        rego::Arena arena;
                        if (!rego::ParseJson(arena, entry).ok()) std::abort();
                      }};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Host host;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line = text.find('\n'), space = text.find(' ');
  if (line == std::string_view::npos || space > line) return 0;
  const uint64_t epoch = host.store.epoch();
  const auto response =
      host.api.Handle({std::string(text.substr(0, space)), std::string(text.substr(space + 1, line - space - 1)),
                       std::string(text.substr(line + 1)), "fuzz"});
  rego::Arena arena;
  if (!response.body.empty() && !rego::ParseJson(arena, response.body).ok()) std::abort();
  if (response.status < 200 || response.status > 599 || host.store.epoch() != epoch) std::abort();
  return 0;
}
