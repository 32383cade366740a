#!/usr/bin/env bash
# Fetches (or reuses) `prometheus` and `promtool` of version 3; prints their folder. Debian stable has older ones: these
# are of the release after it, only unpacked, and nothing that is installed changes.
#
#   "$(tests/truth/prometheus.sh)/promtool" test rules ...
set -euo pipefail

release=forky
version=3
folder=${TIDEWATCH_PROMETHEUS:-${XDG_CACHE_HOME:-$HOME/.cache}/tidewatch/prometheus-$version}
programs=(prometheus promtool)

fail() {
    echo "prometheus.sh: $*" >&2
    exit 1
}

complete() {
    local program
    for program in "${programs[@]}"; do
        [[ $("$folder/$program" --version 2>/dev/null) == "$program, version $version."* ]] || return 1
    done
}

# With lists and a cache of its own, apt needs no rights and leaves those of the machine alone.
fetch() {
    local work options program
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder is known now
    trap "rm -rf '$work'" EXIT
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$folder"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $release main" \
        >"$work/sources.list"
    options=(
        -q -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$work/lists" -o Dir::State::status=/dev/null -o "Dir::Cache=$work/cache"
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o APT::Sandbox::User= -o APT::Update::Post-Invoke= -o APT::Update::Post-Invoke-Success=
    )
    (
        cd "$work"
        apt-get "${options[@]}" update && apt-get "${options[@]}" download "${programs[@]}"
    ) >&2 || fail "cannot fetch ${programs[*]} of Debian $release"
    for program in "${programs[@]}"; do
        dpkg-deb --fsys-tarfile "$work/${program}"_*.deb | tar -xOf - "./usr/bin/$program" >"$work/$program"
        chmod +x "$work/$program"
        mv "$work/$program" "$folder/"
    done
    complete || fail "$folder/${programs[0]} is not of version $version, or does not run here"
}

mkdir -p "$(dirname "$folder")"
(
    flock 9 # scripts that start together fetch once
    complete || fetch
) 9>"$folder.lock"
echo "$folder"
