"""A state folder with no room left: nothing is allowed that cannot be recorded, nothing that was recorded is lost."""
import ctypes
import os
import pathlib
import sys
import time
import unittest

from faults import Agent, FaultNode, Log
from waiting import wait_for

MOUNTED = "HEXR_TEST_OWN_MOUNTS"


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.node = FaultNode()
        self.node.start = False
        self.node.cuts_lines = True
        state = self.node.home / "state"
        state.mkdir(mode=0o700)
        options = f"size=24m,mode=0700,uid={os.geteuid()},gid={os.getegid()}"
        if ctypes.CDLL(None, use_errno=True).mount(b"tmpfs", str(state).encode(), b"tmpfs", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount tmpfs")
        self.addCleanup(ctypes.CDLL(None).umount2, str(state).encode(), 2)

    def test_fails_closed_and_recovers(self):
        with self.node as node:
            node.up()
            calls, log = Agent(node, "calls"), Log(node, "default")
            self.addCleanup(calls.end)
            wait_for(lambda: calls.works_since(0), what="calls are answered")
            filler = node.home / "state" / "filler"
            with open(filler, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"\0" * 4096)
                except OSError:
                    pass
            full = time.time()
            wait_for(lambda: any(x.get("status") == 503 and x["begun"] > full for x in calls.peek()), what="calls are refused")
            refused = time.time()
            # A few records still fit into the last block of a file.
            refusals = []
            wait_for(lambda: refusals.append(node.busy("revoked")) or refusals[-1].returncode == 125, what="nobody is launched")
            self.assertRegex(refusals[-1].stderr, "No space|full disk", "and it says why")
            time.sleep(0.3)
            self.assertFalse(calls.works_since(refused), "no call goes out unrecorded")
            self.assertEqual(node.hexr("status").returncode, 0)

            filler.unlink()
            room = time.time()
            wait_for(lambda: calls.works_since(room), what="calls are answered again")
            wait_for(lambda: node.busy("revoked").returncode == 0, what="agents are launched again")
            answered = sum(x.get("call") == "allowed" for x in calls.take())
            wait_for(lambda: log.catch_up() or log.opened >= answered, what="every answered call is on record")
            log.verify()
            Log(node, "").verify()
            starts = [line for line in node.log_lines() if line.get("event") == "child.started"]
            self.assertEqual(len(starts), len(node.pids()), "no process died of it")


if __name__ == "__main__":
    if MOUNTED not in os.environ:
        # A mount namespace of its own: the tmpfs is gone with the test.
        own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-current-user", "--keep-caps", "--mount"]
        os.execvpe(own[0], [*own, sys.executable, "-B", str(pathlib.Path(__file__).resolve()), *sys.argv[1:]], {**os.environ, MOUNTED: "1"})
    unittest.main()
