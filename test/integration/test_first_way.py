"""The first thing that anybody does with a node: an agent makes HTTPS requests, and what is written of them. Then what an agent
is given besides: its environment, parts of itself with identities of their own."""
import json
import pathlib
import shutil
import socket
import subprocess
import time
import unittest

from node import BIN, Node
from waiting import wait_for
from web import Authority, Server

AGENTS = pathlib.Path(__file__).resolve().parent / "agents"
FETCH = pathlib.Path(__file__).resolve().parents[2] / "examples" / "demo" / "fetch.py"
ATTACKS = AGENTS.parents[1] / "attack" / "agent_attacks.py"
PYTHON = "/usr/bin/python3"

# Says who it is inside, then stays until its standard input ends: the host's pid of it can be asked for meanwhile.
STAY = f"import sys\nfor line in sys.stdin:\n  sys.argv = ['fetch.py', *line.split()]\n  exec(open({FETCH.name!r}).read())\n"

MINT = """
import base64, json, sys
from workload import Ended, Workload, field, fields
try:
    with Workload() as api:
        answer = next(api.call("Mint", field(1, b"tool") + field(3, b"a peer"), path="/hexr.identity.v1.SubIdentity/"))
    parts = [(n, v) for n, v in fields(answer)]
    text = {n: v.decode() for n, v in parts if n in (1, 2, 7)}
    claims = text[7].split(".")[1]
    print(json.dumps({"spiffe_id": text[1], "assurance": text[2], "lineage": [v.decode() for n, v in parts if n == 3],
                      "claims": json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))}))
except Ended as e:
    print(json.dumps({"ended": str(e)}))
"""


class FirstWay(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.addClassCleanup(cls.authority.close)
        cls.server = Server(*cls.authority.issue("reports", "reports.test", "secret.test"), {"/q": "a page"})
        cls.addClassCleanup(cls.server.close)
        place = cls.server.url.removeprefix("https://")
        cls.node = Node(config=f"""\
trust_domain: example.test
roles:
  - {{agent: "*", role: maker, exe: "*", user: "*", sub_identities: allow}}
  - {{agent: "*", role: "*", exe: "*", user: "*"}}
egress:
  allow: ["reports.test:443"]
  resolve: {{"reports.test": "{place}", "secret.test": "{place}"}}
  allow_private: ["127.0.0.0/8"]
ledger: {{checkpoint_interval: 100ms}}
""")
        cls.node.__enter__()
        cls.addClassCleanup(cls.node.__exit__, None, None, None)
        cls.work = cls.node.home / "work"
        cls.work.mkdir()
        shutil.copy(FETCH, cls.work)
        shutil.copy(AGENTS / "workload.py", cls.work)
        shutil.copy(ATTACKS, cls.work)
        shutil.copy(cls.authority.ca, cls.work / "ca.pem")

    def run_agent(self, role, *command, **kwargs):
        return self.node.hexr("run", "--agent", "crew", "--role", role, "--", *command, cwd=self.work, check=False, **kwargs)

    def records(self, role):
        tail = self.node.hexr("ledger", "tail", "--tenant", "default", "-n", "400", "--output", "json").stdout
        return [r for r in map(json.loads, tail.splitlines()) if r["spiffe_id"].endswith("/" + role)]

    def fetch_once(self, how, url):
        """An agent fetches; its answer, its instance and pid as the node knows them, and the records when all are there."""
        role = f"{how}-{time.monotonic_ns()}"
        process = subprocess.Popen([BIN / "hexr", "run", "--agent", "crew", "--role", role, "--", PYTHON, "-c", STAY], env=self.node.env,
                                   cwd=self.work, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            (instance,) = wait_for(lambda: [i for i in self.node.json("ps")["instances"] if i["role"] == role])
            out, error = process.communicate(f"{how} {url}\n", timeout=30)
        finally:
            process.kill()
            process.wait()
        records = wait_for(lambda: (r := self.records(role)) and any(x["kind"] == "EG" and x["body"]["event"] == "close" for x in r) and r)
        return out, error, instance, records

    def until_the_process_is_known(self, check):
        """Which process it was is asked beside the connection and holds nothing up, so that a record may be written before it is
        known. It is never another one, and known in one of a few requests."""
        for _ in range(20):
            decision, instance = check()
            process = decision["body"]["process"]
            if process != "unknown":
                self.assertEqual((process["pid"], process["registered"]), (instance["pid"], True))
                self.assertRegex(process["digest"], "^[0-9a-f]{64}$")
                return
        self.fail("the process is never known")

    def allowed(self, how, door):
        asked = len(self.server.asked)
        out, error, instance, records = self.fetch_once(how, "https://reports.test/q")
        self.assertEqual(out, "a page\n", error)
        self.assertEqual(len(self.server.asked), asked + 1)
        (decision,) = [r for r in records if r["kind"] == "AZ" and r["body"]["service"] == "egress"]
        self.assertEqual(decision["instance"], instance["instance"])
        body = decision["body"]
        self.assertEqual((body["verdict"], body["door"], body["host"], body["port"], body["rule"]),
                         ("allow", door, "reports.test", 443, "reports.test:443"))
        begin, end = [r for r in records if r["kind"] == "EG"]
        for r in (begin, end):
            self.assertEqual((r["instance"], r["call_id"], r["body"]["door"]), (instance["instance"], decision["call_id"], door))
        self.assertEqual((begin["body"]["event"], begin["body"]["address"]), ("open", self.server.url.removeprefix("https://")))
        self.assertEqual((end["body"]["event"], end["body"]["process"]["pid"]), ("close", instance["pid"]))
        self.assertGreater(min(end["body"]["bytes_in"], end["body"]["bytes_out"]), 100)
        # The record of the decision was there before the connection that it allows.
        self.assertLess(decision["instance_seq"], begin["instance_seq"])
        return decision, instance

    def test_allowed_through_the_proxy(self):
        self.until_the_process_is_known(lambda: self.allowed("proxy", "connect"))

    def test_allowed_by_transparent_capture(self):
        self.until_the_process_is_known(lambda: self.allowed("direct", "captured_tls"))

    def refused(self, how, url, host, said):
        out, error, instance, records = self.fetch_once(how, url)
        self.assertEqual(out, "")
        self.assertRegex(error, said)
        (decision,) = [r for r in records if r["kind"] == "AZ" and r["body"]["service"] == "egress"]
        (end,) = [r for r in records if r["kind"] == "EG"]
        self.assertEqual({r["instance"] for r in (decision, end)}, {instance["instance"]})
        self.assertEqual([decision["body"][k] for k in ("verdict", "host", "port", "rule")], ["deny", host, 443, "default_deny"])
        self.assertEqual([end["body"][k] for k in ("event", "how", "bytes_in", "bytes_out")], ["close", "denied", 0, 0])
        return decision, instance

    def test_refused_through_the_proxy(self):
        asked = len(self.server.asked)
        self.until_the_process_is_known(lambda: self.refused("proxy", "https://secret.test/q", "secret.test", "403 Forbidden"))
        self.assertEqual(len(self.server.asked), asked)

    def test_refused_by_transparent_capture(self):
        asked = len(self.server.asked)
        self.until_the_process_is_known(lambda: self.refused("direct", "https://93.184.216.34/q", "93.184.216.34", "access denied"))
        # A name that is not allowed is none: a program that knows no proxy finds no address.
        done = self.run_agent("nameless", PYTHON, "fetch.py", "direct", "https://secret.test/q")
        self.assertIn("Name or service not known", done.stderr)
        self.assertEqual(len(self.server.asked), asked)

    def test_what_is_neither_tcp_nor_dns_ends_in_the_kernel(self):
        """A flow that no listener sees would be a way around all that is decided here."""
        heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(heard.close)
        heard.bind(("0.0.0.0", 0))
        heard.setblocking(False)
        host = f"127.0.0.1:{heard.getsockname()[1]}"
        refused = {"udp " + host: "ECONNREFUSED", "udp 93.184.216.34:443": "ECONNREFUSED", "udp 93.184.216.34:123": "ECONNREFUSED",
                   "udp 2606:2800:220:1::1:443": "ECONNREFUSED", "ping 93.184.216.34": "EACCES", "raw 93.184.216.34": "ESOCKTNOSUPPORT",
                   "mptcp": "EPROTONOSUPPORT", "vsock": "EAFNOSUPPORT", "packet": "EAFNOSUPPORT", "io_uring": "ENOSYS",
                   # Nor does a connection to a port without listener meet itself, however often it is tried.
                   "self_connect": "ECONNREFUSED", "self_connect_v6": "ECONNREFUSED"}
        done = self.run_agent("others", "sh", "-c", "\n".join(f"{PYTHON} -I {ATTACKS.name} {attack}" for attack in refused), timeout=300)
        self.assertEqual(dict(zip(refused, done.stdout.splitlines())), {a: f"closed: {why}" for a, why in refused.items()}, done.stderr)
        self.assertRaises(BlockingIOError, heard.recv, 1)
        # Outside the same datagram arrives.
        subprocess.run([PYTHON, "-I", ATTACKS, "udp", host], stdout=subprocess.DEVNULL, check=True, timeout=60)
        self.assertEqual(heard.recv(3), b"out")

    def test_the_environment_leads_to_the_proxy_whatever_it_was_before(self):
        names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")
        env = {**self.node.env, **dict.fromkeys(names, "http://192.0.2.1:1"), "NO_PROXY": "*", "no_proxy": "*"}
        done = self.run_agent("env", PYTHON, "-c", f"import os, json; print(json.dumps([os.environ.get(n) for n in {names!r}]))", env=env)
        proxy, local = "http://127.0.0.1:15001", "localhost,127.0.0.1,::1"
        self.assertEqual(json.loads(done.stdout), [proxy] * 4 + [local] * 2, done.stderr)

    def test_a_part_of_a_process_has_an_identity_that_says_what_it_is_worth(self):
        done = self.run_agent("maker", PYTHON, "-c", MINT)
        found = json.loads(done.stdout)
        mine = "spiffe://example.test/agent/default/crew/maker"
        self.assertEqual((found["spiffe_id"], found["assurance"]), (mine + "/sub/tool", "asserted"), done.stderr)
        self.assertEqual(found["lineage"], [mine])
        self.assertEqual((found["claims"]["sub"], found["claims"]["assurance"]), (mine + "/sub/tool", "asserted"))
        done = self.run_agent("other", PYTHON, "-c", MINT)
        self.assertIn("ended", json.loads(done.stdout), done.stderr)


if __name__ == "__main__":
    unittest.main()
