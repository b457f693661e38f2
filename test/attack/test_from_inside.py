"""Attacks from inside real agents on a real node, and what stands in for them."""
import http.server
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

from node import BIN, Node

# A caller of the Workload API without a library: prints "svid" when bytes of an answer came, "nothing" when only a refusal did.
WORKLOAD = r'''
import os, socket, struct, sys

def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect("/run/hexr/api.sock")
    s.settimeout(10)
    return s

def hello(s):
    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))

def ask(s, stream=1):
    head = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/SpiffeWorkloadAPI/FetchX509SVID"), (b":authority", b"localhost"),
            (b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"workload.spiffe.io", b"true")]
    s.sendall(frame(1, 4, stream, b"".join(literal(*h) for h in head)) + frame(0, 1, stream, b"\0\0\0\0\0"))

def answer(s, stream=1):
    data = b""
    try:
        while True:
            while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
                more = s.recv(65536)
                if not more:
                    return "nothing"
                data += more
            size, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
            at = int.from_bytes(data[5:9], "big")
            payload, data = data[9:9 + size], data[9 + size:]
            if kind == 6 and not flags & 1:  # who is there? Asked of a program that has just become another
                s.sendall(frame(6, 1, 0, payload))
            if at != stream:
                continue
            if kind == 0 and size > 5:
                return "svid"
            if kind == 3 or flags & 1:
                return "nothing"
    except OSError:
        return "nothing"
'''


class OnANode(unittest.TestCase):
    UNDER = ()  # what the node is started by

    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        port = cls.server.server_address[1]
        cls.node = Node(extra=f'egress: {{allow: ["files.test:80"], resolve: {{"files.test": "127.0.0.1:{port}"}}, allow_private: ["127.0.0.0/8"]}}',
                        under=cls.UNDER)
        cls.node.__enter__()
        cls.addClassCleanup(cls.server.shutdown)
        cls.addClassCleanup(cls.node.__exit__, None, None, None)
        cls.folder = cls.node.home / "work"
        cls.folder.mkdir()

    def agent(self, *command, env=None, **kwargs):
        """`hexr run` with this command in a folder of its own."""
        return self.node.hexr("run", "--agent", "crew", *kwargs.pop("flags", ()), "--", *command, cwd=self.folder,
                              env={**self.node.env, **(env or {})}, check=False, **kwargs)

    def script(self, text, **kwargs):
        return self.agent("/usr/bin/python3", "-c", WORKLOAD + text, **kwargs)


class WhoAsks(OnANode):
    """What says who is at the other end of each of the node's three sockets."""

    def test_only_the_registered_process_gets_an_identity(self):
        done = self.script("s = connect(); hello(s); ask(s); print(answer(s))")
        self.assertEqual(done.stdout, "svid\n", done.stderr)
        # On a connection of its own.
        done = self.script("if os.fork() == 0:\n  s = connect(); hello(s); ask(s); print(answer(s), flush=True); os._exit(0)\nos.wait()")
        self.assertEqual(done.stdout, "nothing\n", done.stderr)

    def test_a_child_that_writes_on_its_parents_connection_gets_nothing(self):
        # The parent has used it already, so that the connection is known to be the registered process's.
        done = self.script("s = connect(); hello(s); ask(s); print(answer(s), flush=True)\n"
                           "if os.fork() == 0:\n  ask(s, 3); print(answer(s, 3), flush=True); os._exit(0)\nos.wait()")
        self.assertEqual(done.stdout, "svid\nnothing\n", done.stderr)

    def test_the_nodes_own_user_is_its_operator_and_no_agent_is(self):
        """INV-KPR-01, where somebody has left the door in a folder that the agent may write to."""
        self.assertEqual(self.node.hexr("status").returncode, 0)
        private = self.folder / "home" / "run" / "private"
        private.mkdir(parents=True)
        os.link(self.node.home / "run" / "private" / "admin.sock", private / "admin.sock")
        done = self.agent("sh", "-c", f"HEXR_HOME={self.folder}/home exec {BIN}/hexr status", flags=("--ro", BIN))
        self.assertIn("operator commands are", done.stderr)
        self.assertEqual(done.returncode, 1, done.stderr)

    def test_a_launch_from_inside_an_instance_is_its_sub_agents(self):
        code = f"{BIN}/hexr run --agent starts --role sub -- sh -c 'echo up; exec sleep 100'"
        process = subprocess.Popen([BIN / "hexr", "run", "--agent", "starts", "--ro", BIN, "--", "sh", "-c", code], cwd=self.folder,
                                   env=self.node.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), "up\n")
        outer, sub = sorted((i for i in self.node.json("ps")["instances"] if i["agent"] == "starts"), key=lambda i: i["role"])
        self.assertEqual((sub["role"], sub.get("parent"), outer.get("parent")), ("sub", outer["instance"], None))
        # Who enters from outside is nobody.
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        done = self.node.hexr("run", "--agent", "starts", "--role", "sub", "--", "true", check=False, cwd=self.folder,
                              under=["nsenter", "-t", str(outer["pid"]), *user, "-p"])
        self.assertEqual(done.returncode, 125, done.stderr)
        self.node.hexr("kill", "spiffe://example.test/agent/default/starts")
        process.wait(timeout=20)


class Attacks(OnANode):
    def test_names_in_the_environment_say_nothing_about_who_somebody_is(self):
        forged = {"HEXR_INSTANCE": "agra5reo7etzbd3hi73kzoddny", "HEXR_AGENT": "bank", "HEXR_ROLE": "root", "HEXR_TENANT": "acme",
                  "SPIFFE_ENDPOINT_SOCKET": "unix:///tmp/mine"}
        done = self.agent("sh", "-c", "echo $HEXR_TENANT/$HEXR_AGENT/$HEXR_ROLE $SPIFFE_ENDPOINT_SOCKET $HEXR_INSTANCE", env=forged)
        said = done.stdout.split()
        self.assertEqual(said[:2], ["default/crew/main", "unix:///run/hexr/api.sock"], done.stderr)
        self.assertNotEqual(said[2], forged["HEXR_INSTANCE"])

    def test_standard_input_that_leads_out_of_the_root_or_the_network_is_refused(self):
        folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, folder)
        with socket.create_connection(self.server.server_address) as connection:
            for what in (folder, connection.fileno()):
                done = self.agent("true", stdin=what)
                self.assertEqual(done.returncode, 125, done.stderr)
                self.assertIn("no folders and no network sockets", done.stderr)

    def test_what_an_ended_agent_leaves_behind_is_nobody_not_even_a_service_of_its_user(self):
        # Its PID 1 is stopped, as one that the scheduler leaves waiting is: the orphan lives on when the agent has ended.
        code = WORKLOAD + ("import os, sys, time\ndef until(name):\n  while not os.path.exists(name): time.sleep(0.005)\n"
                           "if os.fork() == 0:\n  if os.fork(): os._exit(0)\n"
                           "  until('asks'); s = connect(); hello(s); ask(s); print(answer(s), flush=True); os._exit(0)\n"
                           "os.wait(); print('up', flush=True); until('ends')")
        process = subprocess.Popen([BIN / "hexr", "run", "--agent", "leaves", "--", "/usr/bin/python3", "-c", code], cwd=self.folder,
                                   env=self.node.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.assertEqual(process.stdout.readline(), "up\n")
        (pid,) = [i["pid"] for i in self.node.json("ps")["instances"] if i["agent"] == "leaves"]
        uid = os.stat(f"/proc/{pid}").st_uid
        init = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        self.node.hexr("entry", "create", "service/any", "--selector", f"unix:uid:{uid}")
        self.addCleanup(self.node.hexr, "entry", "delete", "service/any")
        os.kill(init, signal.SIGSTOP)
        try:
            (self.folder / "ends").touch()
            end = time.monotonic() + 20
            while any(i["agent"] == "leaves" for i in self.node.json("ps")["instances"]) and time.monotonic() < end:
                time.sleep(0.01)
            (self.folder / "asks").touch()
            self.assertEqual(process.stdout.readline(), "nothing\n")
        finally:
            os.kill(init, signal.SIGCONT)
        process.wait(timeout=20)
        process.stdout.close()
        # The entry is in force: a process of that user that is nobody's has the service's identity.
        api = str(self.node.home / "run" / "api.sock")
        asks = WORKLOAD.replace("/run/hexr/api.sock", api) + "s = connect(); hello(s); ask(s); print(answer(s))"
        as_user = {"user": uid, "group": uid} if os.geteuid() == 0 else {}
        done = subprocess.run(["/usr/bin/python3", "-c", asks], capture_output=True, text=True, timeout=60, cwd="/", **as_user)
        self.assertEqual(done.stdout, "svid\n", done.stderr)

    def test_an_agent_whose_spawner_dies_in_the_middle_of_execs_goes_on_and_keeps_its_identity(self):
        done = []
        runner = threading.Thread(target=lambda: done.append(self.agent(
            "sh", "-c", 'until [ -e over ]; do /bin/true || exit 9; done; exec /usr/bin/python3 "$0"',
            str(self.folder / "ask.py"), timeout=120)))
        (self.folder / "ask.py").write_text(WORKLOAD + "s = connect(); hello(s); ask(s); print(answer(s))")
        runner.start()
        for _ in range(4):
            time.sleep(0.15)
            before = self.node.pids()["spawner"]
            os.kill(before, signal.SIGKILL)
            end = time.monotonic() + 20
            while self.node.pids()["spawner"] == before and time.monotonic() < end:
                time.sleep(0.01)
        (self.folder / "over").touch()
        runner.join()
        self.assertEqual([(d.returncode, d.stdout, d.stderr) for d in done], [(0, "svid\n", "")])

    def test_an_agents_control_group_is_on_record_and_goes_with_it(self):
        process = subprocess.Popen([BIN / "hexr", "run", "--agent", "grouped", "--", "sh", "-c", "cat /proc/self/cgroup; echo end; exec sleep 100"],
                                   cwd=self.folder, env=self.node.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        inside = [line.strip() for line in iter(process.stdout.readline, "end\n")]
        (instance,) = [i for i in self.node.json("ps")["instances"] if i["agent"] == "grouped"]
        shown = self.node.json("show", instance["instance"])
        doctor = {c["check"]: c for c in self.node.json("doctor", check=False)["checks"]}["cgroups"]
        if not shown.get("cgroup"):
            self.assertNotEqual(doctor["verdict"], "ok")  # a plain user's node that nobody gave a group
        else:
            outside = pathlib.Path(f"/proc/{instance['pid']}/cgroup").read_text().splitlines()
            self.assertIn("0::" + shown["cgroup"], outside)
            self.assertTrue(shown["cgroup"].endswith(instance["instance"]), shown)
            self.assertIn("0::/", inside)
            self.assertIn("a leaf for each agent", doctor["detail"])
        self.node.hexr("kill", instance["instance"])
        process.wait(timeout=20)
        process.stdout.close()
        # os.walk passes over groups that others take away meanwhile; glob does not.
        leaves = [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(folder) == instance["instance"]]
        end = time.monotonic() + 10
        while any(os.path.exists(p) for p in leaves) and time.monotonic() < end:
            self.agent("true")  # what the kernel still held is let go of with the next launch
        self.assertFalse(any(os.path.exists(p) for p in leaves), leaves)

    def test_nothing_of_an_agent_outlives_its_kill(self):
        code = ("import os, signal, time\nsignal.signal(15, signal.SIG_IGN)\nfor _ in range(10):\n  if os.fork() == 0:\n    os.setsid()\n"
                "    if os.fork(): os._exit(0)\n    while True:\n      open('beat', 'a').write('x'); time.sleep(0.01)\nprint('up', flush=True)\nsignal.pause()")
        process = subprocess.Popen([BIN / "hexr", "run", "--agent", "forks", "--", "/usr/bin/python3", "-c", code], cwd=self.folder,
                                   env=self.node.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.assertEqual(process.stdout.readline(), "up\n")
        self.node.hexr("kill", "spiffe://example.test/agent/default/forks")
        self.assertEqual(process.wait(timeout=20), -signal.SIGKILL)
        process.stdout.close()
        size = (self.folder / "beat").stat().st_size
        time.sleep(0.1)
        self.assertEqual((self.folder / "beat").stat().st_size, size)

    FETCH = """
import socket, sys
family = {"4": socket.AF_INET, "6": socket.AF_INET6}[sys.argv[1]]
if len(sys.argv) > 3: address = (sys.argv[3], 80)
else: address = socket.getaddrinfo(sys.argv[2], 80, family, socket.SOCK_STREAM)[0][4]
s = socket.create_connection(address[:2])
s.sendall(f"GET / HTTP/1.1\\r\\nHost: {sys.argv[2]}\\r\\nConnection: close\\r\\n\\r\\n".encode())
data = b""
while more := s.recv(65536): data += more
print(s.getpeername()[0], data.split(b"\\r\\n")[0].decode(), "a page" if b"a page" in data else "")
"""

    def fetch(self, *args):
        return self.agent("/usr/bin/python3", "-c", self.FETCH, *args).stdout

    def test_a_program_that_knows_no_proxy_is_governed_over_both_families(self):
        for family, prefix in (("4", "198.1"), ("6", "fd00:6865:7872:")):
            found = self.fetch(family, "files.test")
            self.assertTrue(found.startswith(prefix), (family, found))
            self.assertIn("HTTP/1.1 200", found)
            self.assertIn("a page", found)

    ASK_OVER_IPV6 = """
import socket, struct, sys
question = struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0) + b"\\5files\\4test\\0" + struct.pack("!2H", 28, 1)  # AAAA
for resolver in sys.argv[1:]:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect((resolver, 53))
        s.send(question)
        udp = s.recv(4096)
    with socket.create_connection((resolver, 53), timeout=20) as s:
        s.sendall(struct.pack("!H", len(question)) + question)
        stream = s.makefile("rb")
        tcp = stream.read(int.from_bytes(stream.read(2), "big"))
    for answer in (udp, tcp):
        head = struct.unpack("!4H", answer[:8])
        print(hex(head[0]), "code", head[1] & 15, "answers", head[3], socket.inet_ntop(socket.AF_INET6, answer[-16:]))
"""

    def test_names_are_answered_over_ipv6_by_datagram_and_stream(self):
        resolvers = ("::1", "fd00:6865:7872::2", "2606:4700:4700::1111")
        done = self.agent("/usr/bin/python3", "-c", self.ASK_OVER_IPV6, *resolvers)
        answers = done.stdout.splitlines()
        self.assertEqual(len(answers), 2 * len(resolvers), done.stderr)
        self.assertRegex(answers[0], r"^0x1234 code 0 answers 1 fd00:6865:7872:")
        self.assertEqual(set(answers), {answers[0]})  # one address stands for the name, whoever is asked and however

    def test_addresses_that_no_name_stands_for_are_refused_over_both_families(self):
        for family, address in (("4", "93.184.216.34"), ("6", "2606:2800:220:1::1")):
            self.assertIn("HTTP/1.1 403", self.fetch(family, "files.test", address), (family, address))


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"a page")

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    unittest.main()
