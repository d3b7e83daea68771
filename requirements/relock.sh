#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes every *.lock from its *.in. Run it after an edit of a .in file; needs uv and a network.
# The locks hold names, versions and hashes, no address: a mirror set up for pip or uv is used.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

compile() {  # NAME [OPTION...]: NAME.in -> NAME.lock
    local name=$1
    shift
    uv pip compile --quiet --universal --generate-hashes --python-version 3.10 \
        --no-header --no-annotate --no-emit-index-url "$@" "$name.in" -o "$name.lock"
    printf '%s: %s packages\n' "$name.lock" "$(grep -c '^[a-z]' "$name.lock")"
}

compile base --excludes excludes.txt
compile installer
compile npm
compile ros-kilted --constraints base.lock
compile ros-jazzy --constraints base.lock
compile cuda --constraints base.lock
