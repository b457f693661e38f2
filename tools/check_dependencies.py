#!/usr/bin/env python3
"""Every package that ./dev installs has its line in docs/dependencies.md, and every library that CMake finds is linked.

usage: check_dependencies.py ROOT      exit 1 with what is missing
"""
import re
import sys
from pathlib import Path

LIST = re.compile(r"^\w+_PACKAGES=\((.*?)\)", re.MULTILINE | re.DOTALL)
PKG_CONFIG = re.compile(r"foreach\(lib (.*?)\)", re.DOTALL)


def check(packages: str, page: str, deps: str, cmake_lists: str) -> list[str]:
    installed = {word for body in LIST.findall(packages) for word in body.split()}
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ") and "| package |" not in line]
    of_packages = [word for row in rows for word in re.findall(r"[a-z0-9][a-z0-9.+-]+", row[2])]
    repeated = {word for word in of_packages if of_packages.count(word) > 1}
    named = set(of_packages)
    bad = [f"docs/dependencies.md: {p} has two lines" for p in sorted(repeated)]
    bad += [f"docs/dependencies.md: no line for {p}, which tools/packages.sh installs" for p in sorted(installed - named)]
    bad += [f"docs/dependencies.md: {p} is not installed by tools/packages.sh" for p in sorted(named - installed)]
    for library in (PKG_CONFIG.findall(deps) or [""])[0].split():
        target = "dep::" + re.sub("[^a-z0-9]", "_", library)
        if not re.search(rf"{target}\b", cmake_lists):
            bad.append(f"cmake/deps.cmake: nobody links {target}")
    return bad


if __name__ == "__main__":
    root = Path(sys.argv[1])
    lists = "".join(p.read_text() for folder in ("src", "test", "proto") for p in sorted((root / folder).rglob("CMakeLists.txt")))
    problems = check((root / "tools/packages.sh").read_text(), (root / "docs/dependencies.md").read_text(),
                     (root / "cmake/deps.cmake").read_text(), lists)
    print("\n".join(problems) if problems else "dependencies: every package has its line, every library its user")
    sys.exit(1 if problems else 0)
