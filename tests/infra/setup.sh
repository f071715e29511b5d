# Sourced by tests/run and .ci/run: one cache, one target folder, the programs that the tests need.
# shellcheck shell=bash

BRIZO_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/brizo
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$BRIZO_CACHE/target}
mkdir -p "$BRIZO_CACHE"
command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# Asks apt for the packages of those programs that are missing; without root, says what to install.
# need_programs PROGRAM=PACKAGE[,PACKAGE...] ...   PROGRAM is a name or an absolute path
need_programs() {
    local pair found packages=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null && continue
        IFS=, read -ra found <<<"${pair#*=}"
        packages+=("${found[@]}")
    done
    [ ${#packages[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "missing programs; run: sudo apt-get install ${packages[*]}"
    fi
    say "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null; } ||
        die "could not install: ${packages[*]}"
}

# Sets VENV to a Python environment with exactly what the requirements file pins; made once for each content of it.
need_venv() {
    local requirements=$1
    VENV=$BRIZO_CACHE/venv/$(sha256sum "$requirements" | cut -c1-16)
    [ ! -e "$VENV/complete" ] || return 0
    need_programs /usr/bin/python3=python3
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || need_programs /missing=python3-venv
    say "installing $(tr '\n' ' ' <"$requirements" | sed 's/ --hash[^ ]*//g')"
    rm -rf "$VENV"
    /usr/bin/python3 -m venv "$VENV" && "$VENV/bin/pip" install -q --only-binary :all: -r "$requirements" || return
    touch "$VENV/complete"
}

# The compiler that the crates need is said once, in Cargo.toml.
need_rust() {
    local want have
    command -v cargo >/dev/null || die "no cargo: install Rust with rustup (https://rustup.rs)"
    want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    have=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$want" "${have%%-*}" | sort -V | head -n1)" = "$want" ] ||
        die "rustc $have is too old, $want or newer is needed: rustup update stable"
}

# Sets NODE_MODULES to exactly what the folder's package-lock.json pins; installed once for each content of it.
need_node_modules() {
    local folder=$1 place
    place=$BRIZO_CACHE/npm/$(sha256sum "$folder/package-lock.json" | cut -c1-16)
    # shellcheck disable=SC2034 # the caller reads it
    NODE_MODULES=$place/node_modules
    [ ! -e "$place/complete" ] || return 0
    say "installing the npm packages of $folder"
    rm -rf "$place"
    mkdir -p "$place"
    cp "$folder"/package.json "$folder"/package-lock.json "$place"
    npm ci --prefix "$place" --no-fund --no-audit --loglevel=error && touch "$place/complete"
}
