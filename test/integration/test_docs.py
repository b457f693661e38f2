"""What the manuals say to write and to type, written and typed."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from node import Node
from web import free_port, wait_for

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


class Docs(unittest.TestCase):
    def test_every_configuration_in_the_manuals_is_accepted(self):
        with Node(start=False) as node:
            for page in ("identity.md", "ledger.md"):
                found = blocks(page, "yaml")
                self.assertTrue(found, page)
                for text in found:
                    node.config_file.write_text("trust_domain: a.test\n" + text)
                    done = node.hexr("config", "check", check=False)
                    self.assertEqual((page, done.returncode), (page, 0), done.stderr + text)

    def test_the_witness_is_set_up_as_the_manual_says(self):
        serve, ask = (block for block in blocks("ledger.md", "sh") if "witness" in block or "checkpoint" in block)
        (configure,) = (block for block in blocks("ledger.md", "yaml") if "witnesses" in block)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hexr-docs-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, folder, True)
        address = f"127.0.0.1:{free_port()}"

        def local(text):
            return text.replace("10.0.0.7:7070", address).replace("/var/lib/w1", str(folder / "w1")).replace("logs.vkey", str(folder / "logs.vkey"))

        with Node() as node:
            logs = {log["tenant"]: log["key"] for log in node.json("ledger", "list")["logs"]}
            (folder / "logs.vkey").write_text("\n".join(logs.values()) + "\n")
            witness = subprocess.Popen(["bash", "-c", "exec " + local(serve)], env=node.env, stdout=subprocess.PIPE, text=True)
            self.addCleanup(witness.wait)
            self.addCleanup(witness.kill)
            self.addCleanup(witness.stdout.close)
            self.assertIn("listens on " + address, witness.stdout.readline())
            key = (folder / "w1" / "witness.vkey").read_text().strip()
            node.down()
            with node.config_file.open("a") as file:
                file.write(re.sub(r'key: ".*?"', f'key: "{key}"', local(configure)))
            node.up()
            wait_for(lambda: all(log["witnesses"] and log["witnesses"][0]["records"] for log in node.json("ledger", "list")["logs"]))
            origin = logs["default"].split("+")[0]
            answer = subprocess.run(["bash", "-c", local(ask)], env={**node.env, "ORIGIN": origin}, capture_output=True, text=True, check=True)
            self.assertEqual(answer.stdout.splitlines()[0], origin)


if __name__ == "__main__":
    unittest.main()
