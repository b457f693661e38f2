"""SPIRE's own client, `spire-agent api`, in an agent of ours."""
import shutil
import subprocess
import unittest

from node import Node
from peers import go_program

ME = "spiffe://example.test/agent/default/crew/spire"


class SpireAgent(unittest.TestCase):
    def test_fetch_and_validate(self):
        program = go_program("spire", "github.com/spiffe/spire/cmd/spire-agent")
        with Node() as node:
            work = node.home / "work"
            work.mkdir()
            shutil.copy(program, work)

            def agent(*command):
                return node.hexr("run", "--agent", "crew", "--role", "spire", "--", *command, cwd=work).stdout
            socket = agent("printenv", "SPIFFE_ENDPOINT_SOCKET").strip().removeprefix("unix://")
            said = agent("./spire-agent", "api", "fetch", "x509", "-socketPath", socket, "-write", ".")
            self.assertIn(ME, said)
            shown = subprocess.run(["openssl", "verify", "-CAfile", work / "bundle.0.pem", work / "svid.0.pem"], capture_output=True, text=True)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn(ME, agent("./spire-agent", "api", "fetch", "jwt", "-socketPath", socket, "-audience", "a peer"))
            token = next(line.strip() for line in agent("./spire-agent", "api", "fetch", "jwt", "-socketPath", socket, "-audience",
                                                        "a peer").splitlines() if line.strip().startswith("ey"))
            self.assertIn(ME, agent("./spire-agent", "api", "validate", "jwt", "-socketPath", socket, "-audience", "a peer", "-svid", token))
            refused = node.hexr("run", "--agent", "crew", "--role", "spire", "--", "./spire-agent", "api", "validate", "jwt", "-socketPath", socket,
                                "-audience", "another", "-svid", token, cwd=work, check=False)
            self.assertNotEqual(refused.returncode, 0)


if __name__ == "__main__":
    unittest.main()
