// Where the node's own files lie (INV-SPAWN-14). Any thread.
#pragma once

#include <string>
#include <vector>

#include "config/paths.h"

namespace hexr::spawner {

struct NodePlaces {
  // State, run folder and configuration where they are: absolute, without links.
  std::vector<std::string> places;
  // Links on the way to them, and the first name that is missing on it: whoever writes to the folder of such a name
  // says where the node finds its own. Absolute, the folder without links.
  std::vector<std::string> names;

  // Adds what `path` leads to, and by which names. More links than the kernel follows: where it stops is a name.
  void Add(const std::string& path);
};

NodePlaces NodePlacesOf(const config::Paths& paths);

}  // namespace hexr::spawner
