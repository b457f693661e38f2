"""Waiting for what comes to pass, and whether a process lives."""
import pathlib
import time


def wait_for(condition, seconds=30, what="it"):
    """The condition's first true value; `what` names it, or is called to say what there was instead."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"did not come to pass in {seconds} s: {what() if callable(what) else what}")


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
