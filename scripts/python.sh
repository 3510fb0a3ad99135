#!/usr/bin/env bash
# Python for tests that read results as users do: a virtual environment in the cache, with the packages named. Prints the
# path of the interpreter:
#   "$(scripts/python.sh duckdb==2.0.0)" tests/it/read_csv.py FILE...
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

venv="$SLUICE_CACHE/python"
exec 9>"$SLUICE_CACHE/python.lock"
flock 9
# What stands in it was made by a Python that may be gone by now.
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$venv" >&2
for package in "$@"; do
    [ -e "$venv/.$package" ] && continue
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$package" >&2
    touch "$venv/.$package"
done
echo "$venv/bin/python"
