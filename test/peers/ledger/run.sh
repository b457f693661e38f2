#!/bin/bash
# Checks a log of ours with the Go checksum database's code. Needs Go and its module proxy.
# usage: run.sh BUILD_DIR
set -euo pipefail
build=$(cd "${1:?usage: run.sh BUILD_DIR}" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for records in 3 700 70000; do
  "$build/bin/ledger_child" log "$work/$records" "$records"
  (cd "$here" && go run . "$work/$records")
done
# A peer that agrees with everything proves nothing: it must see a changed entry.
bundle="$work/700/log/tile/entries/000"
printf '!' | dd of="$bundle" bs=1 seek=100 conv=notrunc status=none
if (cd "$here" && go run . "$work/700" 2> "$work/said"); then
  echo "the peer did not notice a changed entry" >&2
  exit 1
fi
grep -q "is not its leaf" "$work/said"
