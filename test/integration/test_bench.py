"""The benchmarks run, and say what they measured in the agreed shape."""
import glob
import json
import unittest

from node import Node
from waiting import wait_for


class Bench(unittest.TestCase):
    def test_every_benchmark_measures(self):
        with Node(start=False) as node:
            names = [b["name"] for b in node.json("bench")["benchmarks"]]
            self.assertIn("identity", names)
            before = set(glob.glob("/tmp/hexr-bench-*"))
            for name in names:
                found = node.json("bench", name, "--quick", timeout=300)
                self.assertEqual((found["name"], found["conditions"]["quick"] != ""), (name, True))
                self.assertGreaterEqual(set(found["machine"]), {"cpu", "cores", "kernel", "memory"})
                self.assertGreater(len(found["figures"]), 1)
                for f in found["figures"]:
                    self.assertGreaterEqual(set(f), {"figure", "value", "unit", "samples", "peers"}, f)
                    if "goal" in f:
                        better = f["value"] <= f["goal"] if f["better"] == "lower" else f["value"] >= f["goal"]
                        self.assertEqual(f["met"], better, f)
            # Nothing is left behind; another benchmark that runs beside this test goes, too.
            wait_for(lambda: not set(glob.glob("/tmp/hexr-bench-*")) - before, what="no folder is left behind")

    def test_an_unknown_benchmark_is_a_usage_error(self):
        with Node(start=False) as node:
            done = node.hexr("bench", "no-such", check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertNotIn("bench-agent", node.hexr("--help").stdout)
            self.assertNotIn("bench-agent", node.hexr("complete", "bench").stdout)


if __name__ == "__main__":
    unittest.main()
