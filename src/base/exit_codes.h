// Exit codes of `hexr run` that are not the command's own (docs/launch.md), as env(1) and nohup(1) have them.
#pragma once

namespace hexr {

inline constexpr int kRunRefused = 125;  // hexr failed, or refused
inline constexpr int kRunCannotExecute = 126;
inline constexpr int kRunNotFound = 127;

}  // namespace hexr
