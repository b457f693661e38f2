"""A whole node of a plain user: what test_node and the attacks from inside show as root, shown again as somebody without any right,
with programs and tests in a folder of their own. (Who runs the tests as a plain user has seen it without this.)"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from node import BIN

TESTS = pathlib.Path(__file__).resolve().parents[1]
UID = 61234  # nobody's: no name, no group, no home


@unittest.skipUnless(os.geteuid() == 0, "it runs as a plain user anyway")
class Unprivileged(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="hexr-plain-", dir="/tmp"))
        cls.folder.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        (cls.folder / "bin").mkdir()
        for name in ("hexr", "hexrd", "hexr-commands"):
            shutil.copy(BIN / name, cls.folder / "bin")
        shutil.copytree(TESTS, cls.folder / "test", ignore=shutil.ignore_patterns("peers", "data"))
        subprocess.run(["chmod", "-R", "a+rX", cls.folder], check=True)

    def run_as_plain_user(self, test):
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "HEXR_BIN": str(self.folder / "bin"),
               "PYTHONPATH": str(self.folder / "test" / "integration")}
        done = subprocess.run(["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
                               "/usr/bin/python3", "-B", self.folder / "test" / test, "-v"],
                              env=env, cwd="/", text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=400, check=False)
        return done

    def test_a_nodes_life_and_attacks_from_inside(self):
        tests = ("integration/test_node.py", "attack/test_from_inside.py", "attack/test_older_kernel.py")
        with concurrent.futures.ThreadPoolExecutor() as both:
            for test, done in zip(tests, both.map(self.run_as_plain_user, tests), strict=True):
                with self.subTest(test):
                    self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
                    self.assertGreater(int(re.search(r"Ran (\d+) tests", done.stderr)[1]), 4)
                    self.assertNotIn("skipped", done.stderr)


if __name__ == "__main__":
    unittest.main()
