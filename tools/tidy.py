#!/usr/bin/env python3
"""House rules that a program can see. One pass over the tracked text of the tree.

usage: tidy.py ROOT      exit 1 with file:line and what to do
"""
import re
import subprocess
import sys
from pathlib import Path

MAX_FILE = 800
MAX_LINE = 140
# Banned in src/ code, with what to use. The allowlist only shrinks.
BANNED = [
    (re.compile(r"\b(system_clock|steady_clock)::now\b"), "take a Clock", {"src/base/clock.cc"}),
    (re.compile(r"\bstd::regex\b"), "use RE2", set()),
    (re.compile(r"(?<![\w:.>])(system|popen|tmpnam|mktemp|gets|strcpy|strcat|sprintf)\s*\("), "no such call here", set()),
    (re.compile(r"(?<![\w:])s?rand\s*\("), "take a Random", set()),
    (re.compile(r"\bsleep_for\b|(?<![\w:.>])u?sleep\s*\("), "wait for the event, not for time", set()),
    (re.compile(r"\.detach\(\)"), "own every thread",
     {"src/identity/file_hasher.cc", "src/identity/image_lookup.cc", "src/spawner/file_work.cc"}),
    (re.compile(r"\bco_(await|return|yield)\b"), "no coroutines (docs/adr/0002)", set()),
    (re.compile(r"using namespace (?!std::(chrono|string)_literals)"), "name what you use", set()),
    (re.compile(r"\bthrow\b(?!\(\))"), "return a Result", set()),
]
# Rooms whose README speaks of all of their headers at once.
ONE_FOR_ALL = {"src/base/limits"}
# What reads bytes from outside: its fuzzer x_fuzz.cc, with a corpus in fuzz/corpus/x. A new parser gets its line.
FUZZED = {
    "src/base/host.cc": "host", "src/base/spiffe_id.cc": "spiffe_id", "src/gateway/egress/http_request.cc": "proxy_request",
    "src/cli/backup": "backup", "src/config/crew.cc": "crew", "src/config/parse.cc": "config",
    "src/crypto/csr.cc": "csr", "src/crypto/jws.cc": "jws", "src/crypto/pem.cc": "pem", "src/crypto/x509.cc": "x509",
    "src/identity/bundle.cc": "bundle", "src/base/selector.cc": "selector", "src/identity/token.cc": "token",
    "src/identity/workload_api.cc": "services", "src/keeper/admin_server.cc": "admin_request", "src/ledger/checkpoint.cc": "checkpoint",
    "src/ledger/journal.cc": "journal", "src/ledger/record_scan.cc": "record", "src/ledger/tiles.cc": "tile",
    "src/ledger/witness.cc": "add_checkpoint", "src/policy/bundle": "policy_bundle", "src/policy/rego/syntax/parser.cc": "rego_parser",
    "src/policy/rego/engine.cc": "rego_engine", "src/policy/rego/builtins/registry.cc": "rego_builtins",
    "src/policy/rego/value/json.cc": "rego_value", "src/policy/rego/format/format.cc": "rego_format",
    "src/policy/rest/rest_api.cc": "policy_rest",
    "src/runtime/channel.cc": "channel", "src/spawner/launch_message.cc": "launch_message", "src/wire/client_hello.cc": "client_hello",
    "src/wire/dns.cc": "dns", "src/wire/grpc_framing.cc": "grpc_framing", "src/wire/http1.cc": "http1",
    "src/wire/http2_server.cc": "http2_server", "src/wire/json.cc": "json",
}
INVARIANT = re.compile(r"\bINV-[A-Z]+-\d+\b")
TEST_OK = re.compile(r"(_test|_bench|_fuzz)\.cc$|^test/|^src/.*/testing/")
# What a comment says is a file of ours: all but the system's headers and the pages of SPIFFE and gRPC.
NAMED_FILE = re.compile(r"(?<![\w./<-])((?:[\w-]+/)*[\w-]+\.(?:h|cc|proto|md))(?![\w/])")
OTHERS_FILE = re.compile(r"(linux|asm|asm-generic|netinet|sys)/|doc/PROTOCOL|(SPIFFE|X509|JWT|WIT)[\w-]*\.md")
COMMENT = {".cc": "//", ".h": "//", ".proto": "//", ".py": "#"}
# A test, as C++ and Python write it, and as a README names it: Suite.Name, Suite.Beginning…, …OfTheSameSuite, test_name.
CC_TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)
PY_TEST = re.compile(r"^ *def (test_\w+)\(", re.MULTILINE)
NAMES_TESTS = re.compile(r"\(test: ([^)]*)\)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tracked(root: Path) -> list[str]:
    out = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],
                         capture_output=True, text=True, check=False)
    if out.returncode == 0:
        return [f for f in out.stdout.splitlines() if (root / f).is_file()]
    return [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]


def strip_comment_and_strings(line: str) -> str:
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    return line.split("//", 1)[0]


def check(root: Path, files: list[str]) -> list[str]:
    bad = []
    rooms = set()
    for name in files:
        if name.startswith(("src/", "test/", "bench/")) and name.endswith((".cc", ".h")):
            lines = (root / name).read_text(errors="replace").splitlines()
            if len(lines) > MAX_FILE:
                bad.append(f"{name}: {len(lines)} lines; split it along a seam (at most {MAX_FILE})")
            if name.startswith("src/"):
                rooms.add(str(Path(name).parent))
            if name.endswith(".h") and not any(l.startswith("#pragma once") for l in lines):
                bad.append(f"{name}:1: a header starts with #pragma once")
            for number, line in enumerate(lines, 1):
                if len(line) > MAX_LINE:
                    bad.append(f"{name}:{number}: {len(line)} columns (at most {MAX_LINE})")
                if UNFINISHED.search(line):
                    bad.append(f"{name}:{number}: finish it or say in docs what is missing")
                if name.startswith("src/") and not TEST_OK.search(name):
                    code = strip_comment_and_strings(line)
                    for pattern, instead, allowed in BANNED:
                        if name not in allowed and pattern.search(code):
                            bad.append(f"{name}:{number}: {pattern.search(code).group(0).strip()}: {instead}")
        if name.endswith(".md"):
            lines = (root / name).read_text(errors="replace").splitlines()
            fenced = False
            titles = 0
            for line in lines:
                fenced ^= line.startswith("```")
                titles += line.startswith("# ") and not fenced
            if titles != 1:
                bad.append(f"{name}: one '# Title' a page, found {titles}")
            if name.startswith("src/") and len(lines) > 40:
                bad.append(f"{name}: a room's README has at most 40 lines")
    for room in sorted(rooms):
        if not (root / room / "README.md").exists() and str(Path(room).parent) == "src":
            bad.append(f"{room}: a room has a README.md (purpose, types, invariants)")
    return bad


def check_readmes(root: Path, files: list[str]) -> list[str]:
    """What stands in READMEs is there, once, and what is there stands in them."""
    bad, defined, cited = [], {}, []
    there = set(files) | {str(p) for f in files for p in Path(f).parents}
    tops = {f.split("/")[0] for f in files if "/" in f}
    for name in files:
        text = (root / name).read_text(errors="replace") if name.endswith((".md", ".h", ".cc", ".py", ".proto")) else ""
        for number, line in enumerate(text.splitlines(), 1):
            defines = re.match(r"- (INV-[A-Z]+-\d+):", line) if name.endswith("README.md") else None
            if defines and defines[1] in defined:
                bad.append(f"{name}:{number}: {defines[1]} stands at {defined[defines[1]]} already; take the next number")
            if defines:
                defined.setdefault(defines[1], f"{name}:{number}")
            if name != "tools/tidy_test.py":
                cited += [(name, number, i) for i in INVARIANT.findall(line)]
            if name.endswith(".md"):
                for path in re.findall(r"`([\w./-]+?)/?`", line):
                    if path.split("/")[0] in tops and "/" in path and path not in there:
                        bad.append(f"{name}:{number}: there is no {path}")
        if name.startswith("src/") and name.endswith(".h") and "/testing/" not in name:
            folder, readme = str(Path(name).parent), root / Path(name).parent / "README.md"
            stem = re.compile(rf"(?<!\w){re.escape(Path(name).stem)}(?!\w)")
            if folder not in ONE_FOR_ALL and readme.exists() and not stem.search(readme.read_text(errors="replace")):
                bad.append(f"{name}: its folder's README does not say what it holds")
    bad += [f"{name}:{number}: {i} stands in no README" for name, number, i in cited if i not in defined]
    return bad


def check_tests_named(root: Path, files: list[str]) -> list[str]:
    """A test that a README names is there."""
    bad, tests = [], set()
    for name in files:
        if TEST_OK.search(name) and name.endswith((".cc", ".py")):
            text = (root / name).read_text(errors="replace")
            tests |= {".".join(t) for t in CC_TEST.findall(text)} | set(PY_TEST.findall(text))
    for name in files:
        if not name.startswith("src/") or not name.endswith("README.md"):
            continue
        for named in NAMES_TESTS.findall(re.sub(r"\n\s*", " ", (root / name).read_text(errors="replace"))):
            for test in re.findall(r"\w+\.\w+…?|…\w+…?|test_\w+…?", named):
                form = re.compile(re.escape(test.strip("…")) + (r"\w*" if test.endswith("…") else "") + "$")
                if test.endswith((".cc", ".h")) or any(form.search(t) for t in tests):
                    continue
                bad.append(f"{name}: there is no test {test}")
    return bad


def check_comments(root: Path, files: list[str]) -> list[str]:
    """A file that a comment names is there: by its path, beside, below src/, or under that name alone."""
    bad = []
    there = set(files) | {Path(f).name for f in files} | {f.removeprefix("src/") for f in files}
    there |= {"/".join(Path(f).parts[-2:]) for f in files}
    for name in files:
        mark = COMMENT.get(Path(name).suffix)
        if mark is None or name.startswith("tools/tidy"):
            continue
        for number, line in enumerate((root / name).read_text(errors="replace").splitlines(), 1):
            if "INTERFACES" in line:
                bad.append(f"{name}:{number}: name the page of docs/ that says it")
            comment = line.partition(mark)[2] if not re.search(rf'"[^"]*{mark}', line) else ""
            for path in NAMED_FILE.findall(comment):
                if path not in there and not OTHERS_FILE.match(path):
                    bad.append(f"{name}:{number}: there is no {path}")
    return bad


def check_fuzzers(files: list[str], fuzzed: dict[str, str]) -> list[str]:
    """Every parser of bytes from outside has a fuzzer, and every fuzzer a corpus."""
    there = set(files) | {str(p) for f in files for p in Path(f).parents}
    fuzzers = {Path(f).name.removesuffix("_fuzz.cc"): f for f in files if f.endswith("_fuzz.cc")}
    corpora = {Path(f).parts[2] for f in files if f.startswith("fuzz/corpus/")}
    bad = [f"{parser}: its fuzzer {stem}_fuzz.cc is missing" for parser, stem in fuzzed.items() if stem not in fuzzers]
    bad += [f"{parser}: its fuzzer {fuzzers[stem]} stands elsewhere; move it beside" for parser, stem in fuzzed.items()
            if stem in fuzzers and str(Path(fuzzers[stem]).parent) not in (parser, str(Path(parser).parent))]
    bad += [f"tools/tidy.py: there is no {parser} to fuzz" for parser in fuzzed if parser not in there]
    bad += [f"{f}: its corpus fuzz/corpus/{stem} is missing" for stem, f in fuzzers.items() if stem not in corpora]
    return bad + [f"fuzz/corpus/{stem}: nothing fuzzes it" for stem in sorted(corpora - fuzzers.keys())]


if __name__ == "__main__":
    top = Path(sys.argv[1])
    problems = check(top, tracked(top)) + check_readmes(top, tracked(top)) + check_tests_named(top, tracked(top)) + check_comments(top, tracked(top)) + check_fuzzers(tracked(top), FUZZED)
    print("\n".join(problems) if problems else "tidy: nothing to say")
    sys.exit(1 if problems else 0)
