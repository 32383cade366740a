#!/usr/bin/env bash
# Stops the broker that start.sh started in a folder; its data stays.
#
#   stop.sh DIR
set -euo pipefail

timeout_s=30

fail() {
    echo "stop.sh: $*" >&2
    exit 1
}

[[ $# -eq 1 ]] || fail "usage: stop.sh DIR"
[[ -d $1 ]] || fail "no such folder: $1"
[[ -f $1/pid ]] || exit 0 # stopped already
pid=$(<"$1/pid")
[[ $pid =~ ^[0-9]+$ ]] || fail "$1/pid holds no process id: $pid"

# A broker that was killed leaves its pid behind, and the number may belong to another process now.
is_ours() {
    { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q 'kafka\.Kafka'
}

if is_ours; then
    kill -TERM "$pid"
    for ((i = 0; i < timeout_s * 10; i++)); do
        is_ours || break
        sleep 0.1
    done
    if is_ours; then
        echo "stop.sh: still running after $timeout_s s; killing it" >&2
        kill -KILL "$pid"
    fi
fi
rm -f "$1/pid"
