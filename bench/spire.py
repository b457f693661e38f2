#!/usr/bin/env python3
"""Measures SPIRE where `hexr bench identity` measures hexr: a server and an agent of its own on this machine, in a folder of
its own, for the workload that runs this. Prints {figure: value}, in the units of the figures of that name.

usage: spire.py --bin FOLDER --server PROGRAM --agent PROGRAM [--quick]
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

SERVER = """\
server {{
  bind_address = "127.0.0.1"
  bind_port = "{port}"
  trust_domain = "bench.spire"
  data_dir = "{home}/server"
  socket_path = "{home}/server.sock"
  log_level = "ERROR"
}}
plugins {{
  DataStore "sql" {{ plugin_data {{ database_type = "sqlite3" connection_string = "{home}/server/datastore.sqlite3" }} }}
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"""
AGENT = """\
agent {{
  server_address = "127.0.0.1"
  server_port = "{port}"
  trust_domain = "bench.spire"
  trust_bundle_path = "{home}/bundle.pem"
  data_dir = "{home}/agent"
  socket_path = "{home}/agent.sock"
  log_level = "ERROR"
}}
plugins {{
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  WorkloadAttestor "unix" {{ plugin_data {{}} }}
}}
"""
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(*processes):
    total = 0
    for p in processes:
        fields = pathlib.Path(f"/proc/{p.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def pss_bytes(process):
    for line in pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss")


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise RuntimeError(f"SPIRE: {what} did not come to pass in {seconds} s")


def percentile(samples, p):
    samples = sorted(samples)
    return samples[min(len(samples) - 1, int(p * len(samples)))]


class Spire:
    def __init__(self, home, server, agent):
        self.home, self.server_program, self.agent_program = home, server, agent
        self.running = []

    def __enter__(self):
        port = 20000 + os.getpid() % 20000
        for name, text in (("server", SERVER), ("agent", AGENT)):
            (self.home / name).mkdir()
            (self.home / f"{name}.conf").write_text(text.format(home=self.home, port=port), encoding="utf-8")
        try:
            self.server = self.start(self.server_program, "server")
            wait_for(lambda: self.ask("healthcheck", check=False).returncode == 0, "a server that is healthy")
            (self.home / "bundle.pem").write_text(self.ask("bundle", "show").stdout, encoding="utf-8")
            token = json.loads(self.ask("token", "generate", "-spiffeID", "spiffe://bench.spire/node", "-output", "json").stdout)["value"]
            self.agent = self.start(self.agent_program, "agent", "-joinToken", token)
            wait_for((self.home / "agent.sock").exists, "an agent that listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for p in reversed(self.running):
            p.terminate()
        for p in self.running:
            p.wait()

    def start(self, program, name, *args):
        log = open(self.home / f"{name}.log", "w", encoding="utf-8")  # noqa: SIM115: it lives as long as the process
        p = subprocess.Popen([program, "run", "-config", str(self.home / f"{name}.conf"), *args], stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL)
        self.running.append(p)
        return p

    def ask(self, *words, check=True):
        return subprocess.run([self.server_program, *words, "-socketPath", str(self.home / "server.sock")], text=True,
                              capture_output=True, check=check)

    def register(self, entries):
        """[(path, selector)]: entries below this agent."""
        data = {"entries": [{"parent_id": "spiffe://bench.spire/node", "spiffe_id": f"spiffe://bench.spire/{path}",
                             "selectors": [{"type": "unix", "value": selector}]} for path, selector in entries]}
        file = self.home / "entries.json"
        file.write_text(json.dumps(data), encoding="utf-8")
        self.ask("entry", "create", "-data", str(file))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="folder of hexr's binaries: its client asks SPIRE too")
    parser.add_argument("--server", required=True)
    parser.add_argument("--agent", required=True)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    firsts, live, entries = (50, 20, 20) if options.quick else (1000, 300, 500)

    found = {}
    with tempfile.TemporaryDirectory(prefix="spire-bench-") as home, Spire(pathlib.Path(home), options.server, options.agent) as spire:
        client = [str(options.bin.resolve() / "hexr"), "bench-agent"]
        environment = {**os.environ, "SPIFFE_ENDPOINT_SOCKET": f"unix://{home}/agent.sock"}

        def first(count):
            done = subprocess.run([*client, "first", str(count), "12500"], env=environment, text=True, capture_output=True, check=False)
            return [int(n) / 1e6 for n in done.stdout.split()] if done.returncode == 0 else []

        time.sleep(3)
        found["idle_pss"] = sum(map(pss_bytes, spire.running)) / 1e6
        begin = time.monotonic()
        spire.register([("workload", f"uid:{os.getuid()}")])
        wait_for(lambda: first(1), "an SVID for this workload")
        found["registered_to_svid"] = (time.monotonic() - begin) * 1000
        samples = first(firsts + 10)[10:]
        found["first_svid_p50"], found["first_svid_p99"] = percentile(samples, 0.5), percentile(samples, 0.99)

        before = pss_bytes(spire.agent)
        watchers = [subprocess.Popen([*client, "watch"], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                    for _ in range(live)]
        try:
            for w in watchers:
                if w.stdout.readline() != "svid\n":
                    raise RuntimeError("a watcher got no SVID from SPIRE")
            time.sleep(1.5)
            found["keeper_per_instance"] = (pss_bytes(spire.agent) - before) / live / 1024
        finally:
            for w in watchers:
                w.kill()
                w.wait()

        # Entries of other workloads: the agent has the server sign an SVID for each, and holds it. Until both are idle again.
        time.sleep(6)
        used, quiet = cpu_seconds(*spire.running), 0
        spire.register([(f"other/{i}", f"uid:{1_000_000 + i}") for i in range(entries)])
        last = cpu_seconds(*spire.running)
        while quiet < 8:
            time.sleep(1)
            now = cpu_seconds(*spire.running)
            quiet = quiet + 1 if now - last < 0.05 else 0
            last = now
        found["svids_renewed"] = entries / (last - used)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
