"""Packages of the registry that tests use as strangers would."""
import fcntl
import pathlib
import shutil
import subprocess
import sys

from node import BIN

HERE = pathlib.Path(__file__).resolve().parent


def environment():
    """A virtual environment beside the binaries with the packages of requirements.txt; made anew when that changes."""
    venv = BIN.resolve().parent / "clients-venv"
    wanted = (HERE / "requirements.txt").read_text(encoding="utf-8")
    stamp = venv / "requirements.txt"
    with open(venv.with_suffix(".lock"), "w", encoding="utf-8") as lock:  # two tests may start at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            subprocess.run([venv / "bin/python3", "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", HERE / "requirements.txt"],
                           check=True)
            stamp.write_text(wanted, encoding="utf-8")
    return venv
