"""What the tests of real peers share: programs built from the Go module proxy, kept beside our own binaries."""
import os
import pathlib
import subprocess

BIN = pathlib.Path(os.environ["HEXR_BIN"])
HERE = pathlib.Path(__file__).resolve().parent
CACHE = BIN.resolve().parent / "peers-go"


def go_program(module, package):
    """Builds `package` as the go.mod in folder `module` pins it; where it is. The Go tool knows when nothing is to do."""
    CACHE.mkdir(exist_ok=True)
    out = CACHE / package.rsplit("/", 1)[1]
    subprocess.run(["nice", "go", "build", "-mod=readonly", "-trimpath", "-o", str(out), package], cwd=HERE / module, check=True)
    return out
