"""What an operator types at a running node about secrets and evidence."""
import json
import os
import pathlib
import re
import resource
import subprocess
import unittest

from node import BIN, Node
from waiting import wait_for
from web import free_port, get


class Operator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.node = Node(extra=f'ledger: {{checkpoint_interval: 100ms}}\nmetrics: {{listen: "127.0.0.1:{cls.port}"}}')
        cls.node.__enter__()
        cls.addClassCleanup(cls.node.__exit__, None, None, None)
        (cls.node.home / "work").mkdir()
        cls.node.hexr("run", "--agent", "crew", "--role", "clerk", "--", "true", cwd=cls.node.home / "work")

    def records(self, tenant="default"):
        done = self.node.hexr("ledger", "tail", "-n", "100", "--tenant", tenant, "--output", "json", check=False)
        return [json.loads(line) for line in done.stdout.splitlines()] if done.returncode == 0 else []

    def registered(self):
        return wait_for(lambda: [r for r in self.records() if r["kind"] == "ID" and r["body"]["event"] == "registered"])[0]

    def test_secrets_are_kept_by_version_listed_without_values_rotated_and_deleted(self):
        node = self.node
        self.assertEqual(node.hexr("vault", "put", "db/prod", input="first one\n").stdout, "stored db/prod, version 1\n")
        secret = node.home / "secret"
        secret.write_bytes(b"second\0one\n")
        self.assertEqual(node.json("vault", "put", "db/prod", "--file", str(secret))["version"], 2)
        node.hexr("vault", "put", "other", input="x")
        listed = node.hexr("vault", "list").stdout
        self.assertRegex(listed, r"\ANAME +VERSION +UPDATED\ndb/prod +2 +\d{4}-\S+Z\nother +1 +\S+Z\n\Z")
        self.assertEqual([(s["name"], s["version"]) for s in node.json("vault", "list")["secrets"]], [("db/prod", 2), ("other", 1)])
        for text in (listed, json.dumps(node.json("vault", "list"))):
            self.assertNotIn("second", text)

        # Under another key: each value is still there, and what seals it is not what sealed it.
        sealed = (node.home / "state" / "vault.db").read_bytes() + b"".join(p.read_bytes() for p in (node.home / "state").glob("vault.db-*"))
        self.assertNotIn(b"second\0one", sealed)
        self.assertEqual(node.hexr("vault", "rotate").stdout, "the secrets of default are under a new key\n")
        self.assertEqual(node.json("vault", "rotate", "--tenant", "default"), {"tenant": "default"})
        self.assertEqual(node.hexr("vault", "get", "db/prod").stdout, "second\0one\n")
        self.assertEqual(node.hexr("vault", "get", "other").stdout, "x")
        refused = node.hexr("vault", "rotate", "--tenant", "nobody", check=False)
        self.assertEqual((refused.returncode, "hexr tenant list" in refused.stderr), (1, True))

        self.assertEqual(node.hexr("vault", "delete", "other").stdout, "deleted other\n")
        self.assertEqual([s["name"] for s in node.json("vault", "list")["secrets"]], ["db/prod"])
        for command in ("get", "delete"):
            self.assertEqual(node.hexr("vault", command, "other", check=False).returncode, 1)

    def test_a_rotation_outlives_the_keeper_and_another_tenant_has_no_part_in_it(self):
        node = self.node
        node.hexr("tenant", "create", "acme")
        node.hexr("vault", "put", "k", "--tenant", "acme", input="acme's")
        node.hexr("vault", "put", "k", input="ours")
        node.hexr("vault", "rotate", "--tenant", "acme")
        before = node.pids()["keeper"]
        os.kill(before, 9)
        wait_for(lambda: node.pids()["keeper"] != before)
        wait_for(lambda: node.hexr("status", check=False).returncode == 0)
        self.assertEqual(node.hexr("vault", "get", "k", "--tenant", "acme").stdout, "acme's")
        self.assertEqual(node.hexr("vault", "get", "k").stdout, "ours")
        node.hexr("vault", "delete", "k")

    def test_a_record_is_shown(self):
        record = self.registered()
        shown = json.loads(self.node.hexr("ledger", "show", str(record["seq"]), "--tenant", "default").stdout)
        self.assertEqual(shown, record)
        for bad, code in (("99999", 1), ("x", 2)):  # not there; no number
            self.assertEqual(self.node.hexr("ledger", "show", bad, "--tenant", "default", check=False).returncode, code)

    def test_a_proof_needs_no_log_and_no_node(self):
        record = self.registered()
        folder = self.node.home / "auditor"
        folder.mkdir(exist_ok=True)
        proof = self.node.hexr("ledger", "prove", str(record["seq"]), "--tenant", "default").stdout
        self.assertTrue(proof.startswith("c2sp.org/tlog-proof@v1\n"))
        (folder / "proof").write_text(proof)
        as_json = self.node.json("ledger", "prove", str(record["seq"]), "--tenant", "default")
        self.assertEqual(as_json["record"], record["seq"])
        (folder / "log.vkey").write_text(as_json["key"] + "\n")
        elsewhere = {**self.node.env, "HEXR_HOME": str(folder / "no-node")}

        def verify(name="proof", key="log.vkey", *more):
            return subprocess.run([BIN / "hexr", "ledger", "verify", "--proof", folder / name, "--key", folder / key, *more], env=elsewhere,
                                  text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=30)
        done = verify()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"event":"registered"', done.stdout)
        self.assertRegex(done.stdout, r"is in the log \S+ of \d+ records, cosigned by 0 witnesses")
        found = json.loads(verify("proof", "log.vkey", "--output", "json").stdout)
        self.assertEqual((found["record"], found["witnesses"]), (record, []))
        self.assertEqual(self.node.json("ledger", "verify", "--tenant", "default", "--proof", str(folder / "proof"))["record"], record)

        # Another index, another record, a hash that is another: no.
        lines = proof.splitlines(keepends=True)
        index = next(i for i, line in enumerate(lines) if line.startswith("index "))
        for name, at, line in (("index", index, f"index {record['seq'] + 1}\n"), ("hash", index + 1, ("B" if lines[index + 1][0] == "A" else "A") + lines[index + 1][1:])):
            (folder / name).write_text("".join([*lines[:at], line, *lines[at + 1:]]))
            self.assertEqual(verify(name).returncode, 1, name)
        # A key that has not signed it: the node's own log's.
        other = next(log["key"] for log in self.node.json("ledger", "list")["logs"] if log["tenant"] == "")
        (folder / "other.vkey").write_text(other + "\n")
        self.assertEqual(verify("proof", "other.vkey").returncode, 1)
        # Nobody has cosigned it.
        self.assertEqual(verify("proof", "log.vkey", "--witness", folder / "other.vkey").returncode, 1)
        for text in ("", "not a proof\n", proof[:len(proof) // 2]):
            (folder / "bad").write_text(text)
            self.assertIn(verify("bad").returncode, (1, 2))

    def test_memory_of_secrets_is_locked_and_said_to_be(self):
        status = self.node.json("status")
        self.assertIn(status["secret_memory"], ("memfd_secret", "mlock"))
        self.assertEqual(status["secret_memory_unlocked_bytes"], 0)
        self.assertIn("hexr_secret_memory_unlocked_bytes 0\n", get(f"http://127.0.0.1:{self.port}/metrics")[2])
        if os.geteuid() == 0:
            maps = pathlib.Path(f"/proc/{self.node.pids()['keeper']}/smaps").read_text()
            secret = [m for m in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", maps, flags=re.MULTILINE)
                      if " dd" in m and re.search(r" (dc|wf)\b", m) and "rw-" in m.split("\n")[0]]
            self.assertTrue(secret)
            for mapping in secret:
                self.assertRegex(mapping, r"VmFlags:.* lo\b")

    def test_memory_that_cannot_be_locked_is_reported_where_one_looks(self):
        port = free_port()
        with Node(extra=f'metrics: {{listen: "127.0.0.1:{port}"}}', start=False) as node:
            subprocess.run([BIN / "hexr", "up"], env=node.env, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0)))
            unlocked = node.json("status")["secret_memory_unlocked_bytes"]
            self.assertGreater(unlocked, 0)
            found = {c["check"]: c for c in node.json("doctor", check=False)["checks"]}["node"]
            self.assertEqual(found["verdict"], "weaker")
            self.assertIn(f"{unlocked} bytes of its secrets may be swapped", found["detail"])
            self.assertIn("LimitMEMLOCK", found["remedy"])
            self.assertRegex(get(f"http://127.0.0.1:{port}/metrics")[2], r"\nhexr_secret_memory_unlocked_bytes [1-9]")


if __name__ == "__main__":
    unittest.main()
