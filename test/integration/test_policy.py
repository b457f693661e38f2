"""A policy in Rego on a real node: both have to allow, each decision names the policy, and one that cannot be taken stops the start."""
import subprocess
import unittest

from node import Node
from web import Server

RULES = """\
package hexr.authz

allow if {
	input.role == "reader"
	input.service in {"egress", "dns"}
	input.destination.host == "open.test"
}

deny contains "nobody goes to /secret" if input.destination.path == "/secret"
"""

ASK = ("import sys, urllib.request, urllib.error\n"
       "for url in sys.argv[1:]:\n"
       "  try: print(urllib.request.urlopen(url, timeout=20).status)\n"
       "  except urllib.error.HTTPError as e: print(e.code, e.read().decode())\n")


class Policy(unittest.TestCase):
    def node(self, policy, start=True):
        server = Server(None, None, {"/": "page", "/secret": "page"})
        self.addCleanup(server.close)
        place = server.url.split("//")[1]
        node = Node(start=False, extra=f"""
policy: {policy}
egress:
  allow: ["open.test:80", "other.test:80"]
  resolve: {{open.test: "{place}", other.test: "{place}"}}
ledger: {{checkpoint_interval: 100ms}}
""")
        folder = node.home / "policy"
        folder.mkdir()
        (folder / "authz.rego").write_text(RULES)
        text = node.config_file.read_text().replace("HOME", str(node.home))
        node.config_file.write_text(text)
        self.addCleanup(node.__exit__, None, None, None)
        if start:
            node.up()
        return node

    def ask(self, node, *urls, role="reader"):
        return node.hexr("run", "--agent", "crew", "--role", role, "--", "/usr/bin/python3", "-SE", "-c", ASK, *urls,
                         cwd="/tmp").stdout

    def test_both_the_list_and_the_policy_have_to_allow(self):
        node = self.node("{bundle: HOME/policy, require_signature: false}")
        self.assertEqual(self.ask(node, "http://open.test/"), "200\n")
        said = self.ask(node, "http://other.test/", "http://open.test/secret")
        self.assertRegex(said, r"403 .*the policy says no: not_allowed")
        self.assertRegex(said, r"403 .*nobody goes to /secret")
        self.assertRegex(self.ask(node, "http://open.test/", role="writer"), r"403 .*the policy says no")
        self.assertRegex(self.ask(node, "http://elsewhere.test/"), r"403 .*no rule of egress.allow")

    def test_records_name_the_policy(self):
        node = self.node("{bundle: HOME/policy, require_signature: false, mode: audit}")
        self.assertEqual(self.ask(node, "http://other.test/"), "200\n", "audit denies nothing")
        done = node.hexr("ledger", "tail", "-n", "100", "--tenant", "default").stdout
        self.assertIn("would_deny", done)
        self.assertIn("read_set", done)
        self.assertIn("audit", done)

    def test_a_signed_bundle_and_one_that_was_changed(self):
        node = self.node("{bundle: HOME/policy, verification_key: HOME/key.pub}", start=False)
        key, public = node.home / "key.pem", node.home / "key.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
                       check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
        unsigned = node.hexr("up", check=False)
        self.assertEqual(unsigned.returncode, 2, unsigned.stderr)
        self.assertIn("signature", unsigned.stderr)
        node.hexr("policy", "sign", "--signing-key", str(key), str(node.home / "policy"))
        node.up()
        self.assertEqual(self.ask(node, "http://open.test/"), "200\n")
        node.down()
        (node.home / "policy" / "authz.rego").write_text(RULES.replace("reader", "writer"))
        changed = node.hexr("up", check=False)
        self.assertEqual(changed.returncode, 2, changed.stderr)
        self.assertIn("signature", changed.stderr)

    def test_a_policy_that_does_not_compile_names_its_line(self):
        node = self.node("{bundle: HOME/policy, require_signature: false}", start=False)
        (node.home / "policy" / "authz.rego").write_text("package hexr.authz\n\nallow if nonsense(1)\n")
        done = node.hexr("up", check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("authz.rego:3", done.stderr)


if __name__ == "__main__":
    unittest.main()
