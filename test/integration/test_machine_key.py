"""Where the machine key of a node comes from: each source is there for the second keeper as for the first, under its
confinement, and its loss is an error that says so. (A TPM speaks to /dev/tpmrm0 alone: machine_key_test does that with swtpm.)"""
import os
import pathlib
import shutil
import signal
import tempfile
import unittest

from node import Node
from waiting import wait_for

CONFIG = "trust_domain: example.test\n"


class MachineKey(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hexr-key-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.folder)

    def kill_keeper(self, node):
        before = node.pids()["keeper"]
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: node.pids()["keeper"] != before)

    def check_life(self, node, provider):
        """What was sealed by the first keeper is opened by the second, and by the next node."""
        bundle = node.json("bundle", "show")["keys"]
        node.hexr("vault", "put", "k", input="kept")
        self.assertEqual(node.json("status")["machine_key"], provider)
        self.assertEqual({c["check"]: c for c in node.json("doctor", check=False)["checks"]}["node"]["verdict"], "ok")
        self.kill_keeper(node)
        wait_for(lambda: node.hexr("status", check=False).returncode == 0)
        self.assertEqual((node.json("bundle", "show")["keys"], node.hexr("vault", "get", "k").stdout), (bundle, "kept"))
        node.down()
        node.up()
        self.assertEqual((node.json("bundle", "show")["keys"], node.hexr("vault", "get", "k").stdout), (bundle, "kept"))

    def test_a_passphrase_from_a_file(self):
        passphrase = self.folder / "passphrase"
        passphrase.write_text("a long passphrase of a test\n")
        passphrase.chmod(0o600)
        with Node(config=CONFIG + f"machine_key: passphrase\npassphrase_file: {passphrase}\n") as node:
            self.check_life(node, "passphrase")
            for text in (node.log.read_text(), *(p.read_bytes().decode("latin1") for p in (node.home / "state").iterdir() if p.is_file())):
                self.assertNotIn("a long passphrase of a test", text)
            # Another one opens nothing, and makes nothing new.
            passphrase.write_text("another passphrase of a test\n")
            self.kill_keeper(node)
            wait_for(lambda: "wrong passphrase" in node.log.read_text())
            passphrase.write_text("a long passphrase of a test\n")
            wait_for(lambda: node.hexr("status", check=False).returncode == 0)
            self.assertEqual(node.hexr("vault", "get", "k").stdout, "kept")

    def test_a_passphrase_that_others_can_read_and_a_pipe_are_refused(self):
        passphrase = self.folder / "passphrase"
        passphrase.write_text("a long passphrase of a test\n")
        passphrase.chmod(0o644)
        pipe = self.folder / "pipe"
        os.mkfifo(pipe, 0o600)  # a second keeper would find nothing in it
        for path in (passphrase, pipe):
            with self.subTest(path.name), Node(config=CONFIG + f"machine_key: passphrase\npassphrase_file: {path}\n", start=False) as node:
                said = node.hexr("up", check=False)
                self.assertEqual(said.returncode, 2, said.stderr)  # and no waiting for a keeper that cannot come
                self.assertIn(str(path), said.stderr)
                started = [line for line in node.log_lines() if (line.get("event"), line.get("child")) == ("child.started", "keeper")]
                self.assertEqual(len(started), 1)
        with Node(config=CONFIG + "machine_key: passphrase\n", start=False) as node:
            self.assertIn("chmod 600", node.hexr("config", "check", check=False).stderr)

    def test_a_credential_of_systemd(self):
        credentials = self.folder / "credentials"
        credentials.mkdir(mode=0o700)
        (credentials / "hexr-machine-key").write_bytes(os.urandom(64))
        (credentials / "hexr-machine-key").chmod(0o400)

        class Started(Node):
            @property
            def env(self):
                return {**super().env, "CREDENTIALS_DIRECTORY": str(credentials)}
        with Started(config=CONFIG + "machine_key: systemd-credential\n") as node:
            self.check_life(node, "systemd-credential")
            (credentials / "hexr-machine-key").chmod(0o600)
            kept = (credentials / "hexr-machine-key").read_bytes()
            (credentials / "hexr-machine-key").write_bytes(os.urandom(64))
            self.kill_keeper(node)
            wait_for(lambda: "another key" in node.log.read_text() or "gives another" in node.log.read_text())
            (credentials / "hexr-machine-key").write_bytes(kept)
            wait_for(lambda: node.hexr("status", check=False).returncode == 0)


if __name__ == "__main__":
    unittest.main()
