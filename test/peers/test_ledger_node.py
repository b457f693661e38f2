"""The Go checksum database's code reads the exported log of a real node, with the cosignatures of its witness."""
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from waiting import wait_for
from witnessed import WitnessedNode

HERE = Path(__file__).resolve().parent


class Exported(WitnessedNode):
    def log(self):
        return {log["tenant"]: log for log in self.node.json("ledger", "list")["logs"]}["default"]

    def peer(self):
        return subprocess.run(["go", "run", ".", "-exported", self.folder], cwd=HERE / "ledger", text=True, capture_output=True, timeout=600,
                              check=False)

    def test_a_peer_reads_it_and_notices_a_changed_byte(self):
        # More than one bundle of entries, and cosigned on the way.
        while self.log()["records"] < 300:
            for _ in range(20):
                self.node.hexr("run", "--agent", "a", "--", "true")
            wait_for(lambda: self.seen()["records"] > 0)
        self.node.hexr("down")  # the last records are in, and a checkpoint over them
        self.node.hexr("up")
        wait_for(lambda: self.seen()["records"] == self.log()["records"], what=lambda: (self.seen(), self.log()))
        self.folder = self.state / "exported"
        self.folder.mkdir()
        self.node.hexr("ledger", "export", "--tenant", "default", "--output-dir", str(self.folder / "log"))
        (self.folder / "witness.vkey").write_text(self.vkey + "\n")
        proof = self.node.hexr("ledger", "prove", "--log", str(self.folder / "log"), "--key", str(self.folder / "log" / "log.vkey"), "260").stdout
        (self.folder / "proof").write_text(proof)
        done = self.peer()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("exported entries, every tile and checkpoint, both signatures", done.stdout)

        for path, words in (("tile/entries/000", "is not its leaf"), ("tile/0/000", "ledger peer: "), ("checkpoint", "ledger peer: ")):
            file = self.folder / "log" / path
            whole = file.read_bytes()
            file.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
            done = self.peer()
            self.assertNotEqual(done.returncode, 0, path)
            self.assertIn(words, done.stderr, path)
            file.write_bytes(whole)
        shutil.rmtree(self.folder / "log" / "checkpoints")
        self.assertNotEqual(self.peer().returncode, 0)


if __name__ == "__main__":
    unittest.main()
