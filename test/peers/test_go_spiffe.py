"""go-spiffe as an agent: sources, bundles, tokens, mutual TLS with a service, rotation. And as a second opinion on IDs."""
import json
import os
import random
import re
import shutil
import socket
import subprocess
import unittest
from pathlib import Path

from node import BIN, Node
from peers import go_program

SERVER = "spiffe://example.test/service/echo"
CLIENT = "spiffe://example.test/agent/default/crew/go"


class GoSpiffe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.peer = go_program("spiffe", "hexr.test/peers/spiffe")

    def test_agent_and_service(self):
        with Node(start=False) as node:
            work, services = node.home / "work", node.home / "services"
            for folder in (work, services):
                folder.mkdir()
                shutil.copy(self.peer, folder / "peer")
            listener = socket.create_server(("127.0.0.1", 0))
            node.config_file.write_text(f"""\
trust_domain: example.test
identity: {{svid_ttl: 1m, jwt_ttl: 1m}}
roles:
  - {{agent: crew, role: go, exe: peer, user: "*"}}
entries:
  - {{id: service/echo, selectors: ["unix:uid:{os.geteuid()}", "unix:path:{services}/peer"]}}
egress:
  allow: ["echo.test:8443"]
  allow_private: ["127.0.0.0/8"]
  resolve: {{"echo.test": "127.0.0.1:{listener.getsockname()[1]}"}}
""", encoding="utf-8")
            node.up()
            environment = {**node.env, "SPIFFE_ENDPOINT_SOCKET": f"unix://{node.home}/run/api.sock"}
            server = subprocess.Popen([services / "peer", "server", CLIENT, str(listener.fileno())], env=environment,
                                      pass_fds=[listener.fileno()])
            listener.close()
            try:
                done = node.hexr("run", "--agent", "crew", "--role", "go", "--", "./peer", "client", "http://127.0.0.1:15001", SERVER,
                                 "https://echo.test:8443/", "1", cwd=work, timeout=170)
            finally:
                server.kill()
                server.wait()
            first, second = map(json.loads, done.stdout.splitlines())
            for report in (first, second):
                self.assertEqual([report[k] for k in ("ID", "TokenID", "Peer", "Bundle")], [CLIENT, CLIENT, CLIENT, "example.test"])
                self.assertGreaterEqual(report["Authorities"], 1)
                self.assertGreaterEqual(report["Keys"], 1)
            self.assertNotEqual(first["Serial"], second["Serial"], "rotated, and the service takes the new one")

    def test_ids_as_go_spiffe_reads_them(self):
        seed = int(os.environ.get("HEXR_SEED", "1"))
        candidates = list(self.candidates(random.Random(seed), 5000))
        text = "".join(c.hex() + "\n" for c in candidates)
        ours = subprocess.run([BIN / "spiffe_ids_peer"], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
        theirs = subprocess.run([self.peer, "ids"], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
        self.assertEqual((len(ours), len(theirs)), (len(candidates), len(candidates)))
        for candidate, a, b in zip(candidates, ours, theirs):
            # The standard asks nobody to take more than these, and go-spiffe takes any length.
            if len(candidate) > 2048 or len(re.sub(rb"^spiffe://([^/]*).*", rb"\1", candidate, flags=re.S)) > 255:
                self.assertEqual(a, "no", candidate)
            elif candidate[:9].lower() == b"spiffe://" != candidate[:9]:
                self.assertEqual(b, "no", candidate)  # the scheme compares without case; go-spiffe asks for lower case
            else:
                self.assertEqual(a, b, f"{candidate} (HEXR_SEED={seed})")
        self.assertGreater(sum(line.startswith("ok") for line in ours), 500)

    @staticmethod
    def candidates(rnd, count):
        """IDs, nearly IDs and what is far from one."""
        letters = b"abcdefghijklmnopqrstuvwxyz0123456789.-_"
        odd = [bytes([c]) for c in range(256)] + [b"%61", b"%2F", b"//", b"/.", b"/..", b"/...", b"?q", b"#f", b"@", b":80", "é".encode(),
                                                  b"SPIFFE://", b"spiffe:/", b"spiffe://", b"A", b"/A", b" "]
        for _ in range(count):
            domain = bytes(rnd.choice(letters) for _ in range(rnd.choice((0, 1, 5, 20, 255, 256))))
            path = b"".join(b"/" + bytes(rnd.choice(letters + b"ABZ~") for _ in range(rnd.choice((0, 1, 2, 9, 60))))
                            for _ in range(rnd.choice((0, 1, 2, 3, 4, 34))))
            text = bytearray(b"spiffe://" + domain + path)
            for _ in range(rnd.choice((0, 0, 1, 2))):
                at = rnd.randrange(len(text) + 1)
                match rnd.randrange(3):
                    case 0: text[at:at] = rnd.choice(odd)
                    case 1: text[at:at + 1] = rnd.choice(odd)
                    case 2: del text[at:at + rnd.randrange(1, 4)]
            yield bytes(text)


if __name__ == "__main__":
    unittest.main()
