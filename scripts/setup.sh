#!/usr/bin/env bash
# Installs what building and testing Moon needs on Debian 12 (or a relative of it), and nothing
# that is already there. Safe to run again. Works as root, or as a user with sudo.
set -euo pipefail

# program -> package. The C compiler builds the io_uring, zstd and jemalloc libraries; the Redis
# packages are the oracle, the client and the load generator of the tests; those also send signals
# with the kill program, not the shell's. The certificates of the TLS tests are made by openssl.
needed=(
    cc:build-essential
    make:build-essential
    pkg-config:pkg-config
    git:git
    kill:procps
    redis-server:redis-server
    redis-cli:redis-tools
    redis-benchmark:redis-tools
    tclsh:tcl
    python3:python3
    openssl:openssl
)

packages=()
for pair in "${needed[@]}"; do
    type -P "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
done
python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3 python3-venv)

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "setup: needs root or sudo to run: $*" >&2
        exit 1
    fi
}

if [ ${#packages[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        echo "setup: no apt-get here; please install: ${packages[*]}" >&2
        exit 1
    fi
    # The redis-server package would start a server on the port that Moon uses by default.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
        trap 'as_root rm -f "$policy"' EXIT
    fi
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${packages[@]}"
fi

if ! command -v cargo >/dev/null && [ ! -x "$HOME/.cargo/bin/cargo" ]; then
    echo "setup: no Rust toolchain found; get one from https://rustup.rs" >&2
    exit 1
fi
