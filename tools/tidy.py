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
    (re.compile(r"\.detach\(\)"), "own every thread", set()),
    (re.compile(r"\bco_(await|return|yield)\b"), "no coroutines (docs/adr/0002)", set()),
    (re.compile(r"using namespace (?!std::(chrono|string)_literals)"), "name what you use", set()),
    (re.compile(r"\bthrow\b(?!\(\))"), "return a Result", set()),
]
TEST_OK = re.compile(r"(_test|_bench|_fuzz)\.cc$|^test/|^src/.*/testing/")
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


if __name__ == "__main__":
    top = Path(sys.argv[1])
    problems = check(top, tracked(top))
    print("\n".join(problems) if problems else "tidy: nothing to say")
    sys.exit(1 if problems else 0)
