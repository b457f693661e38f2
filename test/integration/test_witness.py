"""A witness as a process of its own, a node that sends it checkpoints, and a log that was written anew behind its back."""
import hashlib
import json
import shutil
import signal
import unittest

from waiting import wait_for
from web import get
from witnessed import NAME, WitnessedNode


class Witness(WitnessedNode):
    def latest(self):
        origin = self.logs["default"]["key"].split("+")[0]
        return get(f"http://127.0.0.1:{self.port}/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint")

    def verify(self, with_checkpoint=True):
        file = self.state / "witness.txt"
        file.write_text(self.vkey + "\n" + (self.latest()[2] if with_checkpoint else ""))
        done = self.node.hexr("ledger", "verify", "--tenant", "default", "--witness", str(file), "--output", "json", check=False)
        return done.returncode, json.loads(done.stdout)

    def test_checkpoints_are_cosigned_and_the_witness_remembers(self):
        first = wait_for(lambda: self.seen()["records"])
        self.assertEqual(self.latest()[0], 200)
        code, report = self.verify()
        self.assertEqual((code, report["problems"]), (0, []))
        self.assertGreaterEqual(report["witnessed"], first)
        # Both sides start again: the node asks where the witness is, and goes on from there.
        self.witness.send_signal(signal.SIGTERM)
        self.assertEqual(self.witness.wait(timeout=20), 0)
        self.node.hexr("run", "--agent", "a", "--", "true")
        wait_for(lambda: "error" in self.seen())
        self.start_witness()
        self.node.down()
        self.node.up()
        wait_for(lambda: self.seen()["records"] > first)
        self.assertEqual(self.verify()[0], 0)

    def test_a_log_that_was_written_anew_is_found(self):
        wait_for(lambda: self.seen()["records"])
        self.node.hexr("run", "--agent", "a", "--", "true")
        before = self.seen()["records"]
        wait_for(lambda: self.seen()["records"] > before)
        # Whoever has the node has the log's key, and begins it again without what it would rather not have done.
        self.node.down()
        shutil.rmtree(self.node.home / "state" / "ledger")
        self.node.up()
        error = wait_for(lambda: self.seen().get("error"))
        self.assertIn("another log of this name", error)
        self.assertTrue(any(line.get("event") == "witness.refused" for line in self.node.log_lines()))
        self.assertEqual(self.node.hexr("ledger", "verify", "--tenant", "default").returncode, 0)  # by itself it looks whole
        code, report = self.verify()
        self.assertEqual(code, 1)
        self.assertTrue(report["problems"])

    def test_a_witness_that_is_no_witness_is_not_believed(self):
        self.witness.send_signal(signal.SIGTERM)
        self.witness.wait(timeout=20)
        shutil.rmtree(self.state / "state")
        self.vkey_before = self.vkey
        self.start_witness()  # the same name and place, another key
        self.assertNotEqual(self.vkey, self.vkey_before)
        error = wait_for(lambda: "no cosignature" in self.seen().get("error", "") and self.seen()["error"])
        self.assertIn(NAME, error)

    def test_a_witness_names_what_it_lacks(self):
        args = ["ledger", "witness", "--listen", "127.0.0.1:1", "--state", str(self.state / "other"), "--log", str(self.state / "logs.vkey")]
        done = self.node.hexr(*args, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--name", done.stderr)
        self.assertEqual(self.node.hexr(*args[:-1], str(self.state / "none"), "--name", "x", check=False).returncode, 2)


if __name__ == "__main__":
    unittest.main()
