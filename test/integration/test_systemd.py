"""What systemd would do with a node, done by this test: readiness and stopping over NOTIFY_SOCKET, and the unit's own lines."""
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from node import BIN, Node

UNIT = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "hexrd.service"


def directives(text):
    """[(section, name, value)]"""
    section, out = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and line[0] not in "#;":
            name, _, value = line.partition("=")
            out.append((section, name, value))
    return out


class Notify(unittest.TestCase):
    def run_with(self, address, name):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, Node(start=False) as node:
            manager.bind(address)
            manager.settimeout(30)
            # The unit's own arguments, with this node's folder for /etc.
            (command,) = [shlex.split(v) for s, n, v in directives(UNIT.read_text()) if (s, n) == ("Service", "ExecStart")]
            arguments = [a.replace("/etc/hexr/hexr.yaml", str(node.config_file)) for a in command[1:]]
            process = subprocess.Popen([BIN / pathlib.Path(command[0]).name, *arguments], env={**node.env, "NOTIFY_SOCKET": name},
                                       stderr=subprocess.PIPE, text=True)
            try:
                self.assertEqual(manager.recv(4096), b"READY=1")
                # Ready means ready: what it says is answered, at once.
                self.assertEqual(node.json("status")["trust_domain"], "example.test")
                children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                self.assertEqual(len(children), 3)
                for pid in children:  # NotifyAccess=main: nobody else may speak for the node
                    self.assertNotIn(b"NOTIFY_SOCKET", pathlib.Path(f"/proc/{pid}/environ").read_bytes())
                process.send_signal(signal.SIGTERM)
                self.assertEqual(manager.recv(4096), b"STOPPING=1")
                self.assertEqual(process.wait(timeout=30), 0)
                manager.setblocking(False)
                with self.assertRaises(BlockingIOError):
                    manager.recv(4096)  # nothing twice
            finally:
                process.kill()
                process.wait()
                process.stderr.close()

    def test_ready_and_stopping_over_a_path(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hexr-notify-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, folder)
        self.run_with(str(folder / "notify"), str(folder / "notify"))

    def test_ready_and_stopping_over_an_abstract_name(self):
        name = f"hexr-notify-{id(self)}"
        self.run_with("\0" + name, "@" + name)


class Unit(unittest.TestCase):
    def test_it_says_what_hexrd_needs(self):
        found = {(s, n): v for s, n, v in directives(UNIT.read_text())}
        self.assertEqual(found["Service", "Type"], "notify")
        self.assertEqual(found["Service", "NotifyAccess"], "main")
        self.assertEqual(found["Service", "Delegate"], "yes")
        self.assertEqual(shlex.split(found["Service", "ExecStart"])[0], "/usr/bin/hexrd")
        # A drain has its time before systemd kills.
        self.assertGreater(int(found["Service", "TimeoutStopSec"]), 5)
        self.assertEqual((found["Service", "StateDirectory"], found["Service", "RuntimeDirectory"]), ("hexr", "hexr"))

    def test_systemd_knows_every_line(self):
        verify = shutil.which("systemd-analyze")
        if verify is None:
            known = {"Unit": {"Description", "After", "Wants"}, "Install": {"WantedBy"},
                     "Service": {"Type", "NotifyAccess", "ExecStart", "Restart", "RestartSec", "KillMode", "TimeoutStopSec", "Delegate",
                                 "StateDirectory", "StateDirectoryMode", "RuntimeDirectory", "RuntimeDirectoryMode", "LimitNOFILE",
                                 "LimitMEMLOCK", "ProtectClock", "ProtectKernelModules", "ProtectKernelLogs", "RestrictRealtime"}}
            for section, name, _ in directives(UNIT.read_text()):
                self.assertIn(name, known[section])
            return
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hexr-unit-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, folder)
        # The program has to be there for it to be content.
        unit = folder / "hexrd.service"
        unit.write_text(UNIT.read_text().replace("/usr/bin/hexrd", str(BIN / "hexrd")))
        done = subprocess.run([verify, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False)
        complaints = [line for line in done.stderr.splitlines() if "hexrd.service" in line]
        self.assertEqual(complaints, [], done.stderr)
        # And it does complain of what it does not know.
        unit.write_text(unit.read_text().replace("Delegate=", "Delegates="))
        done = subprocess.run([verify, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False)
        self.assertIn("Delegates", done.stderr)


if __name__ == "__main__":
    unittest.main()
