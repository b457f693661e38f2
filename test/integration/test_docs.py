"""What the manuals say to write and to type, written and typed."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from node import Node
from waiting import wait_for
from web import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
# console: typed, and compared with what it says. yaml: a configuration, checked. The others are not run here.
LANGUAGES = {"console", "yaml", "text", "sh", "rego", "json"}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def commands(block):
    """The commands of a console block with what each is said to print: [("hexr up", ["up: …"])]."""
    out = []
    for line in block.splitlines():
        if line.startswith("$ "):
            out.append((line[2:], []))
        else:
            out[-1][1].append(line)
    return out


def fits(expected, said):
    """Whether lines read as expected: "…" stands for any text, a line of nothing else for any number of lines, and the
    width of columns does not count."""
    def pattern(line):
        if line == "…":
            return r"(?:.*\n)*?"
        words = [".*".join(map(re.escape, word.split("…"))) for word in line.split()]
        return "[ ]*" + "[ ]+".join(words).replace("[ ]+.*[ ]+", "[ ]+(?:.*[ ])?") + "[ ]*\\n"
    return re.fullmatch("".join(map(pattern, expected)), "".join(line + "\n" for line in said)) is not None


class Typed:
    """One shell in which a reader types a page's commands, one after the other."""
    MARK = "\x1e"

    def __init__(self, node):
        self.folder = node.home / "work"
        self.folder.mkdir()
        self.shell = subprocess.Popen(["bash"], env=node.env, cwd=self.folder, text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def type(self, command):
        """The exit code, and the lines that appear."""
        self.shell.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '{self.MARK}%d\\n' $?\n")
        self.shell.stdin.flush()
        said = ""
        for line in self.shell.stdout:
            before, mark, code = line.partition(self.MARK)
            said += before
            if mark:
                return int(code), said.splitlines()
        raise AssertionError(f"the shell has ended: {said}")

    def close(self):
        self.shell.stdin.close()
        self.shell.stdout.close()
        self.shell.wait(timeout=20)


class Docs(unittest.TestCase):
    def test_every_block_names_its_language(self):
        for page in PAGES:
            fenced = False
            for number, line in enumerate(page.read_text().splitlines(), 1):
                if line.startswith("```"):
                    self.assertIn(line[3:], {""} if fenced else LANGUAGES, f"{page}:{number}")
                    fenced = not fenced

    def test_every_command_in_the_manuals_does_what_they_say(self):
        typed = 0
        for page in PAGES:
            found = re.findall(r"^```console\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
            if not found:
                continue
            with self.subTest(page=page.name), Node(start=False) as node:
                node.config_file.unlink()
                if "$ hexr up\n" not in "".join(found):
                    node.up()
                shell = Typed(node)
                self.addCleanup(shell.close)
                for command, expected in (c for block in found for c in commands(block)):
                    code, said = shell.type(command)
                    typed += 1
                    self.assertTrue(expected or code == 0, f"{page.name}: {command}: code {code}\n" + "\n".join(said))
                    if expected:
                        self.assertTrue(fits(expected, said), f"{page.name}: {command}\n--- expected\n" + "\n".join(expected) +
                                        "\n--- said\n" + "\n".join(said))
        self.assertGreater(typed, 15)

    def test_the_comparison_compares(self):
        self.assertTrue(fits(["a … c", "…", "z"], ["a b c", "x", "y", "z"]))
        self.assertTrue(fits(["USE  ID"], ["USE      ID"]))
        self.assertTrue(fits(["a  …  c"], ["a    c"]))
        self.assertFalse(fits(["a … c"], ["a b d"]))
        self.assertFalse(fits(["a"], ["a", "b"]))
        self.assertFalse(fits(["a", "b"], ["a"]))

    def test_every_configuration_in_the_manuals_is_accepted(self):
        with Node(start=False) as node:
            for page in PAGES:
                for text in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
                    if text.startswith("# ") and "hexr.yaml" not in text.split("\n")[0]:
                        continue  # another file, named in its first line
                    for name, here in (("alice", "root"), ("bob", "daemon"), ("carol", "nobody")):
                        text = re.sub(rf"\b{name}\b", here, text)  # who starts agents is a user of the machine
                    node.config_file.write_text(("" if re.search("^trust_domain:", text, re.MULTILINE) else "trust_domain: a.test\n") + text)
                    done = node.hexr("config", "check", check=False)
                    self.assertEqual((page, done.returncode), (page, 0), done.stderr + text)

    def test_every_key_of_the_configuration_has_its_line_in_the_manual(self):
        """Every key that the parser reads stands in the example of everything, and every key of it in a table."""
        (everything,) = [b for b in blocks("configuration.md", "yaml") if "passphrase_file" in b]
        with Node(config=everything, start=False) as node:
            shown = node.hexr("config", "show").stdout
        keys, stack = set(), []
        for line in shown.splitlines():
            indent, item, key = re.match(r"( *)(- )?(?:([a-z_0-9]+):)?", line).groups()
            column = len(indent) + (2 if item else 0)
            while stack and stack[-1][0] >= column:
                stack.pop()
            if item and stack and not stack[-1][1].endswith("[]"):
                stack[-1] = (stack[-1][0], stack[-1][1] + "[]")
            if key is None or (stack and stack[-1][1] == "egress.resolve"):
                continue
            path = (stack[-1][1] + "." if stack else "") + key
            keys.add(path)
            stack.append((column, path))
        read = re.findall(r"\b\w+\.(?:String|Strings|Bool|Parsed|ParsedList|Choice<\w+>|Duration|OptionalDuration|Each|Map|EachPair|StringMap)\("
                          r"\"(\w+)\"", (ROOT / "src/config/parse.cc").read_text())
        self.assertGreater(len(read), 40)
        self.assertLessEqual(set(read), {key.rsplit(".", 1)[-1] for key in keys})
        page = (DOCS / "configuration.md").read_text()
        listed = {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall("`([^`]+)`", row)}
        sections = {key for key in keys if any(other.startswith((key + ".", key + "[].")) for other in keys)}
        self.assertEqual(keys - sections, {name for name in listed if not name.endswith("[]")})
        self.assertLessEqual({name for name in listed if name.endswith("[]")}, {k + "[]" for k in sections})

    def test_every_command_is_in_the_manuals(self):
        text = "\n".join(page.read_text() for page in PAGES)
        with Node(start=False) as node:
            left = [c for c in map(" ".join, node.commands()) if not re.search(rf"hexr {c}(?![a-z])", text)]
        self.assertEqual(left, [])

    def test_every_metric_is_in_the_manual(self):
        listed = set(re.findall(r"`(hexr_[a-z0-9_]+)`", "\n".join(re.findall(r"^\| `hexr_.*", (DOCS / "operations.md").read_text(), re.MULTILINE))))
        literal = {name for file in ("keeper/keeper_peers.cc", "daemon/supervisor.cc")
                   for name in re.findall(r'"(hexr_[a-z0-9_]+)"', (ROOT / "src" / file).read_text())}
        gateway = re.findall(r'(?:gauge|counter|family)\("([a-z0-9_]+)", ', (ROOT / "src/gateway/metrics.cc").read_text())
        self.assertGreater(len(gateway), 10)
        self.assertEqual(listed, literal | {"hexr_gateway_" + name for name in gateway})

    def test_the_bounds_of_identities_are_those_of_the_code(self):
        code = dict(re.findall(r"(k\w+) = ([\d']+);", (ROOT / "src/base/limits/identity.h").read_text()))
        rows = re.findall(r"^\| .*? \| ([\d;, ]+) \| ((?:`k\w+` ?)+)\|", (DOCS / "identity.md").read_text(), re.MULTILINE)
        self.assertGreater(len(rows), 8)
        for numbers, names in rows:
            said = re.findall(r"\d+", numbers)
            self.assertEqual(said, [code[n].replace("'", "") for n in re.findall(r"k\w+", names)], names)

    def test_every_event_of_a_record_is_in_the_manual(self):
        events = set()
        for file in (ROOT / "src").rglob("*.cc"):
            if re.search(r"_(test|fuzz|bench)\.cc$|/testing/|^cli/", str(file.relative_to(ROOT / "src"))):
                continue
            text = file.read_text()
            for statement in re.findall(r'Set\("event", (.*?)(?:;|\.Set\()', text, re.DOTALL):
                events |= set(re.findall(r'Code\("([a-z_.]+)"\)', statement))
            events |= set(re.findall(r'Event\(\*?call, RecordKind::\w+, "([a-z_.]+)"', text))
            events |= set(re.findall(r'TakeTrust\(call, "([a-z_.]+)"', text))
        self.assertGreater(len(events), 25)
        page = "\n".join(re.findall(r"^\| (?:[A-Z]{2}|any) \| .*", (DOCS / "ledger.md").read_text(), re.MULTILINE))
        self.assertEqual(events, set(re.findall(r"`([a-z_.]+)`", "\n".join(row.split("|")[2] for row in page.splitlines()))) - {"verdict", "allow", "deny"})

    def test_the_exit_codes_of_the_manual_are_the_commands(self):
        page = (DOCS / "operations.md").read_text()
        said = dict(re.findall(r"^\| `(\d+)` \| (.*?) \|", page, re.MULTILINE))
        self.assertEqual(sorted(said, key=int), ["0", "1", "2", "3", "4", "125", "126", "127"])
        with Node() as node:
            def code(*args, **kwargs):
                return str(node.hexr(*args, check=False, **kwargs).returncode)
            self.assertEqual(code("status"), "0")
            self.assertEqual(code("entry", "delete", "service/none"), "1")
            self.assertEqual(code("status", "--no-such-flag"), "2")
            self.assertEqual(code("run", "--agent", "x", "--", "sh", "-c", "exit 7"), "7")
            self.assertEqual(code("run", "--agent", "x", "--on-behalf-of", "/nonexistent", "--", "true"), "125")
            self.assertEqual(code("run", "--agent", "x", "--", "/etc/passwd"), "126")
            self.assertEqual(code("run", "--agent", "x", "--", "no-such-program"), "127")
            node.down()
            self.assertEqual(code("status"), "3")

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
