#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: Debian packages, Rust's library for static binaries, cargo-deny. Safe to
# run again.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

need_package() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

missing=()
need_package cc gcc
need_package java default-jdk-headless
need_package mvn maven
need_package kcat kcat
need_package curl curl
need_package shellcheck shellcheck
# For scripts/image.sh, and for running the image without an engine.
need_package buildah buildah
need_package crun crun
need_package newuidmap uidmap
need_package musl-gcc musl-tools
compgen -G "/usr/lib*/podman/netavark" >/dev/null || missing+=(netavark)
[ -s /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
need_package systemd-analyze systemd
# The guide's commands, in a network of their own.
need_package jq jq
need_package openssl openssl
need_package unshare util-linux
need_package ip iproute2
# Debian keeps the servers' programs out of the path.
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || need_package initdb postgresql
# For scripts/python.sh; Debian ships venv apart from Python.
python3 -c 'import ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)

if [ "${#missing[@]}" -gt 0 ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "setup: please install: ${missing[*]} (no apt-get here)" >&2
        exit 1
    fi
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    echo "setup: installing ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
        "apt-get -q update && apt-get -qy install --no-install-recommends ${missing[*]}" \
        >"$SLUICE_CACHE/apt.log" 2>&1 || { tail -20 "$SLUICE_CACHE/apt.log" >&2; exit 1; }
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: cargo is missing: install Rust with rustup, see https://rustup.rs" >&2
    exit 1
fi

target="$(uname -m)-unknown-linux-musl"
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    echo "setup: fetching Rust's library for $target"
    rustup --quiet target add "$target"
fi

if ! command -v cargo-deny >/dev/null 2>&1; then
    echo "setup: building cargo-deny (once)"
    cargo install --quiet --locked cargo-deny --root "$SLUICE_CACHE"
fi
