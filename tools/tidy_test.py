#!/usr/bin/env python3
"""The tidy check finds what it is there to find, and is quiet otherwise."""
import tempfile
from pathlib import Path

from tidy import check

CASES = [
    ("src/net/a.h", "int x;\n", "#pragma once"),
    ("src/net/a.cc", "int x;\n" * 801, "split it"),
    ("src/net/a.cc", "x" * 141 + "\n", "columns"),
    ("src/net/a.cc", "auto t = std::chrono::system_clock::now();\n", "take a Clock"),
    ("src/net/a.cc", "std::regex r;\n", "RE2"),
    ("src/net/a.cc", "// TO" + "DO later\n", "finish it"),
    ("src/net/a.cc", "throw 1;\n", "Result"),
    ("src/net/a_test.cc", "throw 1;\n", None),
    ("src/net/a.cc", 'Log("throw");  // throw\n', None),
    ("docs/a.md", "# A\n# B\n", "one '# Title'"),
    ("docs/a.md", "# A\n```sh\n# comment\n```\n", None),
    ("src/net/README.md", "# net\n" + "x\n" * 41, "at most 40 lines"),
]
for name, text, expected in CASES:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text)
        if not name.endswith("README.md"):
            (root / "src/net").mkdir(parents=True, exist_ok=True)
            (root / "src/net/README.md").write_text("# net\n")
        found = check(root, [name])
        assert bool(found) == bool(expected), (name, found)
        assert expected is None or any(expected in f for f in found), (name, expected, found)
print(f"tidy check: {len(CASES)} trees judged right")
