"""docs/benchmarks.md is whole: each benchmark that `hexr bench` lists has its section, and each of its figures a line."""
import pathlib
import re
import unittest

from node import Node

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


class Page(unittest.TestCase):
    def test_every_figure_stands_in_the_page(self):
        self.assertTrue(PAGE.exists(), "docs/benchmarks.md is missing: ./dev bench --update-docs writes it")
        sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
        with Node(start=False) as node:
            names = [b["name"] for b in node.json("bench")["benchmarks"]]
            self.assertEqual(sorted(sections), sorted(names))
            for name in names:
                measured = {f["figure"] for f in node.json("bench", name, "--quick", timeout=300)["figures"]}
                written = set(re.findall(r"^\| (\w+) \| [\d.,]+ \|", sections[name], re.MULTILINE))
                self.assertEqual(measured - written, set(), f"{name}: measured, and not in the page; run ./dev bench --update-docs")
                self.assertEqual(written - measured, set(), f"{name}: in the page, and measured no more")


if __name__ == "__main__":
    unittest.main()
