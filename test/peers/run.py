#!/usr/bin/env python3
"""Runs every test_*.py beside it against real clients: packages from PyPI in a virtual environment, Debian's tools.

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
parser.add_argument("names", nargs="*", help="wire for test_wire.py; all without")
options = parser.parse_args()

venv = options.bin.resolve().parent / "peers-venv"
python = venv / "bin" / "python3"
if not python.exists():
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(HERE / "requirements.txt")], check=True)

failed = []
for test in sorted(HERE.glob("test_*.py")):
    name = test.stem.removeprefix("test_")
    if options.names and name not in options.names:
        continue
    print(f"==> {name}", file=sys.stderr, flush=True)
    environment = {**os.environ, "HEXR_BIN": str(options.bin.resolve())}
    if subprocess.run([str(python), "-B", str(test), "-v"], env=environment, check=False).returncode != 0:
        failed.append(name)
print("peers: " + (f"failed: {', '.join(failed)}" if failed else "all agree"))
sys.exit(1 if failed else 0)
