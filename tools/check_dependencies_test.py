#!/usr/bin/env python3
"""The dependency check finds what it is there to find."""
from check_dependencies import check

PAGE = "| library | package | why |\n|---|---|---|\n| OpenSSL | libssl-dev | TLS |\n| compiler | g++, cmake | build |\n"
PACKAGES = "BUILD_PACKAGES=(\n  g++ cmake\n  libssl-dev\n)\n"
DEPS = "foreach(lib libhs re2)\n"
LISTS = "hexr_room(guard DEPS dep::libhs dep::re2)\n"

assert check(PACKAGES, PAGE, DEPS, LISTS) == []
assert "libpq-dev" in check(PACKAGES + "TEST_PACKAGES=(libpq-dev)\n", PAGE, DEPS, LISTS)[0]
assert "libssl-dev is not installed" in check("BUILD_PACKAGES=(g++ cmake)\n", PAGE, DEPS, LISTS)[0]
assert "dep::re2" in check(PACKAGES, PAGE, DEPS, "hexr_room(guard DEPS dep::libhs)\n")[0]
assert "libssl-dev has two lines" in check(PACKAGES, PAGE + "| again | libssl-dev | TLS |\n", DEPS, LISTS)[0]
print("dependency check: 5 trees judged right")
