#!/usr/bin/env python3
"""Measures every published figure on this machine and prints them as one JSON document.

usage: run.py --bin FOLDER [--quick] [--peers] [--update-docs] [NAME…]

NAME: those that `hexr bench` lists; all of them where none is named. --peers measures others beside hexr, right after it
and in the same way; they are built from the package registries, which takes minutes the first time. --update-docs measures
everything, peers too, and writes docs/benchmarks.md.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/benchmarks.md"

HEAD = """\
# Benchmarks

Measured by `./dev bench --update-docs`, which runs `hexr bench NAME` for each section; run it on your machine for your own
figures. A rate "per core" is per second of CPU that hexr's own processes used, so other work on the machine does not count
for it. A time is as it was measured, with whatever else ran. Figures without a goal are shown for comparison.
"""


def commit():
    def git(*args):
        return subprocess.run(["git", "-C", str(ROOT), *args], text=True, capture_output=True, check=False).stdout.strip()
    name = git("rev-parse", "--short=12", "HEAD")
    return (name + (" with changes" if git("status", "--porcelain", "--", "src", "proto") else "")) if name else "unknown"


def number(value):
    """Three significant digits, thousands apart: 0.412, 12.3, 203,000."""
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{float(f'{value:.3g}'):,.{max(0, 3 - whole)}f}"


def verdict(figure):
    if "goal" not in figure:
        return "", ""
    return ("≤ " if figure["better"] == "lower" else "≥ ") + number(figure["goal"]), "met" if figure["met"] else "**missed**"


def section(result):
    lines = [f"## {result['name']}", ""]
    peers = sorted({p for f in result["figures"] for p in f["peers"]})
    lines.append("| figure | value | unit | goal | | samples |" + "".join(f" {p} |" for p in peers))
    lines.append("|---|---|---|---|---|---|" + "---|" * len(peers))
    for f in result["figures"]:
        goal, met = verdict(f)
        row = f"| {f['figure']} | {number(f['value'])} | {f['unit']} | {goal} | {met} | {f['samples']:,} |"
        lines.append(row + "".join(f" {number(f['peers'][p]) if p in f['peers'] else ''} |" for p in peers))
    machine, conditions = result["machine"], dict(result["conditions"])
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}, Linux {machine['kernel']}"
    when = (f"{conditions.pop('time')}, commit {conditions.pop('commit')}, as {conditions.pop('user')}, "
            f"load {conditions.pop('load_before')} before and {conditions.pop('load_after')} after")
    conditions.pop("version")
    lines += ["", f"{where}; {when}."]
    lines += [f"- {name}: {text}" for name, text in sorted(conditions.items())]
    return "\n".join(lines) + "\n"


def spire(binaries, quick):
    """SPIRE's figures, by the names of those of `hexr bench identity`."""
    sys.path.insert(0, str(ROOT / "test/peers"))
    from run import environment  # noqa: PLC0415: only where peers are asked for
    os.environ.update(environment(binaries))
    from peers import go_program  # noqa: PLC0415
    server, agent = (go_program("spire", f"github.com/spiffe/spire/cmd/spire-{p}") for p in ("server", "agent"))
    done = subprocess.run([sys.executable, "-B", str(ROOT / "bench/spire.py"), "--bin", str(binaries), "--server", str(server), "--agent",
                           str(agent), *(["--quick"] if quick else [])], text=True, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def add_peers(result, binaries, quick):
    if result["name"] != "identity":
        return
    found = spire(binaries, quick)
    for figure in result["figures"]:
        if figure["figure"] in found:
            figure["peers"]["SPIRE 1.13"] = found[figure["figure"]]
    result["conditions"]["SPIRE"] = (
        "1.13.3, server and agent with their keys in memory, SQLite, asked by the same client, idle_pss of both; keeper_per_instance is "
        "its agent's; svids_renewed counts new entries, CPU of both; a workload got its first SVID "
        f"{number(found['registered_to_svid'] / 1000)} s after its entry was made, which hexr does at launch")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, help="folder of the built binaries")
    parser.add_argument("--quick", action="store_true", help="few samples: to see that it works")
    parser.add_argument("--peers", action="store_true", help="measure others beside hexr")
    parser.add_argument("--update-docs", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    if args.update_docs and (args.quick or args.names):
        parser.error("the page holds every figure, measured in full")
    hexr = str(pathlib.Path(args.bin).resolve() / "hexr")

    def ask(*words):
        done = subprocess.run([hexr, *words, "--output", "json"], text=True, stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            sys.exit(f"run.py: hexr {' '.join(words)}: exit code {done.returncode}")
        return json.loads(done.stdout)

    names = args.names or [b["name"] for b in ask("bench")["benchmarks"]]
    results = []
    for name in names:
        print(f"run.py: {name}", file=sys.stderr)
        result = ask("bench", name, *(["--quick"] if args.quick else []))
        result["conditions"]["commit"] = commit()
        if args.peers or args.update_docs:
            add_peers(result, pathlib.Path(args.bin).resolve(), args.quick)
        results.append(result)
    print(json.dumps({"benchmarks": results}, indent=2))
    if args.update_docs:
        PAGE.write_text(HEAD + "\n" + "\n".join(map(section, results)), encoding="utf-8")


if __name__ == "__main__":
    main()
