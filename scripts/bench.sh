#!/usr/bin/env bash
# Speed and memory, on real services that it starts itself. Arguments go to the bench instead of the standard list:
#   scripts/bench.sh kafka-to-s3 --compression gzip
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

./scripts/setup.sh
cargo build --release --quiet --locked -p sluice -p sluice-bench
bench() {
    "$CARGO_TARGET_DIR/release/sluice-bench" --sluice "$CARGO_TARGET_DIR/release/sluice" "$@"
}
if [ "$#" -gt 0 ]; then
    bench "$@"
else
    bench startup
    bench paused
    bench produce
    bench kafka-to-s3
    bench kafka-to-postgres
    bench kafka-to-snowflake
fi
