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



def environment(binaries: Path) -> dict:
    """What peers run in: a virtual environment beside the binaries with what requirements.txt pins, the Go compiler included."""
    venv = binaries.parent / "peers-venv"
    python = venv / "bin" / "python3"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(HERE / "requirements.txt")],
                   check=True)
    return {**os.environ, "PATH": f"{venv}/bin:{os.environ['PATH']}", "HEXR_BIN": str(binaries),
            "PYTHONPATH": f"{HERE}:{HERE.parent / 'integration'}"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=Path, required=True, help="folder of the built programs")
    parser.add_argument("names", nargs="*", help="wire for test_wire.py, ledger for ledger/run.sh; all without")
    options = parser.parse_args()
    binaries = options.bin.resolve()
    variables = environment(binaries)

    commands = {test.stem.removeprefix("test_"): ["python3", "-B", str(test), "-v"] for test in sorted(HERE.glob("test_*.py"))}
    commands["ledger"] = ["bash", str(HERE / "ledger" / "run.sh"), str(binaries.parent)]
    failed = []
    for name, command in commands.items():
        if options.names and name not in options.names:
            continue
        print(f"==> {name}", file=sys.stderr, flush=True)
        if subprocess.run(command, env=variables, check=False).returncode != 0:
            failed.append(name)
    print("peers: " + (f"failed: {', '.join(failed)}" if failed else "all agree"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
