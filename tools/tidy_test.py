#!/usr/bin/env python3
"""The tidy check finds what it is there to find, and is quiet otherwise."""
import tempfile
from pathlib import Path

from tidy import check, check_comments, check_fuzzers, check_readmes, check_tests_named

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

README_CASES = [
    ({"src/net/README.md": "# net\n`a.h`\n- INV-NET-01: x\n", "src/net/a.h": "// INV-NET-01\n"}, None),
    ({"src/net/README.md": "# net\n- INV-NET-01: x\n- INV-NET-01: y\n"}, "next number"),
    ({"src/net/README.md": "# net\n- INV-NET-01: x\n", "src/io/README.md": "# io\n- INV-NET-01: y\n"}, "next number"),
    ({"src/net/README.md": "# net\n", "src/net/a.cc": "// INV-NET-02\n"}, "stands in no README"),
    ({"src/net/README.md": "# net\n`ab.h`\n", "src/net/a.h": "\n"}, "does not say"),
    ({"src/net/README.md": "# net\n", "src/net/testing/a.h": "\n"}, None),
    ({"src/net/README.md": "# net\n`src/net` `src/net/README.md` `a/b`\n"}, None),
    ({"src/net/README.md": "# net\n", "docs/a.md": "# A\nsee `src/net/gone.cc`\n"}, "there is no src/net/gone.cc"),
]
for tree, expected in README_CASES:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in tree.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(text)
        found = check_readmes(Path(folder), list(tree))
        assert bool(found) == bool(expected), (tree, found)
        assert expected is None or any(expected in f for f in found), (tree, expected, found)

TESTS = {"src/net/a_test.cc": "TEST_F(Net,\n       IsHeld) {\nTEST(Other, Holds) {\n", "test/test_a.py": "    def test_it_holds(self):\n"}
NAMED_CASES = [
    ("(test: Net.IsHeld).", None),
    ("(test: Net.IsHeld, …Holds).", None),
    ("(test: Net.Is…,\n  test_it_holds).", None),
    ("(test: the assertions of a_test.cc).", None),
    ("(test: Net.IsNotHeld).", "no test Net.IsNotHeld"),
    ("(test: Net.Holds).", "no test Net.Holds"),
    ("(test: Net.IsHel).", "no test Net.IsHel"),
    ("(test:\n  test_it_hold).", "no test test_it_hold"),
]
for text, expected in NAMED_CASES:
    with tempfile.TemporaryDirectory() as folder:
        tree = {**TESTS, "src/net/README.md": "# net\n- INV-NET-01: x " + text + "\n"}
        for name, content in tree.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(content)
        found = check_tests_named(Path(folder), list(tree))
        assert bool(found) == bool(expected), (text, found)
        assert expected is None or expected in found[0], (text, found)

COMMENT_CASES = [
    ("// See net/b.h, b.h, src/net/b.h, linux/in6.h and SPIFFE-ID.md.\n", None),
    ("// See net/gone.h.\n", "no net/gone.h"),
    ("// See limits.h.\n", "no limits.h"),
    ('Log("gone.h");\n', None),
    ("// INTER" + "FACES 4\n", "page of docs/"),
]
for text, expected in COMMENT_CASES:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("src/net/a.cc", text), ("src/net/b.h", "\n")):
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(content)
        found = check_comments(Path(folder), ["src/net/a.cc", "src/net/b.h"])
        assert bool(found) == bool(expected), (text, found)
        assert expected is None or expected in found[0], (text, found)

PARSER = ["src/net/a.cc", "src/net/a_fuzz.cc", "fuzz/corpus/a/x"]
assert check_fuzzers(PARSER, {"src/net/a.cc": "a"}) == []
for without, expected in zip(PARSER, ("no src/net/a.cc", "a_fuzz.cc is missing", "corpus"), strict=True):
    assert expected in check_fuzzers([f for f in PARSER if f != without], {"src/net/a.cc": "a"})[0], without
assert "stands elsewhere" in check_fuzzers(["src/net/a.cc", "src/io/a_fuzz.cc", "fuzz/corpus/a/x"], {"src/net/a.cc": "a"})[0]
assert "nothing fuzzes it" in check_fuzzers([*PARSER, "fuzz/corpus/b/x"], {"src/net/a.cc": "a"})[0]
print(f"tidy check: {len(CASES) + len(README_CASES) + len(NAMED_CASES) + len(COMMENT_CASES) + 6} trees judged right")
