// What the policy commands share: reading files and inputs from the command line.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "policy/documents.h"

namespace hexr::cli {

// Of `--data`, `--bundle` and the positional PATH.
Result<policy::Documents> LoadPolicies(const Invocation& in);
// The input as JSON, from --input (JSON or YAML) or stdin; "" when there is none.
Result<std::string> ReadInput(const Invocation& in);
Result<std::string> ReadStdin();
rego::Version VersionOf(const Invocation& in);
void Print(std::string_view text);                       // to stdout, as it is
void PrintNotes(const std::vector<std::string>& lines);  // to stderr

}  // namespace hexr::cli
