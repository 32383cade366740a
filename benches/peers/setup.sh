#!/usr/bin/env bash
# Installs what run.py compares Tidewatch with, and prints where it is. What cannot be had is said, and left out.
#
#   setup.sh                                  all: bench (a Kafka client), flink, pathway, bytewax
#   setup.sh bench flink                      only these
#
#   TIDEWATCH_PEERS   where to; by default ~/.cache/tidewatch/peers (pathway alone takes 1.6 GB)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${TIDEWATCH_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tidewatch/peers}
failed=0

# What is missing is said at once; the others are installed all the same.
leave_out() {
    echo "setup.sh: $*" >&2
    failed=1
    return 1
}

# Prints a Python that all of them have wheels for: bytewax ends with 3.12, pathway begins with 3.10.
find_python() {
    local candidate
    local pyenv=("$HOME"/.pyenv/versions/3.1[0-2].*/bin/python3)
    for candidate in python3 python3.12 python3.11 python3.10 "${pyenv[@]}"; do
        if "$candidate" -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

environment() {
    local name=$1 python stamp
    local venv=$peers/$name requirements=$here/requirements/$name.txt
    python=$(find_python) || { leave_out "$name: no Python of 3.10 to 3.12 with venv"; return; }
    stamp="$(sha256sum <"$requirements") $("$python" --version)"
    if [[ $(cat "$venv/requirements.stamp" 2>/dev/null) != "$stamp" ]]; then
        "$python" -m venv --clear "$venv" >&2 || { leave_out "$name: cannot make $venv"; return; }
        "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$requirements" >&2 \
            || { leave_out "$name: cannot install $requirements"; return; }
        echo "$stamp" >"$venv/requirements.stamp"
    fi
    echo "$name: $venv"
}

flink() {
    local flink=$peers/flink tool
    for tool in java javac mvn; do
        command -v "$tool" >/dev/null || { leave_out "flink: $tool is not installed"; return; }
    done
    mkdir -p "$flink"
    # The copies come last, so they tell that the folder is complete.
    if ! cmp -s "$here/flink/pom.xml" "$flink/pom.xml" || ! cmp -s "$here/flink/Query.java" "$flink/Query.java"; then
        rm -f "$flink"/*.jar "$flink"/*.class
        mvn -q -B -f "$here/flink/pom.xml" dependency:copy-dependencies -DoutputDirectory="$flink" >&2 \
            || { leave_out "flink: cannot fetch the jars"; return; }
        javac -cp "$flink/*" -d "$flink" "$here/flink/Query.java" >&2 \
            || { leave_out "flink: cannot compile Query.java"; return; }
        cp "$here/flink/pom.xml" "$here/flink/Query.java" "$flink/"
    fi
    echo "flink: $flink"
}

mkdir -p "$peers"
[[ $# -gt 0 ]] || set -- bench flink pathway bytewax
for part in "$@"; do
    case $part in
        bench | pathway | bytewax) environment "$part" || true ;;
        flink) flink || true ;;
        *) leave_out "no part $part: bench, flink, pathway, bytewax" || true ;;
    esac
done
exit "$failed"
