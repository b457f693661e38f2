"""Bounds of one agent that its caller meets: what is within is given, and one more is refused with a sentence."""
import pathlib
import re
import resource
import unittest

from node import Node

LIMITS = (pathlib.Path(__file__).resolve().parents[2] / "src/base/limits/agents.h").read_text()


def bound(name):
    return int(re.search(rf"\b{name} = ([\d']+);", LIMITS)[1].replace("'", ""))


class Bounds(unittest.TestCase):
    def test_folders_given_and_hidden(self):
        with Node() as node:
            many = node.home / "many"
            many.mkdir()
            for i in range(max(bound("kMaxFoldersGiven"), bound("kMaxFoldersHidden")) + 1):
                (many / str(i)).mkdir()

            def run(flag, count):
                words = [w for i in range(count) for w in (flag, str(many / str(i)))]
                return node.hexr("run", "--agent", "a", *words, "--", "true", check=False, cwd="/")
            for flag, name, refusal in (("--ro", "kMaxFoldersGiven", "too many (folders|descriptors)"), ("--hide", "kMaxFoldersHidden", "too much is hidden")):
                with self.subTest(name):
                    within, beyond = run(flag, bound(name) - 8), run(flag, bound(name) + 1)
                    self.assertEqual(within.returncode, 0, within.stderr)
                    self.assertEqual(beyond.returncode, 125)
                    self.assertRegex(beyond.stderr, refusal)

    def test_processes(self):
        """kMaxAgentProcesses, where the caller had more."""
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        with Node() as node:
            given = node.hexr("run", "--agent", "a", "--", "bash", "-c", "ulimit -Hu").stdout.strip()
        most = bound("kMaxAgentProcesses")
        self.assertEqual(int(given), most if hard == resource.RLIM_INFINITY else min(most, hard))


if __name__ == "__main__":
    unittest.main()
