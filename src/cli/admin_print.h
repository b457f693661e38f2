// The node's answers as people and programs read them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/admin_client.h"
#include "cli/command.h"

namespace hexr::cli {

// An object as it is: JSON, or "key  value" lines. Returns the exit code.
int PrintObject(const Invocation& in, const Result<AdminReply>& reply);

// The objects in member `list` as a table; `columns` are titles and members.
int PrintList(const Invocation& in, const Result<AdminReply>& reply, const char* list,
              const std::vector<std::pair<std::string, std::string>>& columns);

// In text, one sentence that says what was done.
int PrintDone(const Invocation& in, const Result<AdminReply>& reply, const std::string& sentence);

}  // namespace hexr::cli
