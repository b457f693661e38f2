// A crew file: several roles that run together as processes of their own (`hexr crew FILE`).
//
//   agent: content-crew
//   roles:
//     - {role: editor, command: python3 editor.py, ready: "waiting for drafts"}
//     - {role: researcher, command: [python3, researcher.py], after: editor, rw: drafts}
//
// Values; immutable once parsed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

namespace hexr::config {

struct CrewRole {
  IdSegment agent;
  IdSegment role;
  std::vector<std::string> command;
  std::string dir;                         // where it runs; relative to the file's folder; empty: that folder
  std::map<std::string, std::string> env;  // besides the caller's
  std::vector<std::string> read_only, read_write, hidden, keep_env;
  std::vector<std::string> after;  // roles that have to be ready before this one is started
  std::string ready;               // it is ready once a line of its output holds this; empty: once it runs
};

// What the end of one role means for the others.
enum class CrewStop : uint8_t {
  kFailure,  // one that fails ends all
  kAny,      // one that ends, ends all
  kNever,    // each ends by itself
};

struct Crew {
  std::optional<IdSegment> tenant;
  CrewStop stop = CrewStop::kFailure;
  std::vector<CrewRole> roles;  // in file order; no two of one role name; `after` names earlier ones alone
};

struct CrewOutcome {
  std::optional<Crew> crew;       // absent when there are problems
  std::vector<Problem> problems;  // every one found, in file order
};

// Never fails otherwise. `file` is for messages only.
CrewOutcome ParseCrew(const std::string& text, const std::string& file);

}  // namespace hexr::config
