"""A node's life: up, down, restart of its processes, what it refuses."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from node import BIN, Node
from waiting import alive, wait_for
from web import free_port

AGENTS = pathlib.Path(__file__).resolve().parent / "agents"
sys.path.insert(0, str(AGENTS))
import workload  # noqa: E402


class NodeLife(unittest.TestCase):
    def test_up_is_idempotent_and_down_leaves_nothing(self):
        with Node() as node:
            pids = node.pids()
            self.assertEqual(sorted(pids), ["gateway/default", "keeper", "spawner"])
            again = node.hexr("up")
            self.assertIn("already up", again.stdout)
            # What was not taken is not said to be up.
            other = node.home / "other.yaml"
            other.write_text("trust_domain: other.test\n")
            for file in (other, node.home / "no-such.yaml"):
                done = node.hexr("up", "--config", str(file), check=False)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(f"`hexr down` first, to start it with {file}", done.stderr)
            done = node.hexr("up", "--foreground", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("`hexr down` ends it", done.stderr)
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

    def test_a_configuration_named_from_the_folder_one_is_in(self):
        with Node(start=False) as node:
            folder = node.config_file.parent
            done = node.hexr("up", "--config", node.config_file.name, cwd=folder)
            self.assertEqual(node.json("status")["config_file"], str(node.config_file))
            # Told by the file, from wherever it is named.
            again = node.hexr("up", "--config", "../" + folder.name + "/" + node.config_file.name, cwd=folder)
            self.assertIn("already up", again.stdout)
            # What agents do not get is found by that name, too.
            done = node.hexr("run", "--agent", "a", "--rw", str(folder), "--", "cat", node.config_file.name, cwd=folder, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertNotIn("trust_domain", done.stdout)

    def test_config_show_says_when_the_node_that_runs_has_another_text(self):
        with Node() as node:
            self.assertEqual(node.hexr("config", "show").stderr, "")
            node.config_file.write_text(node.config_file.read_text() + "# later\n")
            self.assertIn("has an earlier text of this file; `hexr down && hexr up`", node.hexr("config", "show").stderr)
            other = node.home / "other.yaml"
            other.write_text("trust_domain: other.test\n")
            said = node.hexr("config", "show", "--config", str(other)).stderr
            self.assertIn(f"the node that runs has {node.config_file};", said)

    def test_why_a_node_does_not_start_is_a_sentence_with_what_to_do(self):
        with Node() as node:
            was = json.loads(node.hexr("status", "--output", "json").stdout)["trust_domain"]
            node.down()
            node.config_file.write_text(re.sub("trust_domain: .*", "trust_domain: other.test", node.config_file.read_text()))
            done = node.hexr("up", check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"write `trust_domain: {was}`", done.stderr)
            self.assertIn(f"more in {node.home}/state/hexrd.log", done.stderr)
            self.assertNotIn('{"', done.stderr)

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

    def test_a_program_outside_of_what_is_given_is_named_with_what_to_do(self):
        with Node() as node, tempfile.NamedTemporaryFile("w", prefix="hexr-tool-", dir="/tmp") as shared:
            shared.write("#!/bin/sh\necho ran\n")
            shared.flush()
            me, cwd = node.home / "me", node.home / "project"
            (me / "x").mkdir(parents=True)
            cwd.mkdir()
            tool, script, orphan = me / "x" / "tool", me / "x" / "script", me / "orphan"
            tool.write_text("#!/bin/sh\necho ran\n")
            script.write_text(f"#!{shared.name}\n")
            # A program whose loader is not there.
            orphan.write_bytes(re.sub(rb"/lib[^\0]*/ld-[^\0]*", lambda found: b"/none".ljust(len(found[0]), b"\0"),
                                      pathlib.Path("/usr/bin/true").read_bytes()))
            for program in (tool, script, orphan, pathlib.Path(shared.name)):
                program.chmod(0o755)

            def run(program, home):
                return node.hexr("run", "--agent", "a", "--", program, check=False, cwd=cwd, env={**node.env, "HOME": str(home)})
            self.assertEqual(run(tool, me).stdout, "ran\n")  # its folder is found, and given
            for program, home, remedy in ((script, "/nonexistent", f"try --ro {script.parent}"),
                                          (pathlib.Path(shared.name), "/nonexistent", "move it out of /tmp into a folder of its own"),
                                          (orphan, me, "move it out of your home into a folder of its own, or start what it links to")):
                done = run(program, home)
                self.assertEqual((done.returncode, done.stdout), (127, ""), done.stderr)
                self.assertIn(f"{program} is there for you, but it or the interpreter it names is not among what the agent is given; {remedy}\n",
                              done.stderr)

    def test_two_nodes_side_by_side(self):
        with Node() as one, Node() as two:
            self.assertNotEqual(one.json("status")["trust_bundle_sha256"], two.json("status")["trust_bundle_sha256"])

    def processes(self, node):
        """Every process of the node by name, with those that the supervisor did not start."""
        pids = node.pids()
        keeper = pids["keeper"]
        pids["images"] = int(pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0])
        pids["supervisor"] = int((node.home / "run/private/hexrd.pid").read_text())
        return pids

    def test_every_process_is_confined(self):
        def status(pid):
            return dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)

        ours = status("self")
        # What each may keep of root's capabilities, by number (linux/capability.h); the supervisor's children get them from it.
        chown, override, read, fowner, kill, setgid, setuid, setpcap = 0, 1, 2, 3, 5, 6, 7, 8
        bind, net_admin, chroot, ptrace, sys_admin, resource, mknod = 10, 12, 18, 19, 21, 24, 27
        kept = {"keeper": {read, kill}, "images": {read, ptrace}, "gateway/default": set(), "courier": set(),
                "spawner": {chown, override, read, fowner, kill, setgid, setuid, setpcap, bind, net_admin, chroot, ptrace, sys_admin,
                            resource, mknod}}
        kept["supervisor"] = set().union(*kept.values())
        with Node(extra=f'metrics: {{listen: "127.0.0.1:{free_port()}"}}') as node:
            pids = self.processes(node)
            self.assertEqual(sorted(pids), sorted(kept))
            for name, pid in pids.items():
                with self.subTest(name):
                    its = status(pid)
                    self.assertEqual((its["NoNewPrivs"], its["Seccomp"]), ("1", "2"))
                    # The supervisor's filter is on all of them: a second one is a process's own.
                    own = int(its["Seccomp_filters"]) - int(ours["Seccomp_filters"])
                    self.assertGreaterEqual(own, 1 if name == "supervisor" else 2)
                    mask = sum(1 << c for c in kept[name]) & int(ours["CapEff"], 16)
                    self.assertEqual([int(its[s], 16) for s in ("CapEff", "CapPrm", "CapInh", "CapAmb")], [mask, mask, 0, 0])
                    if os.geteuid() == 0:
                        self.assertEqual(int(its["CapBnd"], 16), mask)
                        own_user = name in ("courier", "gateway/default")
                        self.assertEqual([int(uid) > 0 for uid in its["Uid"].split()], [own_user] * 4)

    def test_the_nodes_places_are_its_own(self):
        with Node() as node:
            node.hexr("run", "--agent", "a", "--", "true")
            node.hexr("vault", "put", "key", input="secret")
            node.hexr("tenant", "create", "acme")
            node.down()
            node.up()

            def mode(path):
                return oct(path.lstat().st_mode & 0o7777)
            run = node.home / "run"
            self.assertEqual({p: mode(run / p) for p in ("", "api.sock", "launch.sock", "private", "private/admin.sock", "private/hexrd.pid")},
                             {"": "0o755", "api.sock": "0o666", "launch.sock": "0o666", "private": "0o700", "private/admin.sock": "0o600",
                              "private/hexrd.pid": "0o600"})
            state = node.home / "state"
            self.assertEqual(mode(state), "0o700")
            open_to_others, seen = {}, 0
            for folder, folders, files in os.walk(state):
                for name, wanted in [*((f, "0o700") for f in folders), *((f, "0o600") for f in files)]:
                    path = pathlib.Path(folder) / name
                    with contextlib.suppress(FileNotFoundError):  # the store's working files come and go
                        seen += 1
                        if mode(path) != wanted:
                            open_to_others[str(path)] = mode(path)
            self.assertEqual(open_to_others, {})
            self.assertGreater(seen, 10)

    def test_a_mistyped_configuration_starts_nothing_and_is_not_written(self):
        with Node(start=False) as node:
            file = node.home / "folder" / "hexr.yaml"
            done = node.hexr("up", "--config", str(file), check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("No such file", done.stderr)
            self.assertFalse(file.parent.exists())
            self.assertEqual(node.hexr("config", "check", str(file), check=False).returncode, 2)

    def test_the_log_says_what_it_is_asked_to(self):
        for level, said in (("error", set()), ("info", {"info"})):
            with self.subTest(level), Node(extra=f"log: {{level: {level}}}") as node:
                node.hexr("run", "--agent", "a", "--", "true")
                node.down()
                lines = node.log_lines()
                self.assertEqual({l["level"] for l in lines if l["level"] in ("debug", "info")}, said)
                if said:
                    self.assertGreaterEqual({l["process"] for l in lines}, {"supervisor", "spawner"})

    def test_a_role_that_cannot_start_says_so_as_the_others_do(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.close()
            done = subprocess.run(["/bin/sh", "-c", f'exec "$0" --role keeper 3<&{theirs.fileno()}', BIN / "hexrd"],
                                  pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True, timeout=60)
        said = [json.loads(line) for line in done.stderr.splitlines()]
        self.assertEqual([(line["process"], line["event"]) for line in said], [("keeper", "role.no_start")])
        self.assertEqual(done.returncode, 4)

    def test_the_api_socket_says_of_each_service_that_it_serves(self):
        def ask(method, message=b"", service="grpc.health.v1.Health"):
            with workload.Workload(path=api) as connection:
                return dict(workload.fields(next(connection.call(method, message, path=f"/{service}/"))))

        with Node() as node:
            api = str(node.home / "run" / "api.sock")
            for version in ("v1", "v1alpha"):
                listed = ask("ServerReflectionInfo", workload.field(7, b""), service=f"grpc.reflection.{version}.ServerReflection")[6]
                services = [dict(workload.fields(service))[1].decode() for _, service in workload.fields(listed)]
                self.assertEqual(services, ["SpiffeWorkloadAPI", "envoy.service.secret.v3.SecretDiscoveryService",
                                            "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                                            "grpc.reflection.v1alpha.ServerReflection", "hexr.identity.v1.SubIdentity"])
            serving, not_serving, unknown = 1, 2, 3
            for service in ["", *services]:
                self.assertEqual((service, ask("Check", workload.field(1, service.encode()))), (service, {1: serving}))
            with self.assertRaises(workload.Ended):
                ask("Check", workload.field(1, b"nobody"))
            self.assertEqual(ask("Watch", workload.field(1, b"nobody")), {1: unknown})
            # One that watches hears that the node is ending before the connection does.
            with workload.Workload(path=api) as connection:
                watch = connection.call("Watch", workload.field(1, b"SpiffeWorkloadAPI"), path="/grpc.health.v1.Health/")
                self.assertEqual(dict(workload.fields(next(watch))), {1: serving})
                node.down()
                self.assertEqual(dict(workload.fields(next(watch))), {1: not_serving})

    def test_no_process_shows_its_memory_to_its_own_user(self):
        # Not dumpable: the kernel gives its entries in /proc to root, whoever it runs as.
        with Node(extra=f'metrics: {{listen: "127.0.0.1:{free_port()}"}}') as node:
            for name, pid in self.processes(node).items():
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
