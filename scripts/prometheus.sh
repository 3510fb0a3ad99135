#!/usr/bin/env bash
# Prometheus, for tests that read /metrics as its users do: the one that is installed, else Debian's package, unpacked into the
# cache and not installed. Prints the path of the program.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

if command -v prometheus >/dev/null 2>&1; then
    command -v prometheus
    exit
fi
folder="$SLUICE_CACHE/prometheus"
exec 9>"$folder.lock"
flock 9
if [ ! -x "$folder/usr/bin/prometheus" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "prometheus: please install it (no apt-get here)" >&2
        exit 1
    fi
    mkdir -p "$folder/package"
    cd "$folder/package"
    apt-get -q download prometheus >&2 || {
        as_root=()
        [ "$(id -u)" = 0 ] || as_root=(sudo)
        "${as_root[@]}" apt-get -q update >&2
        apt-get -q download prometheus >&2
    }
    dpkg-deb --extract ./*.deb "$folder"
    rm -r "$folder/package"
fi
echo "$folder/usr/bin/prometheus"
