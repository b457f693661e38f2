#include "config/paths.h"

namespace hexr::config {

Result<Paths> Paths::From(bool root, const std::map<std::string, std::string>& environment) {
  const auto get = [&](const char* name) {
    const auto it = environment.find(name);
    return it == environment.end() ? std::string() : it->second;
  };
  if (const std::string home = get("HEXR_HOME"); !home.empty()) {
    if (home[0] != '/') return InvalidArgument("HEXR_HOME: an absolute path is expected, not '" + home + "'");
    return Paths{home + "/config/hexr.yaml", home + "/state", home + "/run"};
  }
  if (root) return Paths{"/etc/hexr/hexr.yaml", "/var/lib/hexr", "/run/hexr"};
  const std::string home = get("HOME");
  std::string config = get("XDG_CONFIG_HOME"), state = get("XDG_STATE_HOME"), run = get("XDG_RUNTIME_DIR");
  if (home.empty() && (config.empty() || state.empty())) {
    return FailedPrecondition("neither HOME nor XDG_CONFIG_HOME and XDG_STATE_HOME are set; set HEXR_HOME to a folder");
  }
  if (config.empty()) config = home + "/.config";
  if (state.empty()) state = home + "/.local/state";
  // Without a login session there is no runtime folder: beside the state is the next private place.
  if (run.empty())
    run = state + "/hexr/run";
  else
    run += "/hexr";
  return Paths{config + "/hexr/hexr.yaml", state + "/hexr", run};
}

}  // namespace hexr::config
