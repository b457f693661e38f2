"""Who is trusted, changed while the node runs: registration entries and the authority's keys."""
import json
import os
import pathlib
import subprocess
import unittest

from node import BIN, Node

UID = f"unix:uid:{os.geteuid()}"
CONFIGURED = f"""
entries:
  - {{id: service/fixed, selectors: ["unix:uid:4294967294"]}}
"""


def kinds(node, event):
    """The node's records of this event. A node that was stopped has written its last checkpoint."""
    node.down()
    node.up()
    lines = node.hexr("ledger", "tail", "--node", "-n", "200", "--output", "json").stdout.splitlines()
    return [r for r in map(json.loads, lines) if r["body"].get("event") == event]


class Bundles(unittest.TestCase):
    def test_one_map_carries_all_that_another_node_trusts(self):
        with Node(config="trust_domain: a.test\n") as a, Node(config="trust_domain: b.test\n") as b:
            own = {"a.test": a.json("bundle", "show"), "b.test": b.json("bundle", "show")}
            single = a.home / "b.json"
            single.write_text(json.dumps(own["b.test"]))
            a.hexr("bundle", "set", "b.test", str(single))
            self.assertEqual({td: bundle["keys"] for td, bundle in a.json("bundle", "show", "--all")["trust_domains"].items()},
                             {td: bundle["keys"] for td, bundle in own.items()})
            several = a.home / "all.json"
            several.write_text(a.hexr("bundle", "show", "--all").stdout)
            done = b.hexr("bundle", "set", "--map", str(several))
            self.assertEqual(done.stdout, "trusts a.test\n")  # and nothing of what it said of b.test, which is itself
            self.assertEqual(b.json("bundle", "show", "a.test")["keys"], own["a.test"]["keys"])
            self.assertEqual(b.json("bundle", "show")["keys"], own["b.test"]["keys"])

            # An older one in the map is refused, by name, and the rest is taken.
            maps = json.loads(several.read_text())["trust_domains"]
            older = dict(maps["a.test"], spiffe_sequence=1)
            several.write_text(json.dumps({"trust_domains": {"a.test": older, "c.test": {"keys": []}}}))
            done = b.hexr("bundle", "set", "--map", str(several), check=False)
            self.assertEqual((done.returncode, done.stdout), (1, "trusts c.test\n"))
            self.assertIn("a.test: the bundle of a.test is older", done.stderr)
            self.assertEqual(b.hexr("bundle", "set", "--map", str(several), "--allow-older").returncode, 0)
            self.assertEqual([r["body"]["trust_domain"] for r in kinds(b, "bundle.set")], ["spiffe://a.test", "spiffe://c.test"] * 2)

    def test_what_is_no_map_changes_nothing(self):
        with Node(config="trust_domain: a.test\n") as a:
            file = a.home / "map.json"
            before = a.json("bundle", "list")
            for text in ("", "{}", '{"trust_domains": {"B.TEST": {"keys": []}}}', '{"trust_domains": {"c.test": {"keys": []}, "d.test": {}}}'):
                file.write_text(text)
                self.assertIn(a.hexr("bundle", "set", "--map", str(file), check=False).returncode, (1, 2), text)
            for args in ((), ("b.test",), ("b.test", str(file), "--map", str(file)), ("--map", "/nonexistent")):
                self.assertEqual(a.hexr("bundle", "set", *args, check=False).returncode, 2, args)
            self.assertEqual(a.json("bundle", "list"), before)


class Entries(unittest.TestCase):
    def test_an_entry_gives_identity_until_it_is_deleted(self):
        with Node() as node:
            self.assertEqual(node.hexr("svid", "fetch", check=False).returncode, 1)
            made = node.json("entry", "create", "service/db", "--selector", UID, "--ttl", "5m", "--hint", "main")
            self.assertEqual((made["spiffe_id"], made["selectors"], made["origin"], made["ttl"], made["hint"]),
                             ("spiffe://example.test/service/db", [UID], "operator", "5m", "main"))
            self.assertEqual(node.json("svid", "fetch")["svids"][0]["spiffe_id"], made["spiffe_id"])
            self.assertEqual(node.json("entry", "show", "service/db"), made)
            watch = subprocess.Popen([BIN / "hexr", "svid", "watch", "--output", "json"], env=node.env, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertIn("service/db", watch.stdout.readline())
            node.hexr("entry", "delete", "service/db")
            self.assertEqual(watch.wait(timeout=10), 1)  # the open stream ends with it
            watch.stdout.close()
            watch.stderr.close()
            self.assertEqual(node.hexr("svid", "fetch", check=False).returncode, 1)
            self.assertEqual(node.hexr("entry", "delete", "service/db", check=False).returncode, 1)

    @unittest.skipUnless(os.geteuid() == 0, "joining a group and making a control group takes root")
    def test_groups_and_control_group_are_those_of_the_process_that_asks(self):
        own = next(line[3:].rstrip("/") for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        tree = next((t for t in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if os.path.exists(f"{t}{own}/cgroup.procs")), None)
        self.assertIsNotNone(tree, "version 2 control groups are not mounted here")
        place = f"{own}/hexr-test-{os.getpid()}"
        folder = pathlib.Path(tree + place)
        folder.mkdir()
        self.addCleanup(folder.rmdir)
        entries = f"""
entries:
  - {{id: service/group, selectors: ["unix:supplementary_gid:4242"]}}
  - {{id: service/cell, selectors: ["cgroup:{place}"]}}
  - {{id: service/both, selectors: ["unix:supplementary_gid:4242", "cgroup:{place}", "{UID}"]}}
"""
        with Node(extra=entries) as node:
            def fetched(groups, moves):
                enter = 'echo $$ > "$0/cgroup.procs"; ' if moves else ""
                done = subprocess.run(["/bin/sh", "-c", enter + 'exec "$@"', folder, BIN / "hexr", "svid", "fetch", "--output", "json"],
                                      env=node.env, text=True, capture_output=True, timeout=60, check=False, extra_groups=groups)
                if done.returncode != 0:
                    self.assertEqual(done.returncode, 1, done.stderr)
                    return []
                return sorted(s["spiffe_id"].rsplit("/", 1)[1] for s in json.loads(done.stdout)["svids"])
            self.assertEqual(fetched([], False), [])
            self.assertEqual(fetched([4241, 4243], False), [])
            self.assertEqual(fetched([4241, 4242], False), ["group"])
            self.assertEqual(fetched([], True), ["cell"])
            self.assertEqual(fetched([4242], True), ["both", "cell", "group"])

    def test_entries_outlive_a_restart_and_are_on_record(self):
        with Node() as node:
            node.hexr("entry", "create", "service/db", "--selector", UID, "--selector", "unix:path:/usr/bin/db")
            node.hexr("entry", "create", "service/gone", "--selector", UID)
            node.hexr("entry", "delete", "service/gone")
            self.assertEqual([r["body"]["entry"] for r in kinds(node, "entry.created")], ["service/db", "service/gone"])
            self.assertEqual([e["entry"] for e in node.json("entry", "list")["entries"]], ["service/db"])
            self.assertEqual([r["kind"] for r in kinds(node, "entry.deleted")], ["CF"])

    def test_what_is_refused(self):
        with Node(extra=CONFIGURED) as node:
            for id_, *selectors in (("agent/default/crew/main", UID), ("service/fixed", UID), ("service/x",), ("service/x", "uid:0"),
                                    ("/", UID), ("../x", UID)):
                done = node.hexr("entry", "create", id_, *[a for s in selectors for a in ("--selector", s)], check=False)
                self.assertIn(done.returncode, (1, 2), id_)
                self.assertNotEqual(done.stderr, "")
            self.assertEqual(node.hexr("entry", "create", "service/x", "--selector", UID, "--ttl", "2h", check=False).returncode, 2)
            fixed = node.json("entry", "show", "service/fixed")
            self.assertEqual(fixed["origin"], "configuration")
            done = node.hexr("entry", "delete", "service/fixed", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("configuration", done.stderr)
            self.assertEqual([e["entry"] for e in node.json("entry", "list")["entries"]], ["service/fixed"])


class Authority(unittest.TestCase):
    def keys(self, node, use):
        return {k["state"]: k["id"] for k in node.json("authority", "list")["keys"] if k["use"] == use}

    def test_a_key_goes_in_four_steps(self):
        with Node() as node:
            node.hexr("entry", "create", "service/db", "--selector", UID)
            for use in ("x509", "jwt", "wit"):
                first = self.keys(node, use)["active"]
                self.assertEqual(node.hexr("authority", "revoke", first, check=False).returncode, 1)  # it signs
                node.hexr("authority", "rotate", "--use", use, "--prepare-only")
                prepared = self.keys(node, use)
                self.assertEqual(prepared["active"], first)
                done = node.json("authority", "rotate", "--use", use)
                self.assertEqual((done["id"], done["old"]), (prepared["prepared"], first))
                self.assertEqual(self.keys(node, use), {"active": done["id"], "old": first})
                node.hexr("authority", "taint", first)
                node.hexr("authority", "revoke", first)
                self.assertEqual(self.keys(node, use), {"active": done["id"]})
            self.assertEqual(len(kinds(node, "authority.activated")), 3)
            self.assertEqual({r["kind"] for r in kinds(node, "authority.revoked")}, {"KS"})

    def test_a_tainted_key_is_replaced_on_open_streams(self):
        with Node() as node:
            node.hexr("entry", "create", "service/db", "--selector", UID)
            watch = subprocess.Popen([BIN / "hexr", "svid", "watch", "--output", "json"], env=node.env, text=True, stdout=subprocess.PIPE)
            first = json.loads(watch.stdout.readline())["svids"][0]["serial"]
            old = node.json("authority", "rotate")["old"]
            node.hexr("authority", "taint", old)
            for line in watch.stdout:
                if json.loads(line)["svids"][0]["serial"] != first:
                    break
            watch.kill()
            watch.wait()
            watch.stdout.close()

    def test_an_unknown_key_is_named(self):
        with Node() as node:
            for step in ("taint", "revoke"):
                done = node.hexr("authority", step, "00ff", check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn("hexr authority list", done.stderr)
            self.assertEqual(node.hexr("authority", "rotate", "--use", "pgp", check=False).returncode, 2)


if __name__ == "__main__":
    unittest.main()
