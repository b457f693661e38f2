"""/metrics, and the process that serves it: what it counts, who may see what, what it survives."""
import os
import pathlib
import re
import signal
import unittest

from node import Node
from waiting import wait_for
from web import free_port, get


def inet_sockets(pid):
    """Inodes of the process's sockets that are in the kernel's tables of TCP and UDP."""
    tables = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            tables.add(line.split()[9])
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in tables:
            found.add(target)
    return found


class Metrics(unittest.TestCase):
    def setUp(self):
        self.port = free_port()
        self.node = Node(extra=f'metrics: {{listen: "127.0.0.1:{self.port}"}}')
        self.node.__enter__()
        self.addCleanup(self.node.__exit__, None, None, None)

    def scrape(self):
        status, headers, body = get(f"http://127.0.0.1:{self.port}/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        return body

    def test_every_process_counts_and_the_form_is_prometheus(self):
        self.node.hexr("tenant", "create", "acme")
        self.node.hexr("run", "--agent", "a", "--", "true")
        recorded = re.compile(r'hexr_ledger_records\{log="tenant/default"\} [1-9]')
        text = wait_for(lambda: (t := self.scrape()) and 'hexr_gateway_instances{tenant="acme"}' in t and recorded.search(t) and t)
        for line in ('hexr_instances{tenant="default"} 0', 'hexr_process_ready{role="courier"} 1',
                     'hexr_process_starts_total{role="gateway",tenant="acme"} 1',
                     'hexr_gateway_calls_denied_total{tenant="default",reason="denied"} 0'):
            self.assertIn(line + "\n", text)
        sample = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? \S+')
        families, seen = set(), set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                self.assertNotIn(line.split()[2], families, "one TYPE a family")
                families.add(line.split()[2])
            elif not line.startswith("#"):
                self.assertRegex(line, sample)
                self.assertNotIn(line.rsplit(" ", 1)[0], seen)
                seen.add(line.rsplit(" ", 1)[0])
        self.assertEqual(get(f"http://127.0.0.1:{self.port}/")[0], 404)

    def test_the_courier_comes_back_on_the_same_socket(self):
        before = self.node.pids()["courier"]
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: self.node.pids()["courier"] != before)
        self.assertIn('hexr_process_starts_total{role="courier"} 2', self.scrape())
        keeper = self.node.pids()["keeper"]
        os.kill(keeper, signal.SIGKILL)
        wait_for(lambda: self.node.pids()["keeper"] != keeper)
        wait_for(lambda: get(f"http://127.0.0.1:{self.port}/metrics")[0] == 200)

    def test_the_keeper_has_no_socket_of_the_network_and_the_courier_no_file_of_the_node(self):
        self.scrape()
        pids = self.node.pids()
        if os.geteuid() == 0:  # others cannot look
            self.assertEqual(inet_sockets(pids["keeper"]), set())
            self.assertNotEqual(inet_sockets(pids["courier"]), set())
        status = pathlib.Path(f"/proc/{pids['courier']}/status").read_text()
        self.assertRegex(status, r"Seccomp:\t2")
        self.assertRegex(status, r"CapEff:\t0000000000000000")
        if os.geteuid() == 0:
            self.assertRegex(status, r"Uid:\t2147483646\t2147483646")

    def test_without_a_reason_there_is_no_courier_and_a_taken_port_is_named(self):
        with Node() as plain:
            self.assertNotIn("courier", plain.pids())
        with Node(extra=f'metrics: {{listen: "127.0.0.1:{self.port}"}}', start=False) as second:
            done = second.hexr("up", check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"127.0.0.1 port {self.port}", done.stderr)


if __name__ == "__main__":
    unittest.main()
