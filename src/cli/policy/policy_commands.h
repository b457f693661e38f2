// `hexr policy …`: the life of a policy on the desk of who writes it. None of these needs a node.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> PolicyCommands();

int RunPolicyCheck(const Invocation& in);
int RunPolicyEval(const Invocation& in);
int RunPolicyExplain(const Invocation& in);
int RunPolicyTest(const Invocation& in);
int RunPolicyFormat(const Invocation& in);
int RunPolicyBuild(const Invocation& in);
int RunPolicySign(const Invocation& in);
int RunPolicyInspect(const Invocation& in);
int RunPolicyBench(const Invocation& in);
int RunPolicyConformance(const Invocation& in);

}  // namespace hexr::cli
