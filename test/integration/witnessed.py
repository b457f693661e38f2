"""A node with a witness that is a process of its own, for tests."""
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from node import BIN, Node
from web import free_port

NAME = "witness.test/w1"


class WitnessedNode(unittest.TestCase):
    """A node whose logs a witness of its own cosigns."""
    def setUp(self):
        self.port = free_port()
        self.state = Path(tempfile.mkdtemp(prefix="hexr-witness-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.state, True)
        # The node comes first: the witness has to know its logs' keys.
        self.node = Node()
        self.node.__enter__()
        self.addCleanup(self.node.__exit__, None, None, None)
        self.logs = {log["tenant"]: log for log in self.node.json("ledger", "list")["logs"]}
        (self.state / "logs.vkey").write_text("".join(log["key"] + "\n" for log in self.logs.values()))
        self.start_witness()
        self.configure()

    def start_witness(self):
        self.witness = subprocess.Popen(
            [BIN / "hexr", "ledger", "witness", "--listen", f"127.0.0.1:{self.port}", "--state", self.state / "state", "--name", NAME, "--log",
             self.state / "logs.vkey"], env=self.node.env, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.witness.wait)
        self.addCleanup(self.witness.kill)
        self.addCleanup(self.witness.stdout.close)
        self.vkey = self.witness.stdout.readline().split()[1]

    def configure(self):
        text = self.node.config_file.read_text()
        self.node.down()
        self.node.config_file.write_text(text + f'ledger: {{witnesses: [{{url: "http://127.0.0.1:{self.port}", key: "{self.vkey}"}}]}}\n')
        self.node.up()

    def seen(self, tenant="default"):
        log = {l["tenant"]: l for l in self.node.json("ledger", "list")["logs"]}[tenant]
        return log["witnesses"][0] if log["witnesses"] else {"records": 0}
