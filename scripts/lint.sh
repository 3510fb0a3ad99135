#!/usr/bin/env bash
# Formatting, lints, shell scripts, licences. Fails on the first that is not clean.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
shellcheck --external-sources scripts/*.sh deploy/*.sh
cargo deny --all-features check --hide-inclusion-graph licenses bans sources
