"""What commands print with --output json, all of them: JSON and nothing else."""
import json
import pathlib
import shutil
import subprocess
import unittest

from node import BIN, Node
from waiting import wait_for
from web import free_port


class Outputs(unittest.TestCase):
    def parsed(self, text):
        """One document, or one a line."""
        try:
            return [json.loads(text)]
        except ValueError:
            return [json.loads(line) for line in text.splitlines()]

    def check(self, node, *words, code=0, **kwargs):
        """The last document; with an answer there is one, with a mistake there is none."""
        done = node.hexr(*words, "--output", "json", check=False, **kwargs)
        self.assertEqual((words, done.returncode), (words, code), done.stderr)
        documents = self.parsed(done.stdout)
        self.assertEqual(bool(documents), code == 0, words)
        self.seen |= {tuple(words[:1]), tuple(words[:2])}
        return documents[-1] if documents else None

    def first_line(self, node, *words):
        with subprocess.Popen([BIN / "hexr", *words, "--output", "json"], env=node.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as process:
            line = process.stdout.readline()
            process.terminate()
        self.seen.add(tuple(words[:2]))
        return json.loads(line)

    def test_stdout_is_json_of_every_command(self):
        self.seen = {("run",), ("help",)}  # the one prints what its command prints; the other, help
        with Node() as node:
            self.node = node
            work = node.home / "work"
            work.mkdir()

            def check(*words, **kwargs):
                return self.check(node, *words, cwd=work, **kwargs)
            self.assertTrue(check("up")["already"])
            check("status")
            json.loads(node.hexr("doctor", "--output", "json", check=False).stdout)  # its code is about the machine
            self.seen.add(("doctor",))
            self.assertEqual(check("config", "show")["config"]["egress"]["ports"], [80, 443])
            check("config", "check")
            self.assertIn("_hexr", check("completion", "bash")["script"])
            check("bench")
            check("bench", "nosuch", code=2)
            (work / "crew.yaml").write_text("roles:\n  - {role: editor, command: [echo, x]}\n")
            check("crew", "crew.yaml")

            self.instances(node, check)
            self.trust(check, work)
            self.tenants_and_secrets(check)
            self.ledger(node, check, work)
            self.policies(check, work)
            self.guard(node, check, work)

            check("down")
            check("down", code=3)
            check("status", code=3)
            (work / "passphrase").write_text("a long passphrase of a test\n")
            check("backup", "node.backup", "--passphrase-file", "passphrase")
            with Node(start=False) as other:
                self.check(other, "restore", str(work / "node.backup"), "--passphrase-file", str(work / "passphrase"))
            check("up")
            check("demo", timeout=300)
            left = {tuple(c) for c in node.commands()} - self.seen
        self.assertEqual(left, set(), "commands that nobody looked at: give each its line here")

    def instances(self, node, check):
        check("ps")
        check("ps", "--tenant", "nosuch", code=1)
        agent = subprocess.Popen([BIN / "hexr", "run", "--agent", "crew", "--", "sleep", "600"], env=node.env, stderr=subprocess.DEVNULL)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        wait_for(lambda: node.json("ps")["instances"])
        instance = check("ps")["instances"][0]["instance"]
        check("show", instance)
        check("quarantine", instance)
        check("release", instance)
        check("kill", instance)
        check("show", instance, code=1)
        for words in (("svid", "fetch"), ("svid", "fetch", "--audience", "x")):
            done = node.hexr("run", "--agent", "crew", "--", "hexr", *words, "--output", "json")
            json.loads(done.stdout)
        self.seen.add(("svid", "fetch"))
        done = node.hexr("run", "--agent", "crew", "--", "sh", "-c", "hexr svid watch --output json | head -1", check=False, cwd=BIN)
        self.assertNotIn("not found", done.stderr)
        self.assertEqual(self.parsed(done.stdout), [])  # a child of the agent's has no identity: no document either
        self.seen.add(("svid", "watch"))
        # An agent is told that it is one, and not to start a node.
        said = node.hexr("run", "--agent", "crew", "--", "sh", "-c", "hexr ps", check=False, cwd=BIN)
        self.assertIn("this is an agent", said.stderr)
        self.assertNotIn("hexr up", said.stderr)

    def trust(self, check, work):
        check("bundle", "show")
        check("bundle", "list")
        bundle = check("bundle", "show")
        (work / "other.json").write_text(json.dumps(bundle))
        check("bundle", "set", "other.test", "other.json")
        check("bundle", "delete", "other.test")
        check("entry", "create", "service/db", "--selector", "unix:uid:4242")
        check("entry", "list")
        check("entry", "show", "service/db")
        check("entry", "delete", "service/db")
        check("entry", "delete", "service/db", code=1)
        check("authority", "list")
        old = check("authority", "rotate", "--use", "jwt")["old"]
        check("authority", "taint", old)
        check("authority", "revoke", old)

    def tenants_and_secrets(self, check):
        check("tenant", "create", "acme")
        check("tenant", "list")
        self.assertGreater(check("tenant", "quota", "acme")["max_instances"], 3)
        self.assertEqual(check("tenant", "quota", "acme", "--max-instances", "3")["max_instances"], 3)
        self.assertEqual(check("tenant", "quota", "acme")["max_instances"], 3)
        check("tenant", "freeze", "acme")
        check("tenant", "thaw", "acme")
        check("tenant", "delete", "acme", "--confirm", "acme")
        wait_for(lambda: "tenant.deleted" in self.node.hexr("ledger", "tail", "--node", "-n", "50").stdout)
        self.assertEqual(self.node.hexr("ledger", "tail", "--node", "-n", "50").stdout.count("tenant.quota"), 1)  # what was read is none
        secret = 'a "quoted" \\ text\twith\nlines, é and \x01'
        check("vault", "put", "k", input=secret + "\n")
        self.assertEqual(check("vault", "get", "k")["value"], secret)
        check("vault", "list")
        check("vault", "rotate")
        check("vault", "delete", "k")
        check("vault", "get", "k", code=1)

    def ledger(self, node, check, work):
        check("ledger", "list")
        check("ledger", "tail")
        check("ledger", "show", "0")
        check("ledger", "show", "999999", code=1)
        check("ledger", "prove", "999999", code=1)
        proof = check("ledger", "prove", "0")
        (work / "proof").write_text(proof["proof"])
        (work / "key").write_text(proof["key"])
        check("ledger", "verify", "--proof", "proof", "--key", "key")
        check("ledger", "verify")
        check("ledger", "verify", "--node")
        check("ledger", "verify", "--log", "/nonexistent", code=2)
        check("ledger", "export", "--output-dir", "copy")
        check("ledger", "erase", "--before", "2020-01-01T00:00:00Z")
        self.first_line(node, "ledger", "witness", "--listen", f"127.0.0.1:{free_port()}", "--state", str(work / "w"), "--name", "w.test/w",
                        "--log", str(work / "key"))
        # What comes is followed.
        last = check("ledger", "tail", "-n", "1")["seq"]
        with subprocess.Popen([BIN / "hexr", "ledger", "tail", "-n", "1", "--follow", "--output", "json"], env=node.env,
                              stdout=subprocess.PIPE, text=True) as process:
            self.assertEqual(json.loads(process.stdout.readline())["seq"], last)
            node.hexr("run", "--agent", "crew", "--", "true")
            self.assertEqual(json.loads(process.stdout.readline())["seq"], last + 1)
            process.terminate()

    def policies(self, check, work):
        (work / "p").mkdir()
        (work / "p" / "p.rego").write_text("package a\n\nallow := true\n\ntest_allow if allow\n")
        (work / "c").mkdir()
        shutil.copy(pathlib.Path(__file__).resolve().parents[1] / "data/rego/v1/jsonremove.json", work / "c")
        check("policy", "check", "p")
        check("policy", "eval", "-d", "p", "data.a.allow")
        check("policy", "eval", "-d", "p", "-f", "raw", "data.a.allow")
        check("policy", "explain", "-d", "p", "data.a.allow")
        check("policy", "test", "p")
        check("policy", "fmt", "p")
        check("policy", "bench", "-d", "p", "--duration", "10ms", "data.a.allow")
        check("policy", "conformance", "c")
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"], cwd=work, check=True,
                       capture_output=True)
        check("policy", "build", "p", "-o", "b.tar.gz")
        check("policy", "sign", "--signing-key", "key.pem", "p")
        check("policy", "inspect", "b.tar.gz")
        self.seen.add(("svid", "verify"))

    def guard(self, node, check, work):
        (work / "text").write_text("The meeting is on Thursday.\n")
        self.assertEqual(check("guard", "scan", "text")["action"], "allow")
        (work / "rows").write_text('{"text": "hello", "label": 0}\n')
        self.assertEqual(check("guard", "eval", "--task", "injection", "rows")["tn"], 1)
        port = free_port()
        self.assertEqual(self.first_line(node, "guard", "serve", "--listen", f"127.0.0.1:{port}"), {"listen": f"127.0.0.1:{port}"})


if __name__ == "__main__":
    unittest.main()
