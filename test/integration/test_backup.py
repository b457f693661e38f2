"""A backup brings a node back, on an empty place and with its passphrase alone."""
import unittest

from node import Node

PASSPHRASE = "correct horse battery staple"


class Backup(unittest.TestCase):
    def setUp(self):
        self.node = Node().__enter__()
        self.addCleanup(self.node.__exit__, None, None, None)
        self.file = str(self.node.home / "node.backup")
        self.passphrase = self.node.home / "passphrase"
        self.passphrase.write_text(PASSPHRASE + "\n")

    def backup(self, **kwargs):
        return self.node.hexr("backup", self.file, "--passphrase-file", str(self.passphrase), **kwargs)

    def test_a_restored_node_is_the_same_node(self):
        with Node(start=False) as other:
            self.node.hexr("vault", "put", "db/prod", input="s3cret")
            self.node.hexr("entry", "create", "service/db", "--selector", "unix:uid:1")
            keys = self.node.json("authority", "list")
            self.node.down()
            records = self.node.json("ledger", "verify", "--log", str(self.node.home / "state/ledger/logs/node"))["records"]
            self.assertIn("files", self.backup().stdout)
            other.config_file.unlink()
            other.hexr("restore", self.file, "--passphrase-file", str(self.passphrase))
            self.assertEqual(other.config_file.read_text(), self.node.config_file.read_text())
            other.up()
            self.assertEqual(other.hexr("vault", "get", "db/prod").stdout.strip(), "s3cret")
            self.assertEqual([e["entry"] for e in other.json("entry", "list")["entries"]], ["service/db"])
            self.assertEqual(other.json("authority", "list"), keys)
            other.down()
            verified = other.json("ledger", "verify", "--log", str(other.home / "state/ledger/logs/node"))
            self.assertEqual(verified["problems"], [])
            self.assertGreater(verified["records"], records)  # the log goes on where it was

    def test_a_running_node_is_not_copied(self):
        done = self.backup(check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("hexr down", done.stderr)
        self.assertFalse((self.node.home / "node.backup").exists())

    def test_nothing_is_overwritten(self):
        self.node.down()
        before = sorted(p.name for p in (self.node.home / "state").iterdir())
        self.backup()
        self.assertEqual(self.backup(check=False).returncode, 2)
        done = self.node.hexr("restore", self.file, "--passphrase-file", str(self.passphrase), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not overwritten", done.stderr)
        self.assertEqual(sorted(p.name for p in (self.node.home / "state").iterdir()), before)
        self.node.up()

    def test_without_the_passphrase_or_damaged_nothing_is_restored(self):
        self.node.down()
        self.backup()
        with Node(start=False) as other:
            wrong = other.home / "wrong"
            wrong.write_text("another passphrase\n")
            self.assertEqual(other.hexr("restore", self.file, "--passphrase-file", str(wrong), check=False).returncode, 1)
            data = bytearray((self.node.home / "node.backup").read_bytes())
            self.assertNotIn(b"keeper.db", data)
            for damaged in (data[:-1], data[:len(data) // 2], data[:-100] + b"x" + data[-99:], data + b"x", b""):
                (other.home / "damaged").write_bytes(damaged)
                done = other.hexr("restore", str(other.home / "damaged"), "--passphrase-file", str(self.passphrase), check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertFalse((other.home / "state").exists())
                self.assertFalse((other.home / "state.restoring").exists())
            other.hexr("restore", self.file, input=PASSPHRASE + "\n")
            other.up()

    def test_a_short_passphrase_is_refused(self):
        self.node.down()
        self.passphrase.write_text("short\n")
        self.assertEqual(self.backup(check=False).returncode, 2)
        self.assertEqual([p.name for p in self.node.home.iterdir() if "backup" in p.name], [])


if __name__ == "__main__":
    unittest.main()
