#!/usr/bin/env bash
# Runs rustc for cargo (RUSTC_WRAPPER). The crates under test are compiled with the counters that libFuzzer
# reads, which the stable compiler can do; nothing else is, so that the fuzzer looks at our branches only.
set -euo pipefail

crate=
previous=
for argument in "$@"; do
  if [ "$previous" = --crate-name ]; then crate=$argument; fi
  previous=$argument
done

coverage=()
case $crate in
chancery | aip_160 | toml | toml_parser | signed_note)
  coverage=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
  )
  ;;
esac
exec "$@" "${coverage[@]}"
