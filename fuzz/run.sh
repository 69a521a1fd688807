#!/usr/bin/env bash
# Fuzzes one parser with libFuzzer, on the stable toolchain: docs/fuzzing.md.
#
#   fuzz/run.sh TARGET [SECONDS] [LIBFUZZER_OPTION...]   fuzzes, 600 seconds unless told otherwise
#   fuzz/run.sh TARGET FILE...                           runs these inputs, for instance one that failed
#   fuzz/run.sh keep TARGET                              adds to the corpus what the runs found and it lacks
#
# What a run finds stays in fuzz/target/found/TARGET until it is kept; an input that fails is written to
# fuzz/artifacts/TARGET. Needs a C++ compiler.
set -euo pipefail

fail() { printf 'run.sh: %s\n' "$*" >&2; exit 2; }

keep=
if [ "${1:-}" = keep ]; then
  keep=yes
  shift
fi
readonly keep target=${1:-}
if [ $# -gt 0 ]; then shift; fi
inputs=()
while [ -f "${1:-}" ]; do
  inputs+=("$(realpath "$1")")
  shift
done
seconds=600
if [ ${#inputs[@]} = 0 ] && [ $# -gt 0 ]; then
  seconds=$1
  shift
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "$seconds is neither a number of seconds nor a file"
fi

cd "$(dirname "${BASH_SOURCE[0]}")"
if [ -z "$target" ] || [ ! -f "targets/$target.rs" ]; then fail "no target ${target:-given}; see fuzz/targets"; fi

RUSTC_WRAPPER=$PWD/rustc.sh cargo build
export CHANCERY_FUZZ_TARGET=$target
readonly fuzz=${CARGO_TARGET_DIR:-target}/debug/fuzz
readonly corpus=corpus/$target found=target/found/$target artifacts=artifacts/$target
mkdir -p "$corpus" "$found" "$artifacts"

if [ "$keep" ]; then
  # Few and small inputs that together reach every branch; how often they take it is left to runs.
  exec "$fuzz" -set_cover_merge=1 -use_counters=0 -max_len=512 "$corpus" "$found"
fi
if [ ${#inputs[@]} -gt 0 ]; then exec "$fuzz" "$@" "${inputs[@]}"; fi
options=(
  -max_total_time="$seconds"
  # An expression has 8 KiB at most.
  -max_len=9000
  -timeout=10
  -rss_limit_mb=2048
  -artifact_prefix="$artifacts/"
  -print_final_stats=1
)
if [ -f "dictionary/$target" ]; then options+=(-dict="dictionary/$target"); fi
exec "$fuzz" "${options[@]}" "$@" "$found" "$corpus"
