"""Who asks, on a node that has no pidfds of peers: Debian 12's own kernel has none."""
import pathlib
import subprocess
import sys
import unittest

import older_kernel
import test_from_inside

UNDER = [sys.executable, "-B", older_kernel.__file__]


class OlderKernel(test_from_inside.WhoAsks):
    UNDER = UNDER

    def test_the_kernel_is_one(self):
        code = ("import fcntl, os, socket\nfor ask in (lambda s: s.getsockopt(1, 77, 4), lambda s: s.setsockopt(1, 76, 1), lambda s: s.setsockopt(1, 16, 1),\n"
                "            lambda s: fcntl.ioctl(os.pidfd_open(os.getpid()), 0xff05)):\n"
                "  try: ask(socket.socketpair()[0]); print('there')\n  except OSError as e: print(e.errno)")
        done = subprocess.run([*UNDER, sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.split(), ["92", "92", "there", "25"], done.stderr)
        keeper = pathlib.Path(f"/proc/{self.node.pids()['keeper']}/status").read_text()
        self.assertRegex(keeper, r"Seccomp_filters:\t[3-9]")  # this one, the supervisor's and its own


if __name__ == "__main__":
    unittest.main()
