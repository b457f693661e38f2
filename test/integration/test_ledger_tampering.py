"""A copy of a real log, changed in the ways that somebody with the disk would: `hexr ledger verify` finds each of them."""
import json
import shutil
import time
import unittest

from faults import Agent, FaultNode
from waiting import wait_for


class Tampering(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with FaultNode() as cls.node, FaultNode() as other:
            for node in (cls.node, other):
                agent = Agent(node, "calls")
                wait_for(lambda a=agent: sum(x.get("call") == "allowed" for x in a.peek()) > 120, what="calls")
                agent.end()
                time.sleep(0.5)  # its end reaches a checkpoint
            cls.folder = cls.node.home.with_name(cls.node.home.name + "-copies")
            shutil.rmtree(cls.folder, ignore_errors=True)
            cls.folder.mkdir()
            for name, node in (("good", cls.node), ("other", other)):
                node.hexr("ledger", "export", "--tenant", "default", "--output-dir", str(cls.folder / name))
            # What an auditor has kept: the key, and a checkpoint from a later time than the copy that is handed over.
            agent = Agent(cls.node, "svids")
            wait_for(lambda: agent.works_since(0), what="an agent is answered")
            agent.end()
            time.sleep(0.5)
            cls.node.hexr("ledger", "export", "--tenant", "default", "--output-dir", str(cls.folder / "later"))
        cls.key = cls.folder / "key"
        shutil.copy(cls.folder / "good" / "log.vkey", cls.key)
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    def setUp(self):
        self.log = self.folder / "copy"
        shutil.rmtree(self.log, ignore_errors=True)
        shutil.copytree(self.folder / "good", self.log)

    def verify(self, *more):
        done = self.node.hexr("ledger", "verify", "--log", str(self.log), "--key", str(self.key), *more, "--output", "json", check=False)
        return done.returncode, json.loads(done.stdout)["problems"] if done.stdout else done.stderr

    def found(self, *more):
        code, problems = self.verify(*more)
        self.assertEqual(code, 1, problems)
        self.assertTrue(problems)
        return {p["code"] for p in problems}

    def entries(self):
        """The widest file of the first 256 entries."""
        whole = self.log / "tile/entries/000"
        return whole if whole.exists() else max((self.log / "tile/entries/000.p").iterdir(), key=lambda p: int(p.name))

    def records(self):
        data, out = self.entries().read_bytes(), []
        while data:
            size = int.from_bytes(data[:2], "big")
            out.append(data[:2 + size])
            data = data[2 + size:]
        return out

    def test_an_honest_copy_has_no_problems(self):
        self.assertEqual(self.verify(), (0, []))

    def test_any_changed_byte(self):
        size = self.entries().stat().st_size
        for at in range(2, size, size // 23):
            data = bytearray(self.entries().read_bytes())
            data[at] ^= 1
            self.entries().write_bytes(data)
            self.found()
            data[at] ^= 1
            self.entries().write_bytes(data)
        self.assertEqual(self.verify(), (0, []))

    def test_swapped_dropped_and_repeated_records(self):
        r = self.records()
        for changed in ([r[1], r[0], *r[2:]], [*r[:5], *r[6:]], [*r[:5], r[4], *r[5:]]):
            self.entries().write_bytes(b"".join(changed))
            self.found()

    def test_a_cut_log(self):
        data = self.entries().read_bytes()
        self.entries().write_bytes(data[:len(data) // 2])
        self.found()

    def test_a_missing_tile(self):
        self.entries().unlink()
        self.found()

    def test_a_changed_checkpoint(self):
        checkpoint = self.log / "checkpoint"
        origin, size, root, *rest = checkpoint.read_text().split("\n")
        checkpoint.write_text("\n".join([origin, str(int(size) - 1), root, *rest]))
        self.assertIn("signature", self.found())

    def test_a_key_from_beside_the_log_is_named_as_such(self):
        for more, source, warned in (((), "beside", True), (("--key", str(self.key)), "argument", False)):
            done = self.node.hexr("ledger", "verify", "--log", str(self.log), *more, "--output", "json")
            found = json.loads(done.stdout)
            self.assertEqual((found["key_from"], found["key"]), (source, self.key.read_text().strip()))
            self.assertEqual("whether it is that of the log you mean" in done.stderr, warned, done.stderr)

    def test_signed_by_another(self):
        # Another node's whole log, with keys and all, handed over as this one's.
        shutil.rmtree(self.log)
        shutil.copytree(self.folder / "other", self.log)
        self.assertIn("signature", self.found())

    def test_an_old_log_where_a_later_one_was_seen(self):
        # Rolled back: signed and whole, and shorter than what the auditor knows of.
        self.assertEqual(self.verify(), (0, []))
        self.assertIn("truncated", self.found("--witness", str(self.folder / "later" / "checkpoint")))

    def test_a_fork_that_was_signed_with_the_right_key(self):
        # The same key on two histories: made by a node that was set back to a copy of its state.
        with FaultNode() as node:
            saved = node.home / "saved"
            node.down()
            shutil.copytree(node.home / "state", saved)
            seen = []
            for n in range(2):
                shutil.rmtree(node.home / "state")
                shutil.copytree(saved, node.home / "state")
                node.up()
                node.busy("revoked", role=f"branch{n}")
                time.sleep(0.5)
                seen.append(node.home / f"branch{n}")
                node.hexr("ledger", "export", "--tenant", "default", "--output-dir", str(seen[n]))
                node.down()
            for one, other in (seen, seen[::-1]):
                done = node.hexr("ledger", "verify", "--log", str(one), "--key", str(seen[0] / "log.vkey"), "--output", "json")
                self.assertEqual(json.loads(done.stdout)["problems"], [], "each for itself is whole")
                done = node.hexr("ledger", "verify", "--log", str(one), "--key", str(seen[0] / "log.vkey"), "--witness",
                                 str(other / "checkpoint"), "--output", "json", check=False)
                self.assertEqual(done.returncode, 1)
                self.assertTrue({p["code"] for p in json.loads(done.stdout)["problems"]} & {"root", "truncated"}, done.stdout)


if __name__ == "__main__":
    unittest.main()
