"""Both demonstrations end well: the one in the binary, and the longer one in examples/."""
import pathlib
import subprocess
import sys
import unittest

from node import BIN, Node

DEMO = pathlib.Path(__file__).resolve().parents[2] / "examples" / "demo" / "demo.py"


class Demo(unittest.TestCase):
    def test_hexr_demo(self):
        with Node(start=False) as node:
            done = node.hexr("demo", check=False, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("✓", done.stdout)
            self.assertNotIn("✗", done.stdout)

    def test_the_example(self):
        with Node(start=False) as node:
            done = subprocess.run([sys.executable, "-B", DEMO, "--bin", BIN], env=node.env, text=True, capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=300, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("✓", done.stdout)
            self.assertNotIn("✗", done.stdout)


if __name__ == "__main__":
    unittest.main()
