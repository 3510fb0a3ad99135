#!/usr/bin/env bash
# Set-up, lints and every test. The last line counts the tests: "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

./scripts/setup.sh
./scripts/lint.sh
# Before the tests: they measure times, and no compiler should run beside them.
./scripts/image.sh --tag localhost/sluice:test

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
status=0
cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log" || status=$?
cargo run --quiet --locked -- plugins --check-docs || status=$?

counts="$(awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
    END { printf "%d passed, %d failed, %d skipped", passed, failed, skipped }' "$log")"
case "$counts" in "0 passed"*) status=1 ;; esac
echo "$counts"
exit "$status"
