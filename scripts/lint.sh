#!/usr/bin/env bash
# Formatting, lints, licences. Fails on the first that is not clean.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
cargo deny --all-features check --hide-inclusion-graph licenses bans sources
