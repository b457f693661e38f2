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
    "kMaxDescriptorsListed", "kMaxThreadsWalked",
    # guard
    "kMaxGuardChainBytes", "kMaxGuardDatabaseBytes", "kMaxGuardNames", "kMaxGuardPemBytes", "kMaxGuardPlaceholders",
    "kMaxGuardRunBytes", "kMaxGuardShingles", "kMaxGuardTokenBytes", "kMaxGuardViewDepth",
    # rego
    "kMaxBundleBytes", "kMaxPolicyFileBytes", "kMaxPolicyFiles", "kMaxRegoParseDepth", "kMaxRegoParseStepsPerToken",
    "kMaxRegoTypeChoices", "kMaxRegoYamlNodes",
}

# Bounds that stand elsewhere, by file. This list only shrinks: most are facts of a format or a kernel and may stay.
ELSEWHERE: dict[str, set[str]] = {
    "src/cli/witness.cc": {"kMaxConnections", "kMaxKeyBytes"},
    "src/base/host.cc": {"kMaxLabelBytes", "kMaxNameBytes"},
    "src/crypto/scrypt.cc": {"kMaxMemory"},
    "src/gateway/egress/dns_door.cc": {"kMaxUdpQuery"},
    "src/guard/injection/features.h": {"kMaxFeaturesPerWord"},
    "src/guard/stream/lane.cc": {"kMaxPemHeader"},
    "src/guard/train/main.cc": {"kMaxTextBytes"},
    "src/guard/unicode/hidden.cc": {"kMaxLineBidi"},
    "src/guard/views/folder.cc": {"kMaxNesting"},
    "src/identity/user_token.cc": {"kMaxSubjectBytes"},
    "src/keeper/metrics.cc": {"kMaxHelpBytes", "kMaxLabels", "kMaxNameBytes", "kMaxValueBytes"},
    "src/ledger/journal.h": {"kMaxBytes"},
    "src/ledger/log_reader.h": {"kMaxHistoryBytes"},
    "src/ledger/merkle.h": {"kMaxProofHashes"},
    "src/ledger/record_scan.h": {"kMaxExactInteger"},
    "src/ledger/sequencer.cc": {"kMaxCountLineBytes", "kMaxPendingTextBytes", "kMaxStateBytes"},
    "src/ledger/storage.cc": {"kMaxFolderDepth"},
    "src/ledger/tiles.h": {"kMaxBundleBytes", "kMaxEntryBytes", "kMaxTileBytes", "kMaxTileLevel"},
    "src/net/unix_peer.cc": {"kMaxRights"},
    "src/policy/rego/builtins/gofmt.h": {"kMaxGoFormatWidth"},
    "src/policy/rego/builtins/jwt.cc": {"kMaxNesting"},
    "src/policy/rego/builtins/numbers.cc": {"kMaxShift"},
    "src/policy/rego/builtins/template.cc": {"kMaxNesting"},
    "src/policy/rego/builtins/time.cc": {"kMaxZones"},
    "src/policy/rego/builtins/units.cc": {"kMaxExponentDigits"},
    "src/policy/rego/plan/plan_inline.cc": {"kMaxRules"},
    "src/policy/rego/plan/planner.h": {"kMaxInlineDepth"},
    "src/policy/rego/syntax/parser.cc": {"kMaxErrors"},
    "src/policy/rego/value/number.cc": {"kMaxIntegerDigits"},
    "src/policy/rego/vm/execute.cc": {"kMaxDecided"},
    "src/spawner/cgroups.cc": {"kMaxFileBytes"},
    "src/spawner/child.cc": {"kMaxSentFds"},
    "src/spawner/mounts.h": {"kMaxMountSteps"},
    "src/wire/client_hello.cc": {"kMaxRecordBytes"},
    "src/wire/dns.cc": {"kMaxUdpBytes"},
    "src/wire/grpc_framing.cc": {"kMaxDigits"},
    "src/wire/http1.cc": {"kMaxDigits"},
}

CONSTANT = re.compile(r"^inline constexpr [\w:<> ]+? (k\w+)\s*[={]", re.MULTILINE)
NAME = re.compile(r"\bk[A-Z]\w+")
OWN = re.compile(r"\b(kMax\w+)\s*[={]")
NOT_PRODUCT = re.compile(r"(_test|_bench|_fuzz)\.cc$|/testing/")


def check_places(root: Path, elsewhere: dict[str, set[str]]) -> list[str]:
    """A new kMax… stands with the others, where it is seen and has to have a test."""
    bad, found = [], {}
    for path in sorted(p for p in (root / "src").rglob("*") if p.suffix in (".cc", ".h")):
        name = str(path.relative_to(root))
        if name.startswith("src/base/limits/") or NOT_PRODUCT.search(name):
            continue
        names = {n for line in path.read_text(errors="replace").splitlines() if "constexpr" in line for n in OWN.findall(line)}
        found[name] = names
        bad += [f"{name}: {n}: bounds stand in src/base/limits/, with a test each" for n in sorted(names - elsewhere.get(name, set()))]
    bad += [f"tools/check_limits.py: {n} is not in {name} any more; take it off the list"
            for name, names in sorted(elsewhere.items()) for n in sorted(names - found.get(name, set()))]
    return bad


def check(root: Path, untested: set[str], elsewhere: dict[str, set[str]]) -> list[str]:
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
    bad += check_places(root, elsewhere)
    bad += [f"tools/check_limits.py: {name} is no bound any more; take it off the list" for name in sorted(untested - bounds.keys())]
    return bad


if __name__ == "__main__":
    problems = check(Path(sys.argv[1]), UNTESTED, ELSEWHERE)
    print("\n".join(problems) if problems else "limits: every bound is used and has its test")
    sys.exit(1 if problems else 0)
