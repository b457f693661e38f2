#!/usr/bin/env python3
"""Dependencies point down. Checks every include of src/ against the tables below, which docs/ARCHITECTURE.md draws.

usage: check_layers.py SRC_DIR      exit 1 when an include is not granted
"""
import re
import sys
from pathlib import Path

LOW = {"base", "crypto", "runtime", "store", "wire", "net"}
LAYERS = {"identity", "policy", "credentials", "guard"}
TYPES = {f"{layer}/types" for layer in LAYERS}
LEDGER = {"ledger"}

# Room: what it may include besides itself. "room" grants the whole room, "room/stem" one header, "*" everything.
ALLOWED = {
    "base": set(),
    "crypto": {"base"},
    "runtime": {"base", "crypto"},
    "store": {"base", "crypto"},
    "wire": {"base", "crypto"},
    "net": {"base", "crypto", "runtime", "wire"},
    "config": {"base", "wire"},
    **{layer: LOW | TYPES | {"config"} for layer in LAYERS},
    "ledger": LOW | {"identity/types"},
    "gateway": LOW | LAYERS | LEDGER | {"config"},
    "keeper": LOW | LEDGER | {"identity", "credentials", "config"} | TYPES,
    "courier": LOW | {"config"} | TYPES,
    "spawner": LOW | {"config"} | TYPES,
    "daemon": {"*"},
    "cli": {"*"},
}
# Third-party headers that may appear only in the named rooms: everywhere else they are behind a door of ours.
FENCED = {
    "boost/": {"runtime"},
    "nghttp2/": {"wire"},
    "openssl/": {"crypto", "wire", "policy"},  # policy: Rego's built-ins take MD5, SHA-1 and any key; crypto/ refuses those
    "google/protobuf/": {"wire", "cli", "keeper"},  # generated headers (.pb.h) may go wherever messages do
    "re2/": {"guard", "policy"},
    "hs/": {"guard"},
    "sqlite3.h": {"store"},
    "tss2/": {"store"},
    "yaml-cpp/": {"config", "policy"},
    "gmp": {"policy"},
    "unicode/": {"policy"},
    "zlib.h": {"policy"},
    "seccomp.h": {"runtime"},
    "spdlog/": {"base"},
    "CLI/": {"cli"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def check(src: Path) -> list[str]:
    bad = []
    for path in sorted(p for p in src.rglob("*") if p.suffix in (".h", ".cc")):
        room = path.relative_to(src).parts[0]
        if room not in ALLOWED:
            bad.append(f"{path}: room '{room}' is not in the table")
            continue
        may = ALLOWED[room]
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quote, target = match.groups()
            top, _, rest = target.partition("/")
            where = f"{path}:{number}"
            for prefix, rooms in FENCED.items():
                if target.startswith(prefix) and room not in rooms:
                    bad.append(f"{where}: {target} belongs behind {', '.join(sorted(rooms))}")
            if quote == "<":
                if top in ALLOWED and rest.endswith(".h") and (src / target).exists():
                    bad.append(f"{where}: our own headers are included with quotes: {target}")
                continue
            if not rest and (path.parent / target).exists() or top in (".", ".."):
                bad.append(f"{where}: includes start at src/: {target}")
                continue
            if top == room or top not in ALLOWED or "*" in may or top in may:
                continue
            if f"{top}/{rest.rsplit('.', 1)[0]}" not in may:
                bad.append(f"{where}: {room} may not include {target}")
    return bad


if __name__ == "__main__":
    problems = check(Path(sys.argv[1]))
    print("\n".join(problems) if problems else "layers: every include points down")
    sys.exit(1 if problems else 0)
