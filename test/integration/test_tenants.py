"""Tenants on a real node: made, used, frozen, thawed, deleted; each apart from the others."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import unittest

from node import BIN, Node
from waiting import wait_for

ROLES = """trust_domain: example.test
roles:
  - {tenant: "*", agent: "*", role: "*", exe: "*", user: "*", spawn: ["*/*"]}
ledger: {checkpoint_interval: 50ms}
"""


def log_of(node, tenant):
    """The records of a tenant's log, once all is in it that was written before."""
    node.down()
    node.up()
    lines = node.hexr("ledger", "tail", "-n", "1000", "--tenant", tenant, "--output", "json").stdout.splitlines()
    return [json.loads(line) for line in lines]


class Tenants(unittest.TestCase):
    def agent(self, node, tenant, *command):
        process = subprocess.Popen([BIN / "hexr", "run", "--tenant", tenant, "--agent", "crew", "--", *command], env=node.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_for(lambda: any(i["tenant"] == tenant and i["state"] == "running" for i in node.json("ps")["instances"]))
        return process

    def test_a_second_tenant_is_apart_from_the_first(self):
        with Node(config=ROLES) as node:
            node.hexr("tenant", "create", "acme")
            self.assertEqual(sorted(node.pids()), ["gateway/acme", "gateway/default", "keeper", "spawner"])
            listed = {t["tenant"]: t for t in node.json("tenant", "list")["tenants"]}
            self.assertEqual({n: t["state"] for n, t in listed.items()}, {"acme": "active", "default": "active"})
            self.assertNotEqual(listed["acme"]["uid"], listed["default"]["uid"])
            said = node.hexr("run", "--tenant", "acme", "--agent", "crew", "--", "hexr", "svid", "fetch").stdout
            self.assertIn("spiffe://example.test/agent/acme/crew/main", said)
            # Secrets of one are not the other's.
            node.hexr("vault", "put", "key", "--tenant", "acme", input="of acme")
            self.assertEqual(node.hexr("vault", "get", "key", "--tenant", "acme").stdout.strip(), "of acme")
            self.assertEqual(node.hexr("vault", "get", "key", check=False).returncode, 1)
            self.assertEqual(node.json("vault", "list")["secrets"], [])
            # Nor are records: each in its own log, and the logs have keys of their own.
            node.hexr("run", "--agent", "other", "--", "true")
            ours, theirs = log_of(node, "acme"), log_of(node, "default")
            self.assertEqual({r["tenant"] for r in ours}, {"acme"})
            self.assertEqual({r["tenant"] for r in theirs}, {"default"})
            self.assertTrue(any(r["spiffe_id"].endswith("/acme/crew/main") for r in ours))
            self.assertFalse(any("/acme/" in r["spiffe_id"] for r in theirs))
            keys = {log["tenant"]: log["key"] for log in node.json("ledger", "list")["logs"]}
            self.assertEqual(len(set(keys.values())), 3)
            self.assertEqual(node.hexr("run", "--tenant", "nobody", "--agent", "x", "--", "true", check=False).returncode, 125)

    def test_a_frozen_tenant_launches_nothing_until_it_is_thawed(self):
        with Node(config=ROLES) as node:
            node.hexr("tenant", "create", "acme")
            agent = self.agent(node, "acme", "sleep", "60")
            other = self.agent(node, "default", "sleep", "60")
            node.hexr("tenant", "freeze", "acme")
            self.assertNotEqual(agent.wait(timeout=20), 0)
            mark = node.home / "ran"

            def launch():
                return node.hexr("run", "--tenant", "acme", "--agent", "crew", "--rw", str(node.home), "--", "touch", str(mark), check=False)
            done = launch()
            self.assertEqual(done.returncode, 125)
            self.assertIn("tenant acme is frozen; `hexr tenant thaw acme` ends that", done.stderr)
            self.assertFalse(mark.exists())
            self.assertIsNone(other.poll())
            node.down()
            node.up()  # frozen is frozen, whatever restarts
            self.assertIn("`hexr tenant thaw acme`", launch().stderr)
            self.assertNotIn("gateway/acme", {c for c in node.pids() if node.pids()[c] and os.path.exists(f"/proc/{node.pids()[c]}")})
            self.assertEqual({t["tenant"]: t["state"] for t in node.json("tenant", "list")["tenants"]}["acme"], "frozen")
            node.hexr("tenant", "thaw", "acme")
            wait_for(lambda: node.hexr("run", "--tenant", "acme", "--agent", "crew", "--", "true", check=False).returncode == 0)

    def test_quotas_hold_and_are_kept(self):
        with Node(config=ROLES) as node:
            node.hexr("tenant", "create", "acme", "--max-instances", "1", "--max-secrets", "1")
            self.agent(node, "acme", "sleep", "60")
            done = node.hexr("run", "--tenant", "acme", "--agent", "crew", "--", "true", check=False)
            self.assertEqual(done.returncode, 125)
            self.assertIn("hexr tenant quota", done.stderr)
            self.assertEqual(node.hexr("run", "--agent", "crew", "--", "true", check=False).returncode, 0)  # nobody else's
            node.hexr("vault", "put", "one", "--tenant", "acme", input="1")
            self.assertEqual(node.hexr("vault", "put", "two", "--tenant", "acme", input="2", check=False).returncode, 1)
            node.hexr("vault", "put", "one", "--tenant", "acme", input="another version is no other secret")
            node.hexr("tenant", "quota", "acme", "--max-instances", "2")
            self.assertEqual(node.hexr("run", "--tenant", "acme", "--agent", "crew", "--", "true", check=False).returncode, 0)
            # The keeper that comes after this one knows it too, and who lives is registered again.
            keeper = node.pids()["keeper"]
            os.kill(keeper, signal.SIGKILL)
            wait_for(lambda: node.pids()["keeper"] != keeper)
            kept = wait_for(lambda: node.hexr("tenant", "list", "--output", "json", check=False).stdout)
            self.assertEqual([(t["max_instances"], t["max_secrets"]) for t in json.loads(kept)["tenants"] if t["tenant"] == "acme"], [(2, 1)])
            wait_for(lambda: [i for i in node.json("ps")["instances"] if i["tenant"] == "acme"])
            for wrong in (("--max-instances", "-1"), ("--max-instances", "x"), ("--max-secrets", "99999999")):
                self.assertIn(node.hexr("tenant", "quota", "acme", *wrong, check=False).returncode, (1, 2), wrong)

    def test_what_is_deleted_is_gone_and_its_log_still_verifies(self):
        with Node(config=ROLES) as node:
            node.hexr("tenant", "create", "acme")
            node.hexr("vault", "put", "key", "--tenant", "acme", input="a secret of acme")
            agent = self.agent(node, "acme", "sleep", "60")
            self.assertEqual(node.hexr("tenant", "delete", "acme", check=False).returncode, 2)
            self.assertEqual(node.hexr("tenant", "delete", "default", "--confirm", "default", check=False).returncode, 1)
            state = node.home / "state" / "ledger"
            key = node.home / "log.vkey"
            key.write_text(next(log["key"] for log in node.json("ledger", "list")["logs"] if log["tenant"] == "acme") + "\n")
            node.hexr("tenant", "delete", "acme", "--confirm", "acme")
            self.assertNotEqual(agent.wait(timeout=20), 0)
            self.assertEqual([t["tenant"] for t in node.json("tenant", "list")["tenants"]], ["default"])
            self.assertFalse((state / "texts" / "tenants" / "acme.db").exists())
            self.assertFalse((state / "journals" / "tenants" / "acme").exists())
            self.assertEqual(node.hexr("vault", "list", "--tenant", "acme", check=False).returncode, 1)
            self.assertEqual(node.hexr("run", "--tenant", "acme", "--agent", "x", "--", "true", check=False).returncode, 125)

            def verify():
                return node.json("ledger", "verify", "--log", str(state / "logs" / "tenants" / "acme"), "--key", str(key))
            before = verify()
            self.assertEqual(before["problems"], [])
            self.assertGreater(before["records"], 3)

            # Another one of that name has nothing of the first but its log, which goes on.
            node.hexr("tenant", "create", "acme")
            self.assertEqual(node.json("vault", "list", "--tenant", "acme")["secrets"], [])
            node.hexr("run", "--tenant", "acme", "--agent", "crew", "--", "true")
            node.down()
            after = verify()
            self.assertEqual(after["problems"], [])
            self.assertGreater(after["records"], before["records"])


class Texts(unittest.TestCase):
    def texts(self, node):
        """Of a copy: the keeper holds the lock of its own."""
        folder = pathlib.Path(node.home, "state", "ledger", "texts", "tenants")
        with tempfile.TemporaryDirectory() as copy:
            for file in folder.glob("default.db*"):
                shutil.copy(file, copy)
            with contextlib.closing(sqlite3.connect(f"{copy}/default.db")) as db:
                return db.execute("SELECT count(*) FROM text").fetchone()[0]

    def journals(self, node):
        return list(pathlib.Path(node.home, "state", "ledger", "journals", "tenants", "default").glob("*.journal"))

    def test_an_erased_text_is_gone_and_the_log_says_so_and_verifies(self):
        config = ROLES + 'egress: {allow: ["example.test:443"]}\n'
        ask = "import urllib.request, urllib.error\ntry: urllib.request.urlopen('http://nobody.test/what-a-user-said', timeout=20)\nexcept Exception: pass"
        with Node(config=config) as node:
            node.hexr("run", "--agent", "one", "--", "python3", "-c", ask)
            node.hexr("run", "--agent", "two", "--", "python3", "-c", ask)
            wait_for(lambda: self.texts(node) == 2)
            lines = node.hexr("ledger", "tail", "-n", "1000", "--tenant", "default", "--output", "json").stdout.splitlines()
            spoken = [r for r in map(json.loads, lines) if "target" in r["body"]]
            self.assertEqual(len(spoken), 2)
            self.assertEqual(node.json("ledger", "erase", "--tenant", "default", "--instance", spoken[0]["instance"])["texts"], 1)
            self.assertEqual(self.texts(node), 1)
            self.assertEqual(node.json("ledger", "erase", "--tenant", "default", "--sha256", spoken[1]["body"]["target"]["sha256"])["texts"], 1)
            self.assertEqual(self.texts(node), 0)
            self.assertEqual(node.json("ledger", "erase", "--tenant", "default", "--before", "2100-01-01T00:00:00Z")["texts"], 0)
            for wrong in ((), ("--instance", "x"), ("--sha256", "00"), ("--before", "yesterday"), ("--tenant", "nobody", "--before", "2100-01-01T00:00:00Z"),
                          ("--instance", spoken[0]["instance"], "--before", "2100-01-01T00:00:00Z")):
                self.assertIn(node.hexr("ledger", "erase", *wrong, check=False).returncode, (1, 2), wrong)
            records = log_of(node, "default")
            self.assertEqual([sorted(r["body"]) for r in records if r["body"].get("event") == "texts.erased"],
                             [["event", "of", "operator"], ["event", "operator", "text_sha256"], ["before", "event", "operator"]])
            self.assertEqual(self.texts(node), 0)  # a restart brings nothing back
            self.assertEqual(node.json("ledger", "verify", "--tenant", "default")["problems"], [])


if __name__ == "__main__":
    unittest.main()
