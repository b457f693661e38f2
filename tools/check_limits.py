#!/usr/bin/env python3
"""Every bound of src/base/limits/ is used by the product, and named in a test that hits it.

usage: check_limits.py ROOT      exit 1 with the bounds that are not
"""
import re
import sys
from pathlib import Path

# Bounds without a test that names them. This list only shrinks: a bound that gets its test leaves it.
UNTESTED: set[str] = {
    # agents
    "kAgentListenBacklog", "kAgentMemoryPercent", "kMaxAgentProcesses", "kMaxCallerGroups", "kMaxCrewLineBytes",
    "kMaxDescriptorsListed", "kMaxDescriptorsTried", "kMaxEtcFileBytes", "kMaxFoldersGiven", "kMaxFoldersHidden",
    "kMaxKnownImages", "kMaxLaunchSessions", "kMaxOwnerMaps", "kMaxQueuedSockets", "kMaxThreadsWalked",
    "kMaxUnheardEnds",
    # courier
    "kEndpointRequestTimeout", "kMaxFetchTime", "kMetricsFreshness",
    # gateway
    "kDialAttemptDeadline", "kDnsIdleDeadline", "kFindOwnerDeadline", "kKeepAliveDeadline",
    "kLingerDeadline", "kMaxDialAttempts", "kMaxDnsQueriesPending", "kMaxStreamBufferBytes", "kRequestHeadDeadline",
    "kTunnelIdleDeadline",
    # guard
    "kMaxGuardChainBytes", "kMaxGuardDatabaseBytes", "kMaxGuardHoldBytes", "kMaxGuardNames", "kMaxGuardPemBytes",
    "kMaxGuardPlaceholderBytes", "kMaxGuardPlaceholders", "kMaxGuardRunBytes", "kMaxGuardShingles",
    "kMaxGuardSliceBytes", "kMaxGuardTokenBytes", "kMaxGuardViewDepth",
    # identity
    "kMaxProcFileBytes",
    # messages
    "kMaxParkedItems", "kNodeCallDeadline",
    # net
    "kMaxResolvedAddresses",
    # rego
    "kMaxBundleBytes", "kMaxPolicyFileBytes", "kMaxPolicyFiles", "kMaxRegoParseDepth", "kMaxRegoParseStepsPerToken",
    "kMaxRegoTypeChoices", "kMaxRegoTypeDepth", "kMaxRegoYamlNodes",
    # tls_dns
    "kMaxTlsChainBytes",
}

CONSTANT = re.compile(r"^inline constexpr [\w:<> ]+? (k\w+)\s*[={]", re.MULTILINE)
NAME = re.compile(r"\bk[A-Z]\w+")


def check(root: Path, untested: set[str]) -> list[str]:
    bounds = {}
    for header in sorted((root / "src/base/limits").glob("*.h")):
        for name in CONSTANT.findall(header.read_text()):
            bounds[name] = header.name
    used, tested = set(), set()
    for path in sorted(p for folder in ("src", "test") for p in (root / folder).rglob("*") if p.suffix in (".cc", ".h", ".py")):
        text = path.read_text(errors="replace")
        names = set(NAME.findall(text)) & bounds.keys()
        if path.name.endswith("_test.cc") or path.name.startswith("test_") or (root / "test") in path.parents:
            tested |= names
        elif path.parent == root / "src/base/limits":
            # A bound that another bound is made of is used where that one is.
            used |= {n for n in names if len(re.findall(rf"\b{n}\b", text)) > 1}
        else:
            used |= names
    bad = []
    for name, header in bounds.items():
        where = f"src/base/limits/{header}: {name}"
        if name in untested:
            if name in used and name in tested:
                bad.append(f"{where}: has its test; take it off the list in tools/check_limits.py")
        elif name not in used:
            bad.append(f"{where}: nothing uses it; delete it")
        elif name not in tested:
            bad.append(f"{where}: no test names it; write one that hits it")
    bad += [f"tools/check_limits.py: {name} is no bound any more; take it off the list" for name in sorted(untested - bounds.keys())]
    return bad


if __name__ == "__main__":
    problems = check(Path(sys.argv[1]), UNTESTED)
    print("\n".join(problems) if problems else "limits: every bound is used and has its test")
    sys.exit(1 if problems else 0)
