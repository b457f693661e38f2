"""Bytes that nobody asked for, at every door of a live node, from outside and from inside an agent: nobody falls over."""
import os
import random
import socket
import time
import unittest

from faults import Agent, FaultNode
from waiting import wait_for

SEED = int(os.environ.get("HEXR_SEED", "1"))
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(rnd):
    """A frame that may be anything, and mostly is well formed at its front."""
    payload = bytes(rnd.randrange(256) for _ in range(rnd.choice((0, 4, 8, 30, 300))))
    size = len(payload) if rnd.random() < 0.9 else rnd.randrange(1 << 24)
    return size.to_bytes(3, "big") + bytes([rnd.randrange(11), rnd.randrange(256)]) + rnd.choice((0, 1, 3, 2, 1 << 30)).to_bytes(4, "big") + payload


def message(rnd):
    """Something like protobuf: a few fields with sizes that may lie."""
    out = bytearray()
    for _ in range(rnd.randrange(6)):
        text = bytes(rnd.randrange(256) for _ in range(rnd.choice((0, 1, 20, 200))))
        out += bytes([rnd.randrange(1, 16) << 3 | rnd.choice((0, 2, 2, 2, 5)), len(text) & 127 if rnd.random() < 0.9 else 127]) + text
    return bytes(out)


class Garbage(unittest.TestCase):
    def knock(self, kind, path, parts, fds=()):
        with socket.socket(socket.AF_UNIX, kind) as s:
            s.settimeout(2)
            try:
                s.connect(str(path))
                for part in parts:
                    socket.send_fds(s, [part], fds) if fds else s.send(part)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError:
                pass  # refused, cut off, or silent: all fine

    def test_every_door(self):
        rnd = random.Random(SEED)
        with FaultNode() as node:
            agents = [Agent(node, "calls"), Agent(node, "svids")]
            for a in agents:
                self.addCleanup(a.end)
                wait_for(lambda a=a: a.works_since(0), what=f"{a.what} is answered")
            before, run = node.pids(), node.home / "run"
            inside = [Agent(node, "garbage", role=f"garbage{n}", seed=str(SEED + n)) for n in range(3)]
            for a in inside:
                self.addCleanup(a.end)
            for _ in range(300):
                self.knock(socket.SOCK_STREAM, run / "api.sock", [rnd.choice((b"", PREFACE)), *(frame(rnd) for _ in range(rnd.randrange(1, 12)))])
                self.knock(socket.SOCK_SEQPACKET, run / "launch.sock", [message(rnd) or b"\0"], fds=[0] * rnd.randrange(4))
                self.knock(socket.SOCK_SEQPACKET, run / "private/admin.sock", [message(rnd) or b"\0"], fds=[0] * rnd.randrange(2))
            for a in inside:
                self.assertEqual(a.process.wait(timeout=120), 0, a.process.stderr.read())
            self.assertEqual(node.pids(), before, "the same processes, none of which was started again")
            now = time.time()
            for a in agents:
                wait_for(lambda a=a: a.works_since(now), what=f"{a.what} is still answered")


if __name__ == "__main__":
    unittest.main()
