#!/usr/bin/env bash
# The container image: the static binary, CA roots and a data folder, in an image FROM scratch, built with buildah.
#
#   scripts/image.sh [--tag NAME] [--archive FILE] [--context FOLDER]
#
#   --tag NAME         the image's name in buildah's storage, where podman finds it too; localhost/sluice:latest if not given
#   --archive FILE     writes the image for `docker load` as well
#   --context FOLDER   only fills the folder that deploy/Dockerfile.binary is built from, for another builder
#
# Needs what scripts/setup.sh installs. CA roots are this machine's, or those of $CA_FILE.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

fail() {
    echo "image: $*" >&2
    exit 1
}

tag=localhost/sluice:latest archive='' context=''
while [ "$#" -gt 0 ]; do
    case $1 in
        --tag | --archive | --context) [ -n "${2:-}" ] || fail "$1: a value is missing" ;;
        *) fail "$1: must be --tag NAME, --archive FILE or --context FOLDER" ;;
    esac
    case $1 in
        --tag) tag=$2 ;;
        --archive) archive=$2 ;;
        --context) context=$2 ;;
    esac
    shift 2
done

need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: run scripts/setup.sh, or install the package $2"
}

target="$(uname -m)-unknown-linux-musl"
ca_file=${CA_FILE:-/etc/ssl/certs/ca-certificates.crt}
need musl-gcc musl-tools
[ -n "$context" ] || need buildah buildah
[ -s "$ca_file" ] || fail "$ca_file is missing: install the package ca-certificates, or name a file with CA_FILE"
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || fail "Rust cannot build for $target: run scripts/setup.sh"

fill() { # FOLDER
    # The linker writes addresses to be adjusted at the start in a short form: 4 % of the size.
    nice -n 10 cargo rustc --release --quiet --locked --package sluice --bin sluice --no-default-features --target "$target" \
        -- -C link-arg=-Wl,-z,pack-relative-relocs
    mkdir -p "$1/data"
    cp "$CARGO_TARGET_DIR/$target/release/sluice" "$1/sluice"
    cp "$ca_file" "$1/ca-certificates.crt"
    chmod 755 "$1/sluice" "$1/data"
    chmod 644 "$1/ca-certificates.crt"
}

if [ -n "$context" ]; then
    fill "$context"
    echo "image: $context is ready for deploy/Dockerfile.binary"
    exit 0
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
fill "$work"
before="$(buildah images --quiet --no-trunc "$tag" 2>/dev/null || true)"
# Docker's format: the other one has no health check.
buildah build --quiet --format docker --isolation chroot --tag "$tag" --file deploy/Dockerfile.binary "$work" >"$work/id"
# What had this name is of no use any more, unless something still uses it.
[ "$before" = "$(buildah images --quiet --no-trunc "$tag")" ] || buildah rmi "$before" >/dev/null 2>&1 || true
if [ -n "$archive" ]; then
    rm -f "$archive"
    buildah push --quiet "$tag" "docker-archive:$archive:$tag"
fi
echo "image: $tag, $(du --apparent-size --block-size=1000000 "$work/sluice" | cut -f1) MB"
