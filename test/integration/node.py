"""A real node in a folder of its own, for tests: the built binaries, started and stopped as a person would."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

BIN = pathlib.Path(os.environ["HEXR_BIN"])

CONFIG = """\
trust_domain: example.test
roles:
  - {{agent: "*", role: "*", exe: "*", user: "*", spawn: ["*/*"]}}
{extra}
"""


class Node:
    """One node under HEXR_HOME. Use as a context manager: it is up inside, and gone with its folder after."""

    def __init__(self, config=None, extra="", start=True, under=()):
        """`under`: the command, if any, that `hexr up` and so the node is started by."""
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="hexr-", dir="/tmp"))
        self.home.chmod(0o755)
        self.config_file = self.home / "config" / "hexr.yaml"
        self.config_file.parent.mkdir()
        self.config_file.write_text(config if config is not None else CONFIG.format(extra=extra))
        self.start = start
        self.under = list(under)
        self.cuts_lines = False  # whether its log is on a disk that is full at times

    @property
    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "HEXR_"))}
        env.update(HEXR_HOME=str(self.home), PATH=f"{BIN}:{env['PATH']}", NO_COLOR="1")
        return env

    def __enter__(self):
        if self.start:
            self.up()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and self.log.exists():
            print(f"--- {self.log}\n{self.log.read_text()[-6000:]}")
        self.hexr("down", check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def log(self):
        return self.home / "state" / "hexrd.log"

    def hexr(self, *args, check=True, timeout=60, **kwargs):
        """Runs `hexr ARGS`; the finished process, with stdout and stderr as text."""
        if "input" not in kwargs:
            kwargs.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run([*kwargs.pop("under", ()), str(BIN / "hexr"), *args], env=kwargs.pop("env", self.env), text=True, capture_output=True,
                              timeout=timeout, **kwargs)
        if check and done.returncode != 0:
            raise AssertionError(f"hexr {' '.join(args)}: code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def json(self, *args, **kwargs):
        return json.loads(self.hexr(*args, "--output", "json", **kwargs).stdout)

    def commands(self, *words):
        """Every command, as --help lists them, groups followed down: ["vault", "put"]…"""
        text = self.hexr(*words, "--help").stdout
        listed = text.partition("Subcommands:\n")[2].partition("\n\n")[0].splitlines()
        if not listed:
            return [list(words)]
        found = []
        for line in listed:
            if len(line.split()) < 2:
                raise AssertionError(f"hexr {' '.join(words)}: {line.strip()}: a word without a summary")
            found += self.commands(*words, line.split()[0])
        return found

    def up(self):
        return self.hexr("up", under=self.under)

    def down(self):
        return self.hexr("down")

    def log_lines(self):
        """Every line that is whole: JSON, but for what hexrd says to whoever started it in vain."""
        out, in_vain = [], False
        for line in self.log.read_text().rpartition("\n")[0].splitlines():
            in_vain = line.startswith("hexrd: ") or (in_vain and not line.startswith("{"))
            if in_vain:
                continue
            try:
                out.append(json.loads(line))
            except ValueError:
                if not self.cuts_lines:
                    raise AssertionError(f"{self.log}: no JSON: {line}") from None
        return out

    def pids(self):
        """The node's processes by name, as the supervisor last started them."""
        out = {}
        for line in self.log_lines():
            if line.get("event") == "child.started":
                out[line["child"]] = line["pid"]
        return out
