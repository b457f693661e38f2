#!/usr/bin/env python3
"""The check of bounds finds what it is there to find."""
import tempfile
from pathlib import Path

from check_limits import check


def judged(use: str, test: str, untested: set[str] = frozenset(), elsewhere: dict | None = None) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in {"src/base/limits/a.h": "inline constexpr size_t kMaxA = 3;  // things\n",
                           "src/net/a.cc": use, "src/net/a_test.cc": test}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return check(root, set(untested), elsewhere or {})


USE, TEST = "if (n > limits::kMaxA) {}\n", "Fill(limits::kMaxA + 1);\n"
assert judged(USE, TEST) == []
assert "nothing uses it" in judged("", TEST)[0]
assert "no test names it" in judged(USE, "")[0]
assert judged(USE, "", {"kMaxA"}) == []
assert "take it off" in judged(USE, TEST, {"kMaxA"})[0]
assert "no bound any more" in judged(USE, TEST, {"kMaxGone"})[0]
OWN = USE + "constexpr size_t kMaxHere = 4, kMaxThere = 5;\n"
assert [("stand in src/base/limits" in b) for b in judged(OWN, TEST)] == [True, True]
assert judged(OWN, TEST, elsewhere={"src/net/a.cc": {"kMaxHere", "kMaxThere"}}) == []
assert "take it off" in judged(USE, TEST, elsewhere={"src/net/a.cc": {"kMaxHere"}})[0]
print("bounds check: 9 trees judged right")
