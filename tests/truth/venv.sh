#!/usr/bin/env bash
# Makes (or reuses) a virtual environment with requirements.txt; prints the path of its python.
#
#   "$(tests/truth/venv.sh)" tests/truth/read_delta.py ...
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${TIDEWATCH_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/tidewatch/venv}

fail() {
    echo "venv.sh: $*" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is not installed (3.11 or newer)"
mkdir -p "$(dirname "$venv")"
# Another Python cannot use the packages either.
stamp="$(sha256sum <"$here/requirements.txt") $(python3 --version)"
(
    flock 9 # scripts that start together install once
    if [[ $(cat "$venv/requirements.stamp" 2>/dev/null) != "$stamp" ]]; then
        python3 -m venv --clear "$venv" >&2 || fail "cannot make $venv (Debian: apt-get install python3-venv)"
        "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt" >&2 \
            || fail "cannot install $here/requirements.txt"
        echo "$stamp" >"$venv/requirements.stamp"
    fi
) 9>"$venv.lock"
echo "$venv/bin/python"
