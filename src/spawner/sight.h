// What a launch has to know of files before it goes on, and whether they are the same after it. Every function here
// asks whatever file systems they lie in, so it runs beside the loop (file_work.h). Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "spawner/folders.h"
#include "spawner/image.h"

namespace hexr::spawner {

// Where something of the request may lie: below a folder that was given, at this path for the agent.
struct Place {
  std::string path;
  std::shared_ptr<const runtime::UniqueFd> folder;  // one for all that lie in it
  std::string below;
  bool keep = false;  // what is found there stays open
  std::optional<FileId> what = {};
  runtime::UniqueFd found = {};
  int shortage = 0;  // errno, where it could not be looked for: that says nothing of what lies there
};
// Looks for what lies there, no link followed; it is left open only where the place says so.
void Find(Place& place);
// A folder that outlives whoever gave it. One that could not be had finds nothing.
std::shared_ptr<const runtime::UniqueFd> Keep(const runtime::UniqueFd& folder);
// `path` lies below `folder_path`.
Place PlaceIn(const std::string& path, const std::string& folder_path, std::shared_ptr<const runtime::UniqueFd> folder);

// What is about to run, before it is measured.
struct Sight {
  Result<FileKey> key;
  std::string head;  // its first bytes; none of one that may only be executed
  runtime::UniqueFd program;
  RunningProgram script;  // the first of the places that is a file
  std::optional<FileKey> script_key;
};
Sight LookAt(runtime::UniqueFd program, const std::vector<Place>& scripts);

// Whether the script that these places lead to is the one that was measured.
Status CheckScript(const std::vector<Place>& places, const std::string& path, const FileKey& measured);

}  // namespace hexr::spawner
