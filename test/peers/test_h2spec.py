"""h2spec against our HTTP/2 server. What it finds and we keep is in README.md, each with its reason; nothing else may fail."""
import json
import re
import subprocess
import tempfile
import unittest

from peers import BIN, go_program

# Section and number of the test, as README.md explains them.
KEPT = {("http2/5.3.1", 2)}


def failures(output):
    """(section, number) of every test that h2spec marks as failed."""
    found, group, section = set(), "", ""
    text = output[output.index("Failures:"):] if "Failures:" in output else ""
    for line in text.splitlines():
        if re.match(r"^\S", line):
            group = {"Generic": "generic", "Hypertext": "http2", "HPACK:": "hpack"}.get(line.split(" ")[0], group)
        elif m := re.match(r"^\s+([\d.]+)\. \D", line):
            section = m[1]
        elif m := re.match(r"^\s+× (\d+): ", line):
            found.add((f"{group}/{section}", int(m[1])))
    return found


class H2spec(unittest.TestCase):
    def test_conformance(self):
        h2spec = go_program("h2spec", "github.com/summerwind/h2spec/cmd/h2spec")
        with tempfile.TemporaryDirectory() as folder, subprocess.Popen(
                [BIN / "wire_peer_server", f"{folder}/api.sock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            port = json.loads(server.stdout.readline())["http2_port"]
            done = subprocess.run([h2spec, "-p", str(port), "-o", "2"], capture_output=True, text=True, timeout=300, check=False)
            server.stdin.close()
        print(done.stdout.splitlines()[-1])
        self.assertRegex(done.stdout, r"14\d tests, ")
        self.assertEqual(failures(done.stdout), KEPT, done.stdout[done.stdout.find("Failures:"):])


if __name__ == "__main__":
    unittest.main()
