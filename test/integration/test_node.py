"""A node's life: up, down, restart of its processes, what it refuses."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

from node import BIN, Node
from waiting import alive, wait_for
from web import free_port

AGENTS = pathlib.Path(__file__).resolve().parent / "agents"


class NodeLife(unittest.TestCase):
    def test_up_is_idempotent_and_down_leaves_nothing(self):
        with Node() as node:
            pids = node.pids()
            self.assertEqual(sorted(pids), ["gateway/default", "keeper", "spawner"])
            again = node.hexr("up")
            self.assertIn("already up", again.stdout)
            node.down()
            for pid in pids.values():
                self.assertFalse(os.path.exists(f"/proc/{pid}"), pid)
            self.assertFalse((node.home / "run" / "api.sock").exists())
            self.assertEqual(node.hexr("down", check=False).returncode, 3)

    def test_starts_again_on_the_state_it_left(self):
        with Node() as node:
            first = node.json("bundle", "show")
            node.down()
            node.up()
            self.assertEqual(node.json("bundle", "show")["keys"], first["keys"])

    def test_first_start_writes_a_configuration_that_allows_nothing_out(self):
        with Node(start=False) as node:
            node.config_file.unlink()
            done = node.hexr("up")
            self.assertIn(str(node.config_file), done.stderr)
            self.assertIn("allow: []", node.config_file.read_text())

    def test_without_roles_the_nodes_owner_starts_any_agent(self):
        """Spawner and keeper judge a program by the same patterns, also by the entry that stands for no entries."""
        with Node(config="trust_domain: example.test\n") as node:
            done = node.hexr("run", "--agent", "x", "--", "true", check=False, cwd=node.home)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            done = node.hexr("run", "--agent", "x", "--", "sh", "-c", "exec sleep 0", check=False, cwd=node.home)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_two_nodes_side_by_side(self):
        with Node() as one, Node() as two:
            self.assertNotEqual(one.json("status")["trust_bundle_sha256"], two.json("status")["trust_bundle_sha256"])

    def test_every_process_is_confined(self):
        with Node() as node:
            for name, pid in node.pids().items():
                status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
                self.assertEqual((name, status["NoNewPrivs"], status["Seccomp"]), (name, "1", "2"))
                if name != "spawner":
                    self.assertEqual(int(status["CapEff"], 16) & ~((1 << 19) | (1 << 2) | (1 << 5)), 0, name)  # to look and to kill
                if os.geteuid() == 0 and name.startswith("gateway"):
                    self.assertNotIn("0", status["Uid"].split())
                    self.assertEqual(int(status["CapEff"], 16), 0)

    def test_no_process_shows_its_memory_to_its_own_user(self):
        # Not dumpable: the kernel gives its entries in /proc to root, whoever it runs as.
        with Node(extra=f'metrics: {{listen: "127.0.0.1:{free_port()}"}}') as node:
            pids = node.pids()
            keeper = pids["keeper"]
            pids["images"] = int(pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0])
            pids["supervisor"] = int((node.home / "run/private/hexrd.pid").read_text())
            for name, pid in pids.items():
                with self.subTest(name):
                    self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0)
                    own = int(re.search(r"^Uid:\t\d+\t(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])
                    if own != 0:  # as that user: root may look
                        code = (f"import os; os.setgroups([]) if os.geteuid() == 0 else 0; os.setresuid({own}, {own}, {own})\n"
                                f"for name in ('mem', 'environ', 'maps', 'fd/0'):\n"
                                f"  try: os.open('/proc/{pid}/' + name, os.O_RDONLY); print(name)\n"
                                f"  except PermissionError: pass")
                        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
                        self.assertEqual(done.stdout, "")

    def test_a_service_is_matched_by_its_program(self):
        # The keeper may not look at other processes' programs: its helper does, also the next one.
        with Node(start=False) as node:
            program = os.path.realpath(sys.executable)
            node.config_file.write_text("trust_domain: example.test\nentries:\n"
                                        f'  - {{id: service/db, selectors: ["unix:path:{program}"]}}\n', encoding="utf-8")
            node.up()

            code = (f"import sys; sys.path.insert(0, {str(AGENTS)!r}); import workload; "
                    f"print(workload.svids(workload.fetch(path={str(node.home / 'run/api.sock')!r}))[0])")

            def fetch():
                return subprocess.run([program, "-SE", "-c", code], text=True, capture_output=True, timeout=30).stdout
            self.assertIn("spiffe://example.test/service/db", fetch())
            self.assertEqual(node.hexr("svid", "fetch", check=False).returncode, 1, "another program")
            keeper = node.pids()["keeper"]
            helper = int(pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text())
            os.kill(helper, signal.SIGKILL)
            wait_for(lambda: node.pids()["keeper"] != keeper)
            wait_for(lambda: "service/db" in fetch())

    def test_each_process_comes_back_after_sigkill(self):
        with Node() as node:
            for name in ("gateway/default", "spawner", "keeper"):
                before = node.pids()[name]
                os.kill(before, signal.SIGKILL)
                wait_for(lambda: node.pids()[name] != before)
                wait_for(lambda: sum(l.get("event") == "node.ready" for l in node.log_lines()) > 0)
                wait_for(lambda: node.hexr("ps", check=False).returncode == 0)

    def test_the_supervisors_end_is_everybodys_end(self):
        with Node() as node:
            pids = node.pids()
            supervisor = int((node.home / "run/private/hexrd.pid").read_text())
            os.kill(supervisor, signal.SIGKILL)
            wait_for(lambda: not any(alive(p) for p in pids.values()))
            node.up()  # and nothing stands in the way of a new one

    def test_open_state_folder_is_refused_with_the_mend(self):
        with Node(start=False) as node:
            (node.home / "state").mkdir(mode=0o700)
            (node.home / "run").mkdir()
            (node.home / "run").chmod(0o777)
            done = node.hexr("up", check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("chmod 755", done.stderr)

    def test_hexrd_in_the_foreground_stops_on_a_signal(self):
        with Node(start=False) as node:
            process = subprocess.Popen([BIN / "hexr", "up", "--foreground"], env=node.env, stderr=subprocess.PIPE, text=True)
            for line in process.stderr:
                if "node.ready" in line:
                    break
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=20), 0)
            process.stderr.close()


if __name__ == "__main__":
    unittest.main()
