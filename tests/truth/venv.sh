#!/usr/bin/env bash
# Makes (or reuses) a virtual environment with requirements.txt; prints the path of its python. With a name it is that
# of tests/NAME/requirements.txt, beside it.
#
#   "$(tests/truth/venv.sh)" tests/truth/read_delta.py ...
#   "$(tests/truth/venv.sh deploy)" tests/deploy/check.py ...
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${TIDEWATCH_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/tidewatch/venv}${1:+-$1}
requirements=$here/${1:+../$1/}requirements.txt

fail() {
    echo "venv.sh: $*" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is not installed (3.11 or newer)"
mkdir -p "$(dirname "$venv")"
# Another Python cannot use the packages either.
stamp="$(sha256sum <"$requirements") $(python3 --version)"
(
    flock 9 # scripts that start together install once
    if [[ $(cat "$venv/requirements.stamp" 2>/dev/null) != "$stamp" ]]; then
        python3 -m venv --clear "$venv" >&2 || fail "cannot make $venv (Debian: apt-get install python3-venv)"
        "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$requirements" >&2 \
            || fail "cannot install $requirements"
        echo "$stamp" >"$venv/requirements.stamp"
    fi
) 9>"$venv.lock"
echo "$venv/bin/python"
