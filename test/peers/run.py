#!/usr/bin/env python3
"""Runs every test_*.py beside it against real clients: PyPI's in a virtual environment, Go's built from the module proxy,
Debian's tools; and ledger/run.sh. Versions are pinned in requirements.txt and in each go.mod with its go.sum.

usage: run.py --bin DIR [NAME…]
"""
import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

parser = argparse.ArgumentParser()
parser.add_argument("--bin", type=Path, required=True, help="folder of the built programs")
parser.add_argument("names", nargs="*", help="wire for test_wire.py, ledger for ledger/run.sh; all without")
options = parser.parse_args()

binaries = options.bin.resolve()
venv = binaries.parent / "peers-venv"
python = venv / "bin" / "python3"
if not python.exists():
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
subprocess.run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(HERE / "requirements.txt")],
               check=True)

commands = {test.stem.removeprefix("test_"): [str(python), "-B", str(test), "-v"] for test in sorted(HERE.glob("test_*.py"))}
commands["ledger"] = ["bash", str(HERE / "ledger" / "run.sh"), str(binaries.parent)]
environment = {**os.environ, "PATH": f"{venv}/bin:{os.environ['PATH']}", "HEXR_BIN": str(binaries), "PYTHONPATH": str(HERE.parent / "integration")}

failed = []
for name, command in commands.items():
    if options.names and name not in options.names:
        continue
    print(f"==> {name}", file=sys.stderr, flush=True)
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        failed.append(name)
print("peers: " + (f"failed: {', '.join(failed)}" if failed else "all agree"))
sys.exit(1 if failed else 0)
