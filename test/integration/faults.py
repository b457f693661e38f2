"""What the tests of faults share: waiting, a server to be called, long-lived agents, a log that is read on as it grows."""
import http.client
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

from node import BIN, Node
from waiting import alive
from web import free_port, get

AGENTS = pathlib.Path(__file__).resolve().parent / "agents"


class Echo:
    """An HTTP server on loopback that answers "ok"."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a gateway that is killed hangs up

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class FaultNode(Node):
    """A node on which busy agents run: they may call calls.test and nothing else."""

    def __init__(self, extra=""):
        self.echo = Echo()
        self.metrics_port = free_port()
        super().__init__(extra=f"""\
egress:
  allow: ["calls.test:80"]
  resolve: {{calls.test: "127.0.0.1:{self.echo.port}"}}
  allow_private: ["127.0.0.0/8"]
{extra or "ledger: {checkpoint_interval: 100ms}"}
metrics: {{listen: "127.0.0.1:{self.metrics_port}"}}
""")
        self.work = self.home / "work"
        self.work.mkdir()
        self.work.chmod(0o755)
        for agent in AGENTS.glob("*.py"):
            shutil.copy(agent, self.work)
        shutil.copy(AGENTS / "busy.py", self.work / "again.py")
        with open(self.work / "again.py", "a", encoding="utf-8") as again:
            again.write("# another digest\n")

    def __exit__(self, *why):
        if why[0] is not None and os.environ.get("HEXR_KEEP"):
            shutil.copytree(self.home, os.environ["HEXR_KEEP"], symlinks=True, ignore_dangling_symlinks=True,
                            ignore=shutil.ignore_patterns("*.sock"), dirs_exist_ok=True)
        super().__exit__(*why)
        self.echo.close()

    def supervisor(self):
        return int((self.home / "run/private/hexrd.pid").read_text(encoding="utf-8"))

    def helper(self):
        """The keeper's own child, which looks at programs."""
        keeper = self.pids()["keeper"]
        return int(pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text(encoding="utf-8").split()[0])

    def scrape(self):
        """Asks the courier for what the node counts; None where it does not answer."""
        try:
            return get(f"http://127.0.0.1:{self.metrics_port}/metrics")[2]
        except (OSError, http.client.HTTPException):
            return None

    def ready(self):
        return self.hexr("status", check=False).returncode == 0 and all(alive(p) for p in self.pids().values())

    def busy(self, what, *args, role=None, timeout=30):
        """Runs busy.py to its end; what it printed."""
        return self.hexr("run", "--agent", "crew", "--role", role or what, "--", "python3", "-SE", "busy.py", what, *args,
                         cwd=self.work, timeout=timeout, check=False)


class Agent:
    """A long-lived busy.py, and the file in which it writes down what it was answered."""

    def __init__(self, node, what, role=None, seed=None):
        self.node, self.what, self.role = node, what, role or what
        self.out = node.work / f"{self.role}-{time.monotonic_ns()}.jsonl"
        self.out.touch()
        self.read = 0
        self.serials = set()  # of the X.509-SVIDs that it got
        self.process = subprocess.Popen(
            [str(BIN / "hexr"), "run", "--agent", "crew", "--role", self.role, "--", "python3", "-SE", "busy.py", what, self.out.name,
             *([seed] if seed else [])],
            env=node.env, cwd=node.work, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def peek(self):
        """What it has written since take() was called last."""
        with open(self.out, "rb") as f:
            f.seek(self.read)
            text = f.read()
        self.peeked = text.rfind(b"\n") + 1
        return [json.loads(line) for line in text[:self.peeked].splitlines()]

    def take(self):
        lines = self.peek()
        self.read += self.peeked
        return lines

    def works_since(self, moment):
        """It was answered something that it asked for after `moment`."""
        return any(line["begun"] > moment and ("svids" in line or line.get("call") == "allowed") for line in self.peek())

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.out.unlink(missing_ok=True)


class Log:
    """The log of the tenant (of the node: ""), read on as it grows."""

    def __init__(self, node, tenant):
        self.node, self.tenant, self.size = node, tenant, 0
        self.named = ("--tenant", tenant) if tenant else ("--node",)
        self.serials, self.decisions = set(), set()
        self.opened = self.tokens = 0

    def verify(self):
        done = self.node.hexr("ledger", "verify", *self.named, "--output", "json", check=False)
        report = json.loads(done.stdout)
        if report["problems"] or done.returncode != 0:
            raise AssertionError(f"log of '{self.tenant}': {report}")
        return report["records"]

    def catch_up(self):
        tail = self.node.hexr("ledger", "tail", *self.named, "-n", "4096", "--output", "json").stdout
        records = [r for r in map(json.loads, tail.splitlines()) if r["seq"] >= self.size]
        if records and records[0]["seq"] != self.size:
            raise AssertionError("the log has grown by more than is read at once")
        for r in records:
            self.size = r["seq"] + 1
            body = r["body"]
            if body.get("event") == "repeated":
                continue
            if r["kind"] == "ID" and body["event"] == "svid.issued":
                if body["svid"] == "x509":
                    self.serials.add(body["serial"])
                self.tokens += body["svid"] == "jwt"
            elif r["kind"] == "AZ" and body["verdict"] == "deny":
                self.decisions.add(r["call_id"])
            elif r["kind"] == "EG" and body["event"] == "open":
                self.opened += 1
