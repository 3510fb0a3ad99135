# shellcheck shell=bash
# Sourced by the other scripts: where downloads and build output are kept between runs and clones.

SLUICE_CACHE="${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}"
mkdir -p "$SLUICE_CACHE"
export SLUICE_CACHE
export PATH="$SLUICE_CACHE/bin:$PATH"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$SLUICE_CACHE/target}"
